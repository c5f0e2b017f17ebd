"""The rounds of a boundary study: what the search asked for so far is in the store, and so is what came of it."""

from functools import cached_property

from mad_ray.analysis.cells import NAN, read_baseline, read_cells, value_of
from mad_ray.analysis.levels import asked_of, level_set_of, place_of, told
from mad_ray.analysis.phase_table import cells_frame
from mad_ray.commands.driver import Driver
from mad_ray.commands.screen_cells import CellScreen
from mad_ray.commands.session import Session, describe_cases
from mad_ray.config.phase import Phase
from mad_ray.core.cells import Point
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.plan import plan_cohorts
from mad_ray.ledger.studies import read_failures, read_rounds, record_round


class BoundaryRounds:
    """Asks for the baseline first, then for the cells of one round after the other (engine.rounds.Rounds).

    A round that is in the store is asked for again as it stands there, so that a search goes on as it began.
    """

    def __init__(self, session: Session, driver: Driver) -> None:
        assert session.phase is not None
        self.session = session
        self.driver = driver
        self.phase: Phase = session.phase
        self.cohorts: list[Cohort] = list(session.cohorts)
        """All that was asked for so far."""
        self.points: dict[str, Point] = {}
        """Case -> its place on the map, of the cells among them."""
        self.screen = CellScreen(self.cohorts)
        self._recorded = list(read_rounds(session.store, session.name))
        self._search = level_set_of(session.document["map"])
        self._round = 0
        self._was_asked = -1
        self._asked: list[Cohort] = list(session.cohorts)
        self._cases = session.document["cases"]

    def next(self) -> list[Cohort]:
        """The cohorts to compute now; empty when the boundary is known, or when what was asked for got lost."""
        while not (todo := self._unfinished()):
            self._tell()
            if not self._ask():
                return []
        if self._was_asked == self._round:
            # Asked before, and neither done nor failed: its trial was lost; the same command tries again.
            return []
        self._was_asked = self._round
        return todo

    def is_open(self) -> bool:
        """Whether anything is left to compute. Leaves the question open for `next`."""
        found = self.next()
        self._was_asked = -1
        return bool(found)

    def _unfinished(self) -> list[Cohort]:
        rest = self.driver.unfinished(self._asked)
        waiting = {cohort.id for cohort in rest}
        self.screen.finished([cohort.id for cohort in self._asked if cohort.id not in waiting])
        if not rest:
            self.driver.keep_index()
        if self._was_asked != self._round:
            return rest
        failed = read_failures(self.session.store, self.session.name)
        return [cohort for cohort in rest if cohort.id not in failed]

    def _tell(self) -> None:
        """The values of the round's cells; one that failed, or has no value, is told as such, or it would be asked for
        again and again.
        """
        if self._round:
            cells = read_cells(self.session.store, self.session.name, self._cases, self.phase.limit)
            values = [value_of(cell, self.phase.value, self._baseline) for cell in cells]
            self._search.tell((asked_of(cell.point), NAN, NAN) for cell in cells)
            self._search.tell(told(cells_frame(cells, values)))

    @cached_property
    def _baseline(self):
        return read_baseline(self.session.store, self.session.document["cases"], self.phase.limit)

    def _ask(self) -> bool:
        """Go to the next round; False if there is none."""
        if self._round < len(self._recorded):
            points: list[Point] = [tuple(case["point"]) for case in self._recorded[self._round]]
        else:
            points = [place_of(asked, self.session.document["map"]) for asked in self._search.ask()]
        if not points:
            return False
        cohorts, cases = self._cells(points)
        self._round += 1
        kept = record_round(self.session.store, self.session.name, self._round, cases)
        if kept != cases:
            # Another driver was first; its round is the one that counts.
            cohorts, cases = self._cells([tuple(case["point"]) for case in kept])
        self._asked, self._cases = cohorts, cases
        self.cohorts += cohorts
        self.screen.expect(cohorts)
        return True

    def _cells(self, points: list[Point]) -> tuple[list[Cohort], list]:
        cohorts = plan_cohorts([trajectory for point in points for trajectory in self.phase.trajectories(point)])
        named = {self.phase.label(point): point for point in points}
        self.points |= named
        return cohorts, describe_cases(cohorts, named)
