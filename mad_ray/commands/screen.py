"""The screen of a running study: a line per commit, and on a terminal a line that says what is being done now."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from mad_ray.core.trajectory import Cohort
from mad_ray.engine.trajectory import Commit

SHOWN = ("frechet", "w2_squared", "precision", "recall")
LABELS = {"frechet": "FID", "w2_squared": "W2²"}


class Screen:
    """A Watcher that prints. Time left: generations to go, at each cohort's pace so far, over the trials at once."""

    def __init__(self, cohorts: Sequence[Cohort], max_concurrent: int, out: TextIO | None = None) -> None:
        self._cohorts = {cohort.id: cohort for cohort in cohorts}
        self._families = {cohort.id: repr(cohort.head.family) for cohort in cohorts}
        self._done = dict.fromkeys(self._cohorts, 0)
        self._spent: dict[str, tuple[float, int]] = {}
        """Cohort -> (wall seconds, generations) of this run."""
        self._stages: dict[str, str] = {}
        self._at_once = max_concurrent
        self._out = out or sys.stdout
        self._start_s = time.monotonic()

    def finished(self, cohorts: Sequence[str]) -> None:
        """These are complete from earlier runs."""
        for cohort in cohorts:
            self._done[cohort] = self._cohorts[cohort].n_generations

    def stage(self, cohort: str, stage: str, generation: int, share: float) -> None:
        self._stages[cohort] = f"{self._name(cohort)} t={generation} {stage} {share:.0%}"
        if self._out.isatty():
            line = " | ".join(self._stages.values())
            self._out.write(f"\r\x1b[2K{line[:118]}")
            self._out.flush()

    def committed(self, cohort: str, commit: Commit) -> None:
        self._done[cohort] = commit.last
        self._stages.pop(cohort, None)
        if not commit.is_new:
            return
        n = commit.last - commit.first + 1
        seconds, done = self._spent.get(cohort, (0.0, 0))
        self._spent[cohort] = seconds + commit.wall_s, done + n
        values = "  ".join(
            f"{LABELS.get(name, name)} {commit.values[name]:.4g}" for name in SHOWN if name in commit.values
        )
        span = f"t={commit.last}" if n == 1 else f"t={commit.first}..{commit.last}"
        self._line(f"{self._counter()} {self._name(cohort)}  {span}  {values}  ({commit.wall_s:.1f} s){self._left()}")

    def failed(self, cohort: str, generation: int, reason: str) -> None:
        self._stages.pop(cohort, None)
        self._line(f"{self._counter()} {self._name(cohort)} FAILED at t={generation}: {reason}")

    def _counter(self) -> str:
        total = sum(cohort.n_generations for cohort in self._cohorts.values())
        done = sum(min(n, self._cohorts[c].n_generations) for c, n in self._done.items())
        minutes, seconds = divmod(int(time.monotonic() - self._start_s), 60)
        return f"[{done}/{total} {minutes}:{seconds:02d}]"

    def _name(self, cohort: str) -> str:
        found = self._cohorts[cohort]
        seeds = found.seeds
        return f"{found.case}, seed{f's {seeds[0]}..{seeds[-1]}' if len(seeds) > 1 else f' {seeds[0]}'}"

    def _left(self) -> str:
        paces = self._paces()
        left_s = sum(self._left_of(cohort, n, paces) for cohort, n in self._done.items()) / self._at_once
        if left_s < 1:
            return ""
        return f"  about {left_s / 60:.0f} min left" if left_s >= 90 else f"  about {left_s:.0f} s left"

    def _left_of(self, cohort: str, n_done: int, paces: Mapping[str, float]) -> float:
        """Seconds at the cohort's own pace, else at that of its family so far (0 while nothing is known of it)."""
        seconds, n = self._spent.get(cohort, (paces.get(self._families[cohort], 0.0), 1))
        return max(0, self._cohorts[cohort].n_generations - n_done) * seconds / n

    def _paces(self) -> dict[str, float]:
        """Family -> seconds a generation, of all that were committed."""
        totals: dict[str, tuple[float, int]] = {}
        for cohort, (seconds, n) in self._spent.items():
            before = totals.get(self._families[cohort], (0.0, 0))
            totals[self._families[cohort]] = before[0] + seconds, before[1] + n
        return {family: seconds / n for family, (seconds, n) in totals.items()}

    def _line(self, text: str) -> None:
        clear = "\r\x1b[2K" if self._out.isatty() else ""
        self._out.write(f"{clear}{text}\n")
        self._out.flush()
