"""Short ways to make ecosystems and to run them to their end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mad_ray.core.ecosystem import POOL, Ecosystem, Member
from mad_ray.core.loop import Loop
from mad_ray.core.trajectory import Cohort, member_trajectory, pool_trajectory
from mad_ray.data import GaussianData
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.past import Past
from mad_ray.engine.trajectory import run_group
from mad_ray.families import Gaussian
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.store import Store
from mad_ray.metrics.measure import Metrics
from tests.engine.made_up import Ran, metric_table, models_of, new_store
from tests.engine.test_trajectory import Notes

CHEAP = Metrics(names=("w2_squared",))


def member(
    name: str,
    loop: Loop,
    *,
    family: Any = None,
    interventions: tuple = (),
    lag: int = 1,
    enters: int = 1,
    **eats: float,
) -> Member:
    return Member(name, family or Gaussian(), loop, interventions, tuple(eats.items()), lag, enters)


def herd(
    members: Iterable[Member],
    n: int,
    *,
    data: Any = None,
    metrics: Metrics = CHEAP,
    seeds: Sequence[int] = (0,),
    pool: bool = False,
) -> list[Cohort]:
    """The cohorts of its members in the order given, and of its pool."""
    data, given = data or GaussianData(d=2), tuple(members)
    found = Ecosystem(given)
    heads = [member_trajectory(data, metrics, n, found, one.name) for one in given]
    heads += [pool_trajectory(data, metrics, n, found)] if pool else []
    return [Cohort(tuple(replace(head, seed=seed) for seed in seeds)) for head in heads]


@dataclass(frozen=True)
class Herd:
    """What became of an ecosystem: its committed ledgers, by member."""

    store: Store
    ran: dict[str, Ran]
    notes: Notes
    is_done: bool

    def __getitem__(self, name: str) -> Ran:
        return self.ran[name]

    @property
    def digests(self) -> dict[str, list[str]]:
        return {name: [manifest.digest for manifest in one.manifests] for name, one in self.ran.items()}

    def table(self, name: str, metric: str = "w2_squared") -> np.ndarray:
        """[seed, generation]."""
        return metric_table(self[name], metric)

    def models(self, name: str, what: str) -> np.ndarray:
        """[generation, seed, ...] of a Gaussian's means or roots."""
        return np.array([model[what] for _, model in sorted(models_of(self[name]).items())])

    def samples(self, name: str, t: int, n: int) -> np.ndarray:
        """The first n that a member published at its generation t: [B, n, ...]."""
        one = self[name]
        past = Past(one.cohort, Ledger(self.store, one.cohort), one.manifests)
        return np.concatenate([block.x for block in past.published(t).blocks(0, n)], axis=1)


def name_of(cohort: Cohort) -> str:
    return cohort.head.member


def run_herd(cohorts: Sequence[Cohort], store: Store | None = None, read: Store | None = None) -> Herd:
    """Run them in step, in memory unless told otherwise. read: where to look afterwards, if not there."""
    store, notes = new_store() if store is None else store, Notes()
    is_done = run_group("s", cohorts, store, LocalRuntime(), notes)
    return Herd(store, look(cohorts, store if read is None else read), notes, is_done)


def look(cohorts: Sequence[Cohort], store: Store) -> dict[str, Ran]:
    return {name_of(one): Ran(store, one, Ledger(store, one).history()) for one in cohorts}


__all__ = ["CHEAP", "POOL", "Herd", "herd", "look", "member", "name_of", "run_herd"]
