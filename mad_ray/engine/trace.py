"""Where a sample came from, and the same sample drawn again."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mad_ray.core.errors import Corrupt, InvalidInput, Missing
from mad_ray.core.fingerprint import digest_bytes
from mad_ray.core.manifest import Manifest, Shard
from mad_ray.core.samples import Samples
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.generation import first_model_of
from mad_ray.engine.past import Past
from mad_ray.engine.redraw import Redraw
from mad_ray.engine.runtime import FitJob, silent
from mad_ray.families.family import Model
from mad_ray.ledger.chain import Chain, blob_key, read_checked
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.retention import read_retired
from mad_ray.ledger.shards import decode_shard
from mad_ray.ledger.store import Store
from mad_ray.ledger.tensors import decode_tensors


@dataclass(frozen=True)
class Address:
    """Sample `index` of what a trajectory published at a generation."""

    cohort: str
    seed: int
    generation: int
    index: int


@dataclass(frozen=True)
class Row:
    """One sample: x [*event], its label and its weight."""

    x: np.ndarray
    label: np.ndarray
    weight: np.ndarray

    def __eq__(self, other: object) -> bool:
        """Bit for bit."""
        return isinstance(other, Row) and self.parts == other.parts

    @property
    def parts(self) -> tuple[tuple[str, bytes], ...]:
        """(type, bytes) of each part."""
        return tuple((part.dtype.str, part.tobytes()) for part in (self.x, self.label, self.weight))


@dataclass(frozen=True)
class Traced:
    """A sample that is committed, and the manifest that made it visible."""

    store: Store
    address: Address
    history: list[Manifest]

    @cached_property
    def manifest(self) -> Manifest:
        """That of its generation."""
        return next(m for m in self.history if m.first <= self.address.generation <= m.last)

    @property
    def b(self) -> int:
        """The place of its trajectory in the cohort."""
        return self.manifest.identity["seeds"].index(self.address.seed)

    @property
    def shard(self) -> Shard | None:
        """That which holds it, or held it before it was retired; None of families that redraw."""
        t, i = self.address.generation, self.address.index
        shards = (shard for shard in self.manifest.shards if shard.generation == t and shard.start <= i < shard.stop)
        return next(shards, None)

    def stored(self) -> Row | None:
        """As it lies in the store; None if it was never stored, or was retired. Missing if it was lost."""
        shard = self.shard
        if shard is None:
            return None
        try:
            data = read_checked(self.store, blob_key(self.manifest, shard.blob), shard.blob)
        except Missing:
            if read_retired(self.store, self.manifest, shard.generation) is None:
                raise
            return None
        return row_of(decode_shard(data)[0], self.b, self.address.index - shard.start)


def row_of(samples: Samples, b: int, i: int) -> Row:
    """Sample i of trajectory b."""
    return Row(samples.x[b, i], samples.label[b, i], samples.weight[b, i])


def find(store: Store, address: Address) -> Traced:
    """The sample of that address. InvalidInput, one line, if there is none."""
    history = Chain(store, address.cohort).history()
    if not history:
        raise InvalidInput(f"cohort {address.cohort} has nothing in {store.url}; correct the sample, or --store")
    last, seeds = history[-1].last, history[0].identity["seeds"]
    if not 1 <= address.generation <= last:
        raise InvalidInput(f"generation {address.generation} is not committed; {address.cohort} has 1..{last}")
    if address.seed not in seeds:
        known = ", ".join(map(str, seeds[:10])) + (" ..." if len(seeds) > 10 else "")
        raise InvalidInput(f"seed {address.seed} is not in cohort {address.cohort}; its seeds are {known}")
    found = Traced(store, address, history)
    n = found.manifest.n_published
    if not n:
        raise InvalidInput(f"cohort {address.cohort} is a pool: its samples are its members'; trace one of theirs")
    if not address.index < n:
        raise InvalidInput(f"index {address.index} is not published; generation {address.generation} has 0..{n - 1}")
    return found


def draw(found: Traced, redraw: Redraw, cohort: Callable[[], Cohort]) -> Row:
    """The sample again, from its committed model; of families that keep few models, from one that is fitted again.

    cohort: what that needs. Corrupt if what is fitted again is not what was committed.
    """
    t, i = found.address.generation, found.address.index
    model = redraw.model(t) or refitted(found, cohort())
    return row_of(redraw.samples(model, t, i, i + 1), found.b, 0)


def is_as_committed(found: Traced, redraw: Redraw) -> bool:
    """Whether the whole shard of a retired sample, drawn again, has the bytes that were committed."""
    shard = found.shard
    assert shard is not None
    model = redraw.model(found.address.generation)
    return digest_bytes(redraw.encoded(shard, model)) == shard.blob.sha256


def refitted(found: Traced, cohort: Cohort) -> Model:
    """The model of the sample's generation, from the last ones kept before it. Cheap, as such families are."""
    manifest, t = found.manifest, found.address.generation
    before = [m for m in found.history if m.last < manifest.first]
    past = Past(cohort, Ledger(found.store, cohort), before)
    wanted: Model | None = None
    # To the end of the span, where there is something to compare with; a cell keeps no models.
    for g in range(manifest.first, (t if cohort.head.is_cell else manifest.last) + 1):
        model = first_model_of(cohort) if g == 1 else None
        if model is None:
            model = FitJob(cohort, g, past.training_set(g), f"trace-{g}").run(silent).model
        past.keep(g, model)
        wanted = model if g == t else wanted
    assert wanted is not None
    if not cohort.head.is_cell:
        _require_committed(found, past)
    return wanted


def _require_committed(found: Traced, past: Past) -> None:
    key = blob_key(found.manifest, found.manifest.models)
    committed = decode_tensors(read_checked(found.store, key, found.manifest.models))
    for name, array in past.tensors(found.manifest.first).items():
        if name not in committed or committed[name].tobytes() != np.ascontiguousarray(array).tobytes():
            raise Corrupt(
                f"{key}: fitted again, {name} comes out otherwise; the versions or the device differ "
                "(see what it was made by), or the store was tampered with"
            )
