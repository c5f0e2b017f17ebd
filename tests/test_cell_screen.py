"""The screen of a map counts what is done, and says at once what failed."""

import io
import re

from mad_ray.commands.screen_cells import CellScreen
from mad_ray.core.loop import fresh_data
from mad_ray.core.trajectory import Cohort
from mad_ray.data import GaussianData
from mad_ray.engine.trajectory import Commit
from mad_ray.families import Gaussian
from tests.engine.made_up import study


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def cohorts(n: int) -> list[Cohort]:
    loop = fresh_data(n_fresh=5, n_synthetic=5)
    return [study(GaussianData(d=2), Gaussian(), loop, 3, seeds=(i,)) for i in range(n)]


def commit(is_new: bool = True, last: int = 3) -> Commit:
    return Commit(1, last, 0.1, {}, is_new)


def counts(out: io.StringIO) -> list[str]:
    return re.findall(r"\[(\d+/\d+) ", out.getvalue())


def test_the_last_commit_is_told_however_fast_all_went() -> None:
    out, of = io.StringIO(), cohorts(40)
    screen = CellScreen(of, out, is_whole=True)
    for cohort in of:
        screen.committed(cohort.id, commit())
    assert counts(out)[-1] == "40/40"
    assert len(counts(out)) < 5, "a line now and then, not one a cell"


def test_what_was_there_before_counts_from_the_start() -> None:
    out, of = io.StringIO(), cohorts(3)
    screen = CellScreen(of, out)
    screen.finished([of[0].id])
    screen.committed(of[1].id, commit(is_new=False))
    assert out.getvalue() == "", "nothing has happened"
    screen.committed(of[2].id, commit())
    assert counts(out) == ["3/3"]


def test_a_cohort_is_done_at_its_end_only() -> None:
    out, of = io.StringIO(), cohorts(1)
    screen = CellScreen(of, out)
    screen.committed(of[0].id, commit(last=2))
    screen.committed(of[0].id, commit(last=3))
    assert counts(out) == ["1/1"]


def test_a_search_asks_for_more_and_nobody_knows_how_much_is_left() -> None:
    out, of = Terminal(), cohorts(30)
    screen = CellScreen(of[:15], out)
    for i, cohort in enumerate(of):
        if i == 15:
            screen.expect(of[15:])
        screen.committed(cohort.id, commit())
    assert counts(out)[-1] == "30/30"
    assert "left" not in out.getvalue()


def test_a_failure_is_told_at_once_by_name() -> None:
    out, of = io.StringIO(), cohorts(2)
    screen = CellScreen(of, out)
    screen.failed(of[1].id, 7, "out of luck")
    assert f"{of[1].case} FAILED at t=7: out of luck\n" in out.getvalue()
