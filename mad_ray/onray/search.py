"""A search as a Ray Tune Searcher: Tune asks it for trials, and tells it when they are done."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from ray.tune.search import Searcher

from mad_ray.core.errors import MadError
from mad_ray.engine.plan import Pack, pack_cohorts
from mad_ray.engine.rounds import Rounds


@dataclass(frozen=True)
class Work:
    """A pack of cohorts as a trial's parameter; its text is short, since Tune names folders by it."""

    pack: Pack

    def __str__(self) -> str:
        return f"{len(self.pack)}-cohorts"


class RoundSearcher(Searcher):
    """Suggests the packs of one round, waits until all are done, and asks the search for the next round.

    The search reads its results from the ledger, so nothing that Tune loses or restores matters to it. Waiting for
    whole rounds makes what is asked for independent of how many trials run at once.
    """

    def __init__(self, rounds: Rounds, max_concurrent: int) -> None:
        super().__init__(metric="generation", mode="max")
        self._rounds, self._max_concurrent = rounds, max_concurrent
        self._queue: deque[Pack] = deque()
        self._running: dict[str, Pack] = {}
        self.suggested: list[Pack] = []
        """Packs in the order of trials."""
        self.error: MadError | None = None
        """Why the search cannot go on, if it cannot."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """A pack; None while trials of the round are at work; FINISHED when the search has ended."""
        if not self._queue and self._running:
            return None
        if not self._queue and not self._ask():
            return Searcher.FINISHED
        pack = self._queue.popleft()
        self._running[trial_id] = pack
        self.suggested.append(pack)
        return {"pack": len(self.suggested) - 1, "work": Work(pack)}

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """Whether it succeeded is read from the ledger. Of a pack that was given up each is tried by itself."""
        pack = self._running.pop(trial_id, ())
        if error and len(pack) > 1:
            # One of them took the process with it again and again; the others did nothing wrong.
            self._queue.extend((cohort,) for cohort in pack)

    def __getstate__(self) -> dict[str, Any]:
        """Tune writes its searcher down, for a restore that is never asked for: the search itself stays here."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger is the only truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the ledger is the only truth."""

    def _ask(self) -> bool:
        try:
            self._queue.extend(pack_cohorts(self._rounds.next(), self._max_concurrent))
        except MadError as error:
            self.error = error
        return bool(self._queue)
