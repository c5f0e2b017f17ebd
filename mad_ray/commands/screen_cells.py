"""The screen of a map or a boundary: how many cells are done, now and then; failures at once."""

import sys
import time
from collections.abc import Sequence
from typing import TextIO

from mad_ray.core.trajectory import Cohort
from mad_ray.engine.trajectory import Commit

LINE_S = 10.0
TERMINAL_S = 0.5
ENOUGH = 10
"""Commits after which the time left is worth telling."""


class CellScreen:
    """A Watcher that counts. Time left: what is left, at the pace of this run so far.

    is_whole: all cells are known from the start; a search asks for more and more, so that nobody knows what is left.
    """

    def __init__(self, cohorts: Sequence[Cohort] = (), out: TextIO | None = None, is_whole: bool = False) -> None:
        self._out = out or sys.stdout
        self._is_whole = is_whole
        self._start_s = self._first_s = time.monotonic()
        self._next_s = self._start_s + TERMINAL_S
        self._cohorts: dict[str, Cohort] = {}
        self._done: set[str] = set()
        self._n_new = 0
        self.expect(cohorts)

    def expect(self, cohorts: Sequence[Cohort]) -> None:
        """These are to be computed, or are there already."""
        self._cohorts |= {cohort.id: cohort for cohort in cohorts}

    def finished(self, cohorts: Sequence[str]) -> None:
        """These are complete from earlier runs."""
        self._done |= set(cohorts)

    def stage(self, cohort: str, stage: str, generation: int, share: float) -> None:
        """Cells are too short for it to matter."""

    def committed(self, cohort: str, commit: Commit) -> None:
        whole = self._cohorts[cohort]
        if whole.head.is_cell or commit.last >= whole.n_generations:
            self._done.add(cohort)
        if commit.is_new:
            if self._n_new == 0:
                # Starting Ray is over; from here on the pace is that of cells.
                self._first_s = time.monotonic()
            self._n_new += 1
            self._tell()

    def failed(self, cohort: str, generation: int, reason: str) -> None:
        self._write(f"{self._counter()} {self._cohorts[cohort].case} FAILED at t={generation}: {reason}\n")

    def _tell(self) -> None:
        now_s = time.monotonic()
        is_last = len(self._done) == len(self._cohorts)
        if now_s < self._next_s and not is_last:
            return
        self._next_s = now_s + (TERMINAL_S if self._out.isatty() else LINE_S)
        end = "" if self._out.isatty() and not is_last else "\n"
        self._write(f"{self._counter()} cells and baseline fits done{self._left(now_s)}{end}")

    def _left(self, now_s: float) -> str:
        n_left = len(self._cohorts) - len(self._done)
        if not self._is_whole or self._n_new < ENOUGH or not n_left:
            return ""
        left_s = (now_s - self._first_s) / (self._n_new - 1) * n_left
        return f", about {left_s / 60:.0f} min left" if left_s >= 90 else f", about {left_s:.0f} s left"

    def _counter(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._start_s), 60)
        return f"[{len(self._done):,}/{len(self._cohorts):,} {minutes}:{seconds:02d}]"

    def _write(self, text: str) -> None:
        clear = "\r\x1b[2K" if self._out.isatty() else ""
        self._out.write(f"{clear}{text}")
        self._out.flush()
