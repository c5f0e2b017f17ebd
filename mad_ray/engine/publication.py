"""What a generation publishes: the family's samples, the best of them chosen, and marked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.samples import Samples, concatenate
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.lessons import open_state
from mad_ray.families.family import Family, Model
from mad_ray.interventions.intervention import Chooses, Marks, Observes, Prefers, State
from mad_ray.ledger.store import Store


@dataclass(frozen=True)
class Publisher:
    """Draws what one generation publishes; sample i is the same bytes whichever are drawn with it. Pickles."""

    family: Family
    bias: float
    keys: Keys
    generation: int
    interventions: Mapping[int, Any] = field(default_factory=dict)
    """Those of the trajectory that are active, by place."""
    states: Mapping[int, State] = field(default_factory=dict)

    def samples(self, model: Model, start: int, stop: int) -> Samples:
        """Samples start..stop of each trajectory as they are published."""
        return self.marked(self.drawn(model, start, stop))

    def drawn(self, model: Model, start: int, stop: int) -> Samples:
        """The same before they are marked."""
        for place, one in self.interventions.items():
            if isinstance(one, Chooses):
                return self._chosen(model, start, stop, one, self.states[place])
        return self._sample(model, start, stop)

    def marked(self, samples: Samples) -> Samples:
        """Every mark set, in order."""
        for place, one in self.interventions.items():
            if isinstance(one, Marks):
                samples = one.publish(samples, self.generation, self.states[place])
        return samples

    @property
    def changes(self) -> bool:
        """Whether what is published is anything else than what the family samples."""
        return any(isinstance(one, (Marks, Chooses, Prefers)) for one in self.interventions.values())

    @property
    def prefers(self) -> bool:
        """Whether what is drawn is marked already."""
        return any(isinstance(one, Prefers) for one in self.interventions.values())

    @property
    def observers(self) -> list[tuple[Observes, State]]:
        """Whose marks can be measured."""
        return [(one, self.states[i]) for i, one in self.interventions.items() if isinstance(one, Observes)]

    def unmarked(self, model: Model, start: int, stop: int) -> Samples:
        """Samples start..stop as if nobody had set a mark: what the model has learnt shows in them."""
        others = {place: one for place, one in self.interventions.items() if not isinstance(one, Prefers)}
        return replace(self, interventions=others).drawn(model, start, stop)

    def _sample(self, model: Model, start: int, stop: int) -> Samples:
        preferring = [one for one in self.interventions.values() if isinstance(one, Prefers)]
        if not preferring:
            return self.family.sample(model, start, stop, self.bias, self.keys)
        return self.family.sample_preferring(  # type: ignore[attr-defined]
            model, start, stop, self.bias, self.keys, partial(_prefer, preferring[0], self.generation)
        )

    def _chosen(self, model: Model, start: int, stop: int, one: Chooses, state: State) -> Samples:
        """Chunk by chunk: of its candidates the best, in the order in which they were drawn."""
        chunk = self.family.chunk
        n = math.ceil(chunk / one.share)
        parts = []
        for c in range(start // chunk, -(-stop // chunk)):
            candidates = self._sample(model, c * n, (c + 1) * n)
            best = np.argsort(-one.score(candidates, state), axis=1, kind="stable")[:, :chunk]
            parts.append(take(candidates, np.sort(best, axis=1)))
        return concatenate(parts).rows(start - start // chunk * chunk, stop - start // chunk * chunk)


def _prefer(one: Prefers, generation: int, previous: np.ndarray, n_symbols: int) -> np.ndarray:
    return one.logit_bias(previous, generation, n_symbols)


def take(samples: Samples, index: np.ndarray) -> Samples:
    """Of each trajectory the rows index [B, m]."""
    b = np.arange(len(index))[:, None]
    return Samples(samples.x[b, index], samples.label[b, index], samples.weight[b, index])


def publisher_of(cohort: Cohort, store: Store, generation: int) -> Publisher:
    """Who draws what that generation publishes."""
    head = cohort.head
    states = {place: open_state(cohort, store, place) for place in head.active}
    return Publisher(head.family, head.loop.bias, cohort.keys.at("sample", generation), generation, head.active, states)
