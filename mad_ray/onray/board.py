"""A board on which trials write how far they are, for the driver's screen. Losing it loses nothing."""

import time
from collections.abc import Callable
from typing import Any

import ray

from mad_ray.engine.trajectory import Commit
from mad_ray.onray.restarts import IS_NEW

Event = tuple[str, str, tuple[Any, ...]]


@ray.remote(num_cpus=0, max_restarts=-1)
class Board:
    """Calls of a Watcher, kept until the driver looks."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def tell(self, event: Event) -> None:
        """(method, cohort, the method's other arguments)."""
        self._events.append(event)

    def look(self) -> list[Event]:
        """What was told since the last look."""
        events, self._events = self._events, []
        return events


class TrialWatcher:
    """A Watcher in a trial: tells the board (stages at most once a second), and Tune each commit in numbers."""

    def __init__(self, board: Any, report: Callable[[dict[str, float]], None]) -> None:
        self._board, self._report, self._next_s = board, report, 0.0

    def stage(self, cohort: str, stage: str, generation: int, share: float) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + 1.0
            self._tell("stage", cohort, stage, generation, share)

    def committed(self, cohort: str, commit: Commit) -> None:
        self._tell("committed", cohort, commit)
        self._report(
            {"generation": commit.last, "wall_s": commit.wall_s, IS_NEW: float(commit.is_new), **commit.values}
        )

    def failed(self, cohort: str, generation: int, reason: str) -> None:
        self._tell("failed", cohort, generation, reason)

    def stopped(self, cohort: str, message: str) -> None:
        """The store refused: the whole study stops with this message."""
        self._tell("stopped", cohort, message)

    def _tell(self, method: str, cohort: str, *rest: Any) -> None:
        self._board.tell.remote((method, cohort, rest))
