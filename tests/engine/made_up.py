"""A family that does nothing but remember, data whose rows say which they are, and short ways to run them."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.manifest import Manifest
from mad_ray.core.moments import Moments
from mad_ray.core.samples import Event, Samples, concatenate
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.core.values import decode_rows
from mad_ray.engine import publish, reference
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.runtime import Runtime
from mad_ray.engine.trajectory import run_cohort
from mad_ray.families.family import Model, Progress, Stream
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.store import Store
from mad_ray.ledger.tensors import decode_tensors, select_generation
from mad_ray.metrics.measure import NAMES, Metrics


def _rows(generation: int, start: int, stop: int, d: int, keys: Keys) -> Samples:
    """Row i: generation, i, and noise of its own."""
    n = stop - start
    x = np.empty((len(keys.seeds), n, d))
    x[..., 0] = generation
    x[..., 1] = np.arange(start, stop)
    for b in range(len(keys.seeds)):
        for i in range(n):
            x[b, i, 2:] = keys.generator(b, start + i).standard_normal(d - 2)
    return Samples.of(x, np.broadcast_to(np.arange(start, stop) % 3, (len(keys.seeds), n)))


@dataclass(frozen=True)
class Numbered:
    """Real data: row i says 0, i."""

    name: ClassVar[str] = "numbered"
    n_rows: ClassVar[int | None] = 10_000
    n_held_out: ClassVar[int | None] = 100
    d: int = 4

    @property
    def event(self) -> Event:
        return Event((self.d,), "float64")

    def rows(self, start: int, stop: int, keys: Keys) -> Samples:
        return _rows(0, start, stop, self.d, keys)

    def held_out(self, n: int) -> Samples:
        return _rows(-1, 0, n, self.d, Keys((0,)).at("held-out"))

    def moments(self) -> Moments | None:
        return None


fits: list[int] = []
"""The generations that were fitted in this process, in order."""


@dataclass(frozen=True)
class Remembering:
    """Its model is D^t itself; its samples say which generation drew them, and stored they must be."""

    name: ClassVar[str] = "remembering"
    max_cohort: ClassVar[int] = 3
    redraw: ClassVar[bool] = False
    distributed: ClassVar[bool] = False
    span: ClassVar[int] = 1
    chunk: int = 4
    fails_at: int = 0

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        if workers:
            raise InvalidInput("no workers")

    def fit(self, data: Stream, keys: Keys, progress: Progress) -> Model:
        t = keys.path[-1]
        fits.append(t)
        if t == self.fails_at:
            raise ValueError("the numbers\nran out")
        whole = concatenate(list(data.batches(7)))
        assert whole.n == data.n
        progress(1.0)
        return {"x": whole.x, "label": whole.label, "t": np.array(t)}

    def sample(self, model: Model, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        assert keys.path[-2:] == ("sample", int(model["t"]))
        return _rows(int(model["t"]), start, stop, model["x"].shape[-1], keys)


def study(data, family, loop: Loop, n: int, *, seeds: Iterable[int] = (0,), n_measured: int = 10, all_metrics=False):
    """A cohort of n generations; cheap metrics unless asked for all."""
    metrics = Metrics(n=n_measured, names=NAMES if all_metrics else ("frechet",), k=3)
    return Cohort(tuple(Trajectory(data, family, loop, metrics, n, seed) for seed in seeds))


def forget() -> None:
    """What a process that died has forgotten."""
    reference._references.clear()
    publish._models.clear()


@dataclass(frozen=True)
class Ran:
    """A cohort's committed ledger."""

    store: Store
    cohort: Cohort
    manifests: list[Manifest]

    @property
    def contents(self) -> list[dict]:
        return [manifest.content() for manifest in self.manifests]

    def all_rows(self) -> list[dict]:
        ledger = Ledger(self.store, self.cohort)
        return [row for m in self.manifests for row in decode_rows(ledger.read_blob(m, m.metrics))]

    def rows(self, seed: int) -> list[dict]:
        return [row for row in self.all_rows() if row["seed"] == seed]


def new_store() -> MemoryStore:
    return MemoryStore(uuid.uuid4().hex)


def run(cohort: Cohort, store: Store | None = None, runtime: Runtime | None = None) -> Ran:
    """Run to the end, in memory unless told otherwise."""
    store = new_store() if store is None else store
    found = [manifest for manifest, _ in run_cohort(cohort, store, runtime or LocalRuntime())]
    return Ran(store, cohort, found)


def models_of(ran: Ran) -> dict[int, Model]:
    """The committed model of every generation."""
    ledger, models = Ledger(ran.store, ran.cohort), {}
    for manifest in ran.manifests:
        tensors = decode_tensors(ledger.read_blob(manifest, manifest.models))
        models |= {t: select_generation(tensors, t) for t in range(manifest.first, manifest.last + 1)}
    return models


def metric_table(ran: Ran, metric: str) -> np.ndarray:
    """Values of one metric [seed, generation]."""
    rows = [row for row in ran.all_rows() if row["metric"] == metric]
    table = np.full((len(ran.cohort.seeds), ran.cohort.n_generations), np.nan)
    place = {seed: b for b, seed in enumerate(ran.cohort.seeds)}
    for row in rows:
        table[place[row["seed"]], row["generation"] - 1] = row["value"]
    assert np.isfinite(table).all()
    return table
