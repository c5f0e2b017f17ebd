"""What a running study exports through Ray for Prometheus: one place, the driver, told what the screen is told.

Every name below is exported with "ray_" before it. The tags of a trajectory are study, case, seeds, cohort, and its
place on a map (x, y, panel; empty where there is none).
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ray.tune import Callback
from ray.util.metrics import Counter, Gauge

from mad_ray.core.cells import Point
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.plan import Pack
from mad_ray.engine.trajectory import Commit, Watcher
from mad_ray.onray.restarts import MOVES

MAX_COHORTS = 1000
"""Cohorts with series of their own; those that are told of later share one, so that a map of thousands of cells does
not flood who scrapes. (Ray drops what goes beyond 2,000 series of one name, without a word.)"""
REFRESH_S = 5.0
"""Ray forgets a gauge that nobody sets for two of its reports, 20 s; generations take longer."""
TAGS = ("study", "case", "seeds", "cohort", "x", "y", "panel")
OTHERS = {**dict.fromkeys(TAGS[1:], ""), "case": "others", "cohort": "others"}

GAUGES = {
    "mad_ray_generation": "The last generation that is committed.",
    "mad_ray_generations_wanted": "Generations that the study asks for.",
    # And mad_ray_METRIC for every other metric of the study.
    "mad_ray_frechet": "Frechet distance (FID) at the last measured generation, mean over seeds.",
    "mad_ray_precision": "Precision at the last measured generation, mean over seeds.",
    "mad_ray_recall": "Recall at the last measured generation, mean over seeds.",
    "mad_ray_w2_squared": "Squared Wasserstein distance at the last measured generation, mean over seeds.",
}
COUNTERS = {
    "mad_ray_generations_total": "Generations committed by this driver.",
    "mad_ray_fit_seconds_total": "Wall seconds of fits.",
    "mad_ray_sample_seconds_total": "Wall seconds of sampling, added over samplers.",
    "mad_ray_measure_seconds_total": "Wall seconds of features and metrics.",
    "mad_ray_write_seconds_total": "Wall seconds of writing to the store.",
    "mad_ray_publish_seconds_total": "Wall seconds of publishing that are none of the above.",
    "mad_ray_written_bytes_total": "Bytes of the committed objects.",
    "mad_ray_resumed_steps_total": "Optimiser steps that checkpoints spared.",
    "mad_ray_retries_total": "Restarts of a trial whose process died.",
    "mad_ray_preemptions_total": "Restarts of a trial whose node was taken away after a notice.",
    "mad_ray_failures_total": "Trajectories given up, with a reason.",
}
NAMES = (*GAUGES, *COUNTERS)


class StudyMetrics:
    """A Watcher in the driver: exports what it is told, and passes it on.

    cohorts: all that were asked for so far; points: case -> (panel, x, y) of the cells among them.
    """

    def __init__(
        self, study: str, watcher: Watcher, cohorts: Callable[[], Sequence[Cohort]], points: Mapping[str, Point]
    ) -> None:
        self._study, self._watcher, self._cohorts, self._points = study, watcher, cohorts, points
        self._tags: dict[str, dict[str, str]] = {}
        self._gauges = {name: Gauge(name, text, TAGS) for name, text in GAUGES.items()}
        self._counters = {name: Counter(name, text, TAGS) for name, text in COUNTERS.items()}
        self._standing: dict[tuple[str, str], float] = {}

    def stage(self, cohort: str, stage: str, generation: int, share: float) -> None:
        self._watcher.stage(cohort, stage, generation, share)

    def committed(self, cohort: str, commit: Commit) -> None:
        self._watcher.committed(cohort, commit)
        self._gauge("mad_ray_generation", cohort, commit.last)
        for metric, value in commit.values.items():
            self._gauge(f"mad_ray_{metric}", cohort, value)
        if commit.is_new:
            self._count("mad_ray_generations_total", cohort, commit.last - commit.first + 1)
            self._count("mad_ray_written_bytes_total", cohort, commit.n_bytes)
            self._count("mad_ray_resumed_steps_total", cohort, commit.n_resumed)
            for stage, seconds in commit.seconds.items():
                self._count(f"mad_ray_{stage}_seconds_total", cohort, seconds)

    def failed(self, cohort: str, generation: int, reason: str) -> None:
        self._watcher.failed(cohort, generation, reason)
        self._count("mad_ray_failures_total", cohort)

    def restarted(self, cohorts: Iterable[str], was_preempted: bool) -> None:
        """The trial of these cohorts starts again."""
        name = "mad_ray_preemptions_total" if was_preempted else "mad_ray_retries_total"
        for cohort in cohorts:
            self._count(name, cohort)

    def refresh(self) -> None:
        """Set every gauge again to what it stands at."""
        for (name, cohort), value in list(self._standing.items()):
            self._gauges[name].set(value, self._tags[cohort])

    def _gauge(self, name: str, cohort: str, value: float) -> None:
        name, tags = re.sub(r"\W", "_", name), self._tags_of(cohort)
        # One number for all the others would mean nothing.
        if tags["cohort"] == OTHERS["cohort"]:
            return
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, "At the last measured generation, mean over seeds.", TAGS)
        self._standing[name, cohort] = value
        self._gauges[name].set(value, tags)

    def _count(self, name: str, cohort: str, n: float = 1) -> None:
        if name not in self._counters:
            self._counters[name] = Counter(name, "", TAGS)
        if n > 0:
            self._counters[name].inc(n, self._tags_of(cohort))

    def _tags_of(self, cohort: str) -> dict[str, str]:
        if cohort not in self._tags:
            is_others = len(self._tags) >= MAX_COHORTS
            self._tags[cohort] = {"study": self._study, **(OTHERS if is_others else self._describe(cohort))}
            if not is_others:
                self._gauge("mad_ray_generations_wanted", cohort, self._find(cohort).n_generations)
        return self._tags[cohort]

    def _describe(self, cohort: str) -> dict[str, str]:
        found = self._find(cohort)
        seeds = found.seeds
        panel, x, y = self._points.get(found.case, (None, None, None))
        return {
            # Ray's tags are ASCII: any other letter would end the thread that exports.
            "case": found.case.replace(" · ", " / ").encode("ascii", "backslashreplace").decode(),
            "seeds": f"{seeds[0]}..{seeds[-1]}" if len(seeds) > 1 else str(seeds[0]),
            "cohort": cohort,
            **{name: "" if at is None else f"{at:g}" for name, at in (("x", x), ("y", y), ("panel", panel))},
        }

    def _find(self, cohort: str) -> Cohort:
        return next(known for known in self._cohorts() if known.id == cohort)


@contextmanager
def exported(
    study: str, watcher: Watcher, cohorts: Callable[[], Sequence[Cohort]], points: Mapping[str, Point]
) -> Iterator[StudyMetrics]:
    """StudyMetrics of the Ray session that is running, kept fresh while the block runs."""
    metrics, done = StudyMetrics(study, watcher, cohorts, points), threading.Event()

    def keep() -> None:
        while not done.wait(REFRESH_S):
            metrics.refresh()

    thread = threading.Thread(target=keep, daemon=True, name="mad-ray-metrics")
    thread.start()
    try:
        yield metrics
    finally:
        done.set()
        thread.join()


class RestartCounter(Callback):
    """Tells StudyMetrics of trials that Tune starts again.

    Preempted is a trial that gave up its node after a notice, or whose node was drained: Tune counts no such failure.
    """

    def __init__(self, metrics: StudyMetrics, pack_of: Callable[[Mapping[str, Any]], Pack]) -> None:
        self._metrics, self._pack_of = metrics, pack_of
        self._n_failures: dict[str, int] = {}
        self._moved: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Tune writes its callbacks down, for a restore that is never asked for: the metrics stay here."""
        return {}

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict, **info: Any) -> None:
        if result.get(MOVES):
            self._moved.add(trial.trial_id)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        was_preempted = trial.trial_id in self._moved or trial.num_failures == self._n_failures.get(trial.trial_id, 0)
        self._n_failures[trial.trial_id] = trial.num_failures
        self._moved.discard(trial.trial_id)
        self._metrics.restarted([cohort.id for cohort in self._pack_of(trial.config)], was_preempted)


def restart_counters(watcher: Watcher, pack_of: Callable[[Mapping[str, Any]], Pack]) -> list[Callback]:
    """Tune's callbacks that count restarts, where the watcher exports metrics. pack_of: a trial's config -> cohorts."""
    return [RestartCounter(watcher, pack_of)] if isinstance(watcher, StudyMetrics) else []
