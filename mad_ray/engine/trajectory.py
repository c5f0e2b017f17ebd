"""A cohort's trajectories, run to the end; what happens on the way is told to a Watcher."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from mad_ray.core.errors import StoreError
from mad_ray.core.manifest import Manifest
from mad_ray.core.trajectory import Cohort
from mad_ray.core.values import decode_rows
from mad_ray.engine.failures import reason_of
from mad_ray.engine.generation import advance
from mad_ray.engine.memory import limited, told
from mad_ray.engine.runtime import Report, Runtime, silent
from mad_ray.engine.settle import is_finished
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.store import Store
from mad_ray.ledger.studies import clear_failure, record_failure


@dataclass(frozen=True)
class Commit:
    """A span of generations became part of the ledger. values: metric -> mean over seeds at its last generation.

    seconds: stage -> wall seconds; n_bytes: what was written; n_resumed: optimiser steps that a checkpoint spared.
    """

    first: int
    last: int
    wall_s: float
    values: dict[str, float]
    is_new: bool
    seconds: dict[str, float] = field(default_factory=dict)
    n_bytes: int = 0
    n_resumed: int = 0


class Watcher(Protocol):
    """Whoever wants to know how far the trajectories are; all methods return at once."""

    def stage(self, cohort: str, stage: str, generation: int, share: float) -> None:
        """A stage of a generation has come that far."""
        ...

    def committed(self, cohort: str, commit: Commit) -> None:
        """Generations are committed. Of what earlier runs committed the newest is told, is_new False."""
        ...

    def failed(self, cohort: str, generation: int, reason: str) -> None:
        """The cohort cannot go on."""
        ...


def run_cohort(
    cohort: Cohort, store: Store, runtime: Runtime, report: Report = silent
) -> Iterator[tuple[Manifest, bool]]:
    """Advance until every generation is committed; yields (manifest, is_new) of the whole chain, old ones first."""
    ledger = Ledger(store, cohort)
    yield from ((manifest, False) for manifest in _committed(cohort, ledger))
    yield from ((manifest, True) for manifest in _advanced(cohort, ledger, runtime, report))


def _committed(cohort: Cohort, ledger: Ledger) -> list[Manifest]:
    """What the ledger holds of the cohort's generations."""
    return [manifest for manifest in ledger.history() if manifest.first <= cohort.n_generations]


def _advanced(cohort: Cohort, ledger: Ledger, runtime: Runtime, report: Report) -> Iterator[Manifest]:
    """Every manifest that is committed from now on, until the last generation is."""
    n_told = len(ledger.verified)
    while not is_finished(cohort, ledger):
        advance(cohort, ledger, runtime, report)
        # Who lost the race may find more than one that others have committed since.
        yield from ledger.verified[n_told:]
        n_told = len(ledger.verified)


def run_watched(
    study: str,
    cohort: Cohort,
    store: Store,
    runtime: Runtime,
    watcher: Watcher,
    is_passing: Callable[[Exception], bool] = lambda error: False,
    memory_mib: int = 0,
) -> bool:
    """Run a cohort to its end; False if it failed, with the reason kept in the store and the others free to go on.

    memory_mib: what this process may allocate for it; 0: all there is. Errors of the store, and those that `is_passing`
    (a process was lost; a restart cures it), are raised instead.
    """
    clear_failure(store, study, cohort.id)
    ledger = Ledger(store, cohort)
    try:
        with limited(memory_mib):
            # Each that is told costs a request, and a trial may start again a hundred times: the newest says it all.
            for manifest in _committed(cohort, ledger)[-1:]:
                watcher.committed(cohort.id, summarize(ledger, manifest, is_new=False))
            for manifest in _advanced(cohort, ledger, runtime, partial(watcher.stage, cohort.id)):
                watcher.committed(cohort.id, summarize(ledger, manifest, is_new=True))
    except StoreError:
        raise
    except Exception as error:
        if is_passing(error):
            raise
        t, reason = ledger.last + 1, reason_of(told(error, memory_mib))
        record_failure(store, study, cohort.id, t, reason)
        watcher.failed(cohort.id, t, reason)
        return False
    return True


def summarize(ledger: Ledger, manifest: Manifest, is_new: bool) -> Commit:
    """A manifest in numbers for a screen."""
    found: dict[str, list[float]] = defaultdict(list)
    rows = list(decode_rows(ledger.read_blob(manifest, manifest.metrics)))
    last = max((row["generation"] for row in rows), default=0)
    for row in rows:
        if row["generation"] == last and row["value"] is not None:
            found[row["metric"]].append(row["value"])
    values = {name: sum(of) / len(of) for name, of in found.items()}
    told = manifest.provenance
    spent = told.get("seconds", {}), told.get("n_bytes", 0), told.get("resumed_steps", 0)
    return Commit(manifest.first, manifest.last, told.get("wall_s", 0.0), values, is_new, *spent)
