"""What earlier generations left: committed ones through their manifests, those of this attempt from memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from mad_ray.core.errors import Corrupt, TrajectoryFailed
from mad_ray.core.loop import Slice, reaches_back
from mad_ray.core.manifest import Manifest
from mad_ray.core.summary import Summary
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.admission import Admission, is_gate, is_thinning, learn_gates
from mad_ray.engine.lessons import Lesson, looks_back
from mad_ray.engine.publication import publisher_of
from mad_ray.engine.published import Published, Redrawn, Stored
from mad_ray.engine.redraw import Redraw
from mad_ray.engine.stream import Drawing, TrainingSet
from mad_ray.families.family import Model
from mad_ray.interventions.intervention import Admits, State
from mad_ray.ledger.chain import blob_key
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.tensors import decode_tensors, select_generation


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
    eaten: dict[str, str] = field(default_factory=dict)
    """Of other members of an ecosystem: cohort -> digest of the newest manifest that the last D^t was read from."""

    def __post_init__(self) -> None:
        if self.cohort.head.family.redraw and self.history and not self.cohort.head.keeps_step:
            self._restore()

    def training_set(self, t: int) -> TrainingSet:
        """D^t, opened."""
        if self.is_pooled:
            self._extend_pool(t - 1)
        slices = self.cohort.head.training(t)
        named = {(part.member, part.generation) for part in slices if not part.is_real}
        opened = self._open(slices, [] if self.is_pooled else sorted(named), self._drawing(slices))
        self.eaten = {cohort.id: manifest.digest for cohort, manifest in self._newest(named)}
        return replace(opened, admission=self._admission(t, opened))

    def _open(
        self, slices: tuple[Slice, ...], needed: list[tuple[str, int]], drawing: Drawing | None = None
    ) -> TrainingSet:
        published = {(member, g): self.published(g, member) for member, g in needed}
        keys, store = self.cohort.keys.at("real"), self.ledger.store
        return TrainingSet(self.cohort.head.data, keys, slices, published, drawing, store)

    def _admission(self, t: int, opened: TrainingSet) -> Admission | None:
        """What stands between those rows and D^t, each intervention having learnt what it needs."""
        cohort, store = self.cohort, self.ledger.store

        def learn(place: int, one: Admits, so_far: Admission) -> State:
            rows = replace(opened, admission=so_far if so_far.gates else None)
            return one.learn(Lesson(cohort, store, place, t, rows, self.published))

        return learn_gates(cohort.head.active, cohort.keys, learn)

    def keep(self, t: int, model: Model) -> None:
        """G^t is fitted; forget what no later generation needs."""
        self.models[t] = model
        if self.cohort.head.family.redraw:
            oldest = self._oldest(t)
            self.models = {g: model for g, model in self.models.items() if g >= oldest}

    def tensors(self, first: int) -> dict[str, np.ndarray]:
        """What a span that began at `first` adds to what later generations need."""
        kept = {f"{g}/{name}": array for g, model in self.models.items() if g >= first for name, array in model.items()}
        if self._pool is not None:
            kept |= {f"pool/{self._pooled}/{name}": array for name, array in self._pool.arrays().items()}
        return kept

    def _oldest(self, t: int) -> int:
        """The oldest generation whose model is needed once G^t is fitted."""
        head = self.cohort.head
        if head.keeps_step:
            # Every manifest has its own model, where all who eat of it find it.
            return t
        oldest = t if self.is_pooled else reaches_back(head.loop, t)
        return max(1, min(oldest, looks_back(head.active.values(), t + 1)))

    @property
    def draws(self) -> bool:
        """Whether the family fits on summaries that are drawn rather than made of rows."""
        head = self.cohort.head
        gates = [one for one in head.active.values() if is_gate(one)]
        return getattr(head.family, "draws", "rows") == "summaries" and all(map(is_thinning, gates))

    @property
    def is_pooled(self) -> bool:
        """Accumulating loops merge each generation's draw once, rather than all of them in every generation."""
        return self.draws and self.cohort.head.loop.accumulate and not self.cohort.head.keeps_step

    def _drawing(self, slices: tuple[Slice, ...]) -> Drawing | None:
        if not self.draws:
            return None
        wanted = [part for part in slices if part.is_real or not self.is_pooled]
        cut = tuple(piece for part in wanted for piece in self.cohort.head.pieces(part))
        return Drawing(cut, self._pool)

    def _extend_pool(self, to: int) -> None:
        kind = self.cohort.head.family.summary
        while self._pooled < to:
            g = self._pooled + 1
            opened = self._open((), [("", g)])
            drawn = replace(opened, admission=self._admission(g + 1, opened)).drawn(
                kind, Slice(g, 0, self.cohort.head.loop.n_synthetic)
            )
            self._pooled = g
            if drawn is None:
                continue
            # As it will be read after a restart, so that both go on with the same bits.
            drawn = kind.from_arrays(drawn.arrays())
            self._pool = drawn if self._pool is None else self._pool.merge(drawn)

    def published(self, g: int, member: str = "") -> Published:
        """What generation g published, opened; in an ecosystem, g of that member (empty: its own)."""
        cohort, store = self._cohort_of(member), self.ledger.store
        head = cohort.head
        if head.family.redraw and not head.keeps_step:
            return Redrawn(publisher_of(cohort, store, g), self._model(g))
        manifest = self._covering(g, member)
        redraw = Redraw(store, head.family, manifest, head.interventions)
        if head.family.redraw:
            return Redrawn(publisher_of(cohort, store, g), redraw.model(g))
        shards = tuple((blob_key(manifest, s.blob), s) for s in manifest.shards if s.generation == g)
        return Stored(store, shards, redraw)

    def _model(self, g: int) -> Model:
        if g not in self.models:
            manifest = self._covering(g)
            raise Corrupt(f"{blob_key(manifest, manifest.models)}: has no model of generation {g}, which D^t needs")
        return self.models[g]

    def _restore(self) -> None:
        """Read back what the last manifests kept for those to come."""
        last = self.history[-1].last
        oldest = self._oldest(last)
        for manifest in self.history:
            if manifest.last >= oldest:
                tensors = decode_tensors(self.ledger.read_blob(manifest, manifest.models))
                kept = range(max(oldest, manifest.first), manifest.last + 1)
                self.models |= {g: model for g in kept if (model := select_generation(tensors, g))}
        if self.is_pooled and last > 1:
            self._pooled = last - 1
            prefix = f"pool/{self._pooled}/"
            arrays = {name[len(prefix) :]: array for name, array in tensors.items() if name.startswith(prefix)}
            self._pool = self.cohort.head.family.summary.from_arrays(arrays) if arrays else None

    def _covering(self, g: int, member: str = "") -> Manifest:
        """The manifest that made generation g of that member visible: of others, too, what is committed, no more."""
        if not member:
            return next(m for m in self.history if m.first <= g <= m.last)
        chain = self.ledger.other(self._cohort_of(member).id)
        # What was followed once is final; the store is asked for what it may have gained since.
        for history in (chain.verified, chain.history()):
            if g <= len(history):
                return history[g - 1]
        raise TrajectoryFailed(
            f"member {member} has not published generation {g}, which {self.cohort.head.member} eats; run the study "
            "again, which computes both"
        )

    def _cohort_of(self, member: str) -> Cohort:
        return self.cohort.siblings[member] if member else self.cohort

    def _newest(self, named: set[tuple[str, int]]) -> Iterator[tuple[Cohort, Manifest]]:
        """Of each other member that is eaten, its cohort and the newest manifest."""
        for member in sorted({member for member, _ in named if member}):
            newest = max(g for of, g in named if of == member)
            yield self._cohort_of(member), self._covering(newest, member)
