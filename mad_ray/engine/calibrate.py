"""How long a study will take, from some seconds of each kind of work in it, done here and kept nowhere."""

import dataclasses
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mad_ray.core.loop import compose
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.dynamics import dynamics_of, dynamics_rows, open_labels
from mad_ray.engine.generation import first_model_of, images_of_fit, n_published
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.measure import measure_samples, model_rows, sample_rows
from mad_ray.engine.plan import effort, effort_of_generation
from mad_ray.engine.reference import open_reference
from mad_ray.engine.stream import TrainingSet
from mad_ray.engine.trajectory import run_cohort
from mad_ray.families.family import Model
from mad_ray.families.progress import Progress
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.overlay import Overlay
from mad_ray.ledger.store import Store
from mad_ray.metrics.measure import LABELLED_NAMES

BUDGET_S = 6.0
"""Seconds that each stage of each kind of work is watched, about."""
MIN_REPEATS = 3
NOISE = 0.10
"""Relative: how far machines, and generations of one loop, differ beyond what a short look shows."""
CHEAP_GENERATIONS = 32


@dataclass(frozen=True)
class Pace:
    """What the stages of a generation take, of a family that stores its samples."""

    fit_s_per_image: float
    sample_s_per_image: float
    measure_s: float
    once_s: float
    """Made once for all trajectories: the reference of the metrics."""
    error: float
    """Relative standard error of a whole generation."""

    def seconds(self, cohort: Cohort, first: int) -> dict[str, float]:
        """Of generations first.. of a cohort, by stage."""
        generations = range(first, cohort.n_generations + 1)
        seeds = len(cohort.seeds)
        n_of = (sum(part.n for part in cohort.head.training(t)) for t in generations)
        return {
            "fit": self.fit_s_per_image * sum(images_of_fit(cohort, n) for n in n_of),
            "sample": self.sample_s_per_image * n_published(cohort) * seeds * len(generations),
            "measure": self.measure_s * sum(map(cohort.head.metrics.is_measured, generations)),
        }


@dataclass(frozen=True)
class CheapPace:
    """What a unit of effort takes, and a generation that is measured, of a family that redraws its samples."""

    fit_s_per_unit: float
    measure_s: float
    error: float
    once_s: float = 0.0

    def seconds(self, cohort: Cohort, first: int) -> dict[str, float]:
        """Of generations first.. of a cohort, by stage."""
        left = 1 - (first - 1) / cohort.n_generations
        n = effort(cohort) / effort_of_generation(cohort)
        measured = sum(map(cohort.head.metrics.is_measured, range(1, math.ceil(n) + 1)))
        return {
            "fit": self.fit_s_per_unit * units(cohort) * left,
            "measure": self.measure_s * len(cohort.seeds) * measured * left,
        }


def units(cohort: Cohort) -> float:
    """The effort of a cohort: of loops that draw rows, and not their summaries, times the rows of a D^t."""
    loop = cohort.head.loop
    draws = getattr(cohort.head.family, "draws", "rows") == "summaries"
    return effort(cohort) * (1.0 if draws else sum(part.n for part in compose(loop, 2)) or loop.n_initial)


def calibrate(cohort: Cohort, store: Store) -> Pace | CheapPace:
    """Do a little of everything that a generation of this cohort is made of. Writes nothing to the store."""
    # A member of an ecosystem as if it were alone: of as many rows, whoever drew them.
    cohort = Cohort(tuple(dataclasses.replace(t, ecosystem=None, member="") for t in cohort.trajectories))
    overlay = Overlay(store, MemoryStore(f"calibration-{cohort.id}"))
    return _of_cheap(cohort, overlay) if cohort.head.family.redraw else _of_dear(cohort, overlay)


def _of_dear(cohort: Cohort, store: Store) -> Pace:
    """Some steps of a fit, some chunks of samples, one measurement."""
    head, keys = cohort.head, cohort.keys
    start = time.perf_counter()
    reference = (
        open_reference(store, head.data, head.metrics, say=lambda line: None) if head.metrics.of_samples else None
    )
    if set(dynamics_of(head)) & set(LABELLED_NAMES):
        open_labels(store, head.data, head.metrics)
    once_s = time.perf_counter() - start
    fit, model = _fit_pace(cohort)
    chunk = head.family.chunk
    head.family.sample(model, 0, chunk, head.loop.bias, keys.at("sample", 1))
    chunks = iter(range(1, 1_000_000))

    def draw() -> None:
        c = next(chunks)
        head.family.sample(model, c * chunk, (c + 1) * chunk, head.loop.bias, keys.at("sample", 1))

    sample = _Timed.of(draw, chunk)
    start = time.perf_counter()
    if reference is not None:
        # Real rows cost what synthetic ones do, and are there.
        n = head.metrics.n if head.data.n_rows is None else min(head.metrics.n, head.data.n_rows)
        real = head.data.rows(0, n, keys.at("real"))
        measured = measure_samples(real, reference, head.metrics)
        sample_rows(cohort, 1, measured, reference)
        data = TrainingSet(head.data, keys.at("real"), compose(head.loop, 1), {})
        dynamics_rows(cohort, 1, measured.features, lambda: real, data, store)
    model_rows(cohort, 1, model)
    measure_s = time.perf_counter() - start
    return Pace(fit.per_unit, sample.per_unit, measure_s, once_s, _joined(fit, sample))


def _fit_pace(cohort: Cohort) -> "tuple[_Timed, Model]":
    """Seconds per image, and a model, of a fit cut short where the family knows of steps; else of a whole fit."""
    head, keys = cohort.head, cohort.keys
    slices = compose(head.loop, 1)
    data = TrainingSet(head.data, keys.at("real"), slices, {})
    known = first_model_of(cohort)
    if known is not None:
        return _Timed([0.0], 1.0), known

    def fit(family: object) -> tuple[list[float], Model]:
        marks: list[float] = []
        model = family.fit(data, keys.at("fit", 1), Progress(lambda share: marks.append(time.perf_counter())))  # type: ignore[attr-defined]
        return marks, model

    if not hasattr(head.family, "steps_of"):
        start = time.perf_counter()
        _, model = fit(head.family)
        return _Timed([time.perf_counter() - start], float(images_of_fit(cohort, data.n))), model
    n_steps = head.family.steps_of(data.n)
    marks, model = fit(dataclasses.replace(head.family, n_steps=min(n_steps, 4), epochs=0))
    step_s = (marks[-1] - marks[0]) / max(1, len(marks) - 1)
    n = max(4, min(n_steps, round(BUDGET_S / max(step_s, 1e-4)), 100))
    marks, model = fit(dataclasses.replace(head.family, n_steps=n, epochs=0))
    steps = [later - earlier for earlier, later in itertools.pairwise(marks)]
    return _Timed(steps or [step_s], float(head.family.batch_size)), model


def _of_cheap(cohort: Cohort, store: Store) -> CheapPace:
    """Some generations, as they are."""
    n = min(cohort.n_generations, CHEAP_GENERATIONS)
    short = Cohort(tuple(dataclasses.replace(t, n_generations=n, until=None) for t in cohort.trajectories))
    if cohort.head.metrics.of_samples:
        open_reference(store, cohort.head.data, cohort.head.metrics, say=lambda line: None)
    told = [manifest.provenance for manifest, _ in run_cohort(short, store, LocalRuntime())]
    spent = {stage: sum(one["seconds"].get(stage, 0.0) for one in told) for stage in ("fit", "sample", "measure")}
    n_measured = sum(map(cohort.head.metrics.is_measured, range(1, n + 1))) * len(cohort.seeds)
    fit_s = sum(one["wall_s"] for one in told) - spent["sample"] - spent["measure"]
    # One number stands for many cells: how long they take to settle is not known before.
    error = NOISE if cohort.head.until is None else 0.5
    return CheapPace(fit_s / units(short), (spent["sample"] + spent["measure"]) / n_measured, error)


@dataclass(frozen=True)
class _Timed:
    """Durations of some equal pieces of work, of `units` images each."""

    seconds: list[float]
    units: float

    @classmethod
    def of(cls, work: Callable[[], object], units: float) -> "_Timed":
        """Repeat the work until the budget is spent."""
        return cls(list(_durations(work)), units)

    @property
    def per_unit(self) -> float:
        return statistics.fmean(self.seconds) / self.units

    @property
    def error(self) -> float:
        """Relative standard error of the mean; of a single piece, a half."""
        if len(self.seconds) < 2:
            return 0.5 if self.seconds[0] else 0.0
        mean = statistics.fmean(self.seconds)
        return statistics.stdev(self.seconds) / math.sqrt(len(self.seconds)) / mean if mean else 0.0


def _durations(work: Callable[[], object]) -> Iterator[float]:
    spent, n = 0.0, 0
    while n < MIN_REPEATS or spent < BUDGET_S / 2:
        start = time.perf_counter()
        work()
        piece = time.perf_counter() - start
        spent, n = spent + piece, n + 1
        yield piece
        if spent > 4 * BUDGET_S:
            return


def _joined(*timed: _Timed) -> float:
    """The larger of the errors, and the noise that no short look shows."""
    return math.hypot(NOISE, max(one.error for one in timed))
