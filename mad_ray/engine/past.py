"""What earlier generations left: committed ones through their manifests, those of this attempt from memory."""

from dataclasses import dataclass, field

import numpy as np

from mad_ray.core.errors import Corrupt
from mad_ray.core.loop import Slice, compose, pieces, reaches_back
from mad_ray.core.manifest import Manifest
from mad_ray.core.summary import Summary
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.publish import select_generation
from mad_ray.engine.published import Published, Redrawn, Stored
from mad_ray.engine.redraw import Redraw
from mad_ray.engine.stream import Drawing, TrainingSet
from mad_ray.families.family import Model
from mad_ray.ledger.chain import blob_key
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.tensors import decode_tensors


@dataclass
class Past:
    """Opens D^t. Of families that redraw it keeps the models, and the pooled summary, that later generations need."""

    cohort: Cohort
    ledger: Ledger
    history: list[Manifest]
    models: dict[int, Model] = field(default_factory=dict)
    _pool: Summary | None = None
    _pooled: int = 0
    """The pool holds the samples of generations 1..pooled."""

    def __post_init__(self) -> None:
        if self.cohort.head.family.redraw and self.history:
            self._restore()

    def training_set(self, t: int) -> TrainingSet:
        """D^t, opened."""
        if self.is_pooled:
            self._extend_pool(t - 1)
        slices = compose(self.cohort.head.loop, t)
        needed = [] if self.is_pooled else sorted({part.generation for part in slices if not part.is_real})
        return self._open(slices, needed, self._drawing(slices))

    def _open(self, slices: tuple[Slice, ...], needed: list[int], drawing: Drawing | None = None) -> TrainingSet:
        published = {g: self._published(g) for g in needed}
        keys, store = self.cohort.keys.at("real"), self.ledger.store
        return TrainingSet(self.cohort.head.data, keys, slices, published, drawing, store)

    def keep(self, t: int, model: Model) -> None:
        """G^t is fitted; forget what no later generation needs."""
        self.models[t] = model
        if self.cohort.head.family.redraw:
            oldest = t if self.is_pooled else reaches_back(self.cohort.head.loop, t)
            self.models = {g: model for g, model in self.models.items() if g >= oldest}

    def tensors(self, first: int) -> dict[str, np.ndarray]:
        """What a span that began at `first` adds to what later generations need."""
        kept = {f"{g}/{name}": array for g, model in self.models.items() if g >= first for name, array in model.items()}
        if self._pool is not None:
            kept |= {f"pool/{self._pooled}/{name}": array for name, array in self._pool.arrays().items()}
        return kept

    @property
    def draws(self) -> bool:
        """Whether the family fits on summaries that are drawn rather than made of rows."""
        return getattr(self.cohort.head.family, "draws", "rows") == "summaries"

    @property
    def is_pooled(self) -> bool:
        """Accumulating loops merge each generation's draw once, rather than all of them in every generation."""
        return self.draws and self.cohort.head.loop.accumulate

    def _drawing(self, slices: tuple[Slice, ...]) -> Drawing | None:
        if not self.draws:
            return None
        wanted = [part for part in slices if part.is_real or not self.is_pooled]
        cut = tuple(piece for part in wanted for piece in pieces(self.cohort.head.loop, part))
        return Drawing(cut, self._pool)

    def _extend_pool(self, to: int) -> None:
        kind = self.cohort.head.family.summary
        while self._pooled < to:
            g = self._pooled + 1
            drawn = self._open((), [g]).drawn(kind, Slice(g, 0, self.cohort.head.loop.n_synthetic))
            # As it will be read after a restart, so that both go on with the same bits.
            drawn = kind.from_arrays(drawn.arrays())
            self._pool = drawn if self._pool is None else self._pool.merge(drawn)
            self._pooled = g

    def _published(self, g: int) -> Published:
        head = self.cohort.head
        if head.family.redraw:
            return Redrawn(head.family, self._model(g), head.loop.bias, self.cohort.keys.at("sample", g))
        manifest = self._covering(g)
        shards = tuple((blob_key(manifest, s.blob), s) for s in manifest.shards if s.generation == g)
        return Stored(self.ledger.store, shards, Redraw(self.ledger.store, head.family, manifest))

    def _model(self, g: int) -> Model:
        if g not in self.models:
            manifest = self._covering(g)
            raise Corrupt(f"{blob_key(manifest, manifest.models)}: has no model of generation {g}, which D^t needs")
        return self.models[g]

    def _restore(self) -> None:
        """Read back what the last manifests kept for those to come."""
        last = self.history[-1].last
        oldest = last if self.is_pooled else reaches_back(self.cohort.head.loop, last)
        for manifest in self.history:
            if manifest.last >= oldest:
                tensors = decode_tensors(self.ledger.read_blob(manifest, manifest.models))
                kept = range(max(oldest, manifest.first), manifest.last + 1)
                self.models |= {g: model for g in kept if (model := select_generation(tensors, g))}
        if self.is_pooled and last > 1:
            self._pooled = last - 1
            prefix = f"pool/{self._pooled}/"
            arrays = {name[len(prefix) :]: array for name, array in tensors.items() if name.startswith(prefix)}
            self._pool = self.cohort.head.family.summary.from_arrays(arrays)

    def _covering(self, g: int) -> Manifest:
        return next(m for m in self.history if m.first <= g <= m.last)
