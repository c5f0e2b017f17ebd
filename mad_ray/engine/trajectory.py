"""A cohort's trajectories, run to the end; what happens on the way is told to a Watcher."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
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
from mad_ray.ledger.chain import Chain
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
    while not is_finished(cohort, ledger):
        yield from _step(ledger, runtime, report)


def _step(ledger: Ledger, runtime: Runtime, report: Report) -> list[Manifest]:
    """The next span; who lost the race may find more than one that others have committed since."""
    n_told = len(ledger.verified)
    advance(ledger.cohort, ledger, runtime, report)
    return ledger.verified[n_told:]


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
    return run_group(study, (cohort,), store, runtime, watcher, is_passing, memory_mib)


def run_group(
    study: str,
    group: Sequence[Cohort],
    store: Store,
    runtime: Runtime,
    watcher: Watcher,
    is_passing: Callable[[Exception], bool] = lambda error: False,
    memory_mib: int = 0,
) -> bool:
    """`run_watched` for members of one ecosystem, in step: nobody begins a generation before all have the one before.

    One that fails stops them all; what each of them lacked is kept as its reason.
    """
    for cohort in group:
        clear_failure(store, study, cohort.id)
    ledgers = _side_by_side(group, store)
    at_work = ledgers[0]
    try:
        with limited(memory_mib):
            for at_work in ledgers:
                # Each told costs a request, and a trial may start again a hundred times: the newest says it all.
                for manifest in _committed(at_work.cohort, at_work)[-1:]:
                    watcher.committed(at_work.cohort_id, summarize(at_work, manifest, is_new=False))
            while waiting := [ledger for ledger in ledgers if not is_finished(ledger.cohort, ledger)]:
                at_work = min(waiting, key=_turn)
                for manifest in _step(at_work, runtime, partial(watcher.stage, at_work.cohort_id)):
                    watcher.committed(at_work.cohort_id, summarize(at_work, manifest, is_new=True))
    except StoreError:
        raise
    except Exception as error:
        if is_passing(error):
            raise
        _record(study, at_work, ledgers, watcher, reason_of(told(error, memory_mib)))
        return False
    return True


def _side_by_side(group: Sequence[Cohort], store: Store) -> list[Ledger]:
    """Their ledgers; what one member reads of another is what that one has read and written itself."""
    ledgers = [Ledger(store, cohort) for cohort in group]
    known: dict[str, Chain] = {ledger.cohort_id: ledger for ledger in ledgers}
    for ledger in ledgers:
        ledger.others = known
    return ledgers


def _turn(ledger: Ledger) -> tuple[int, bool, str]:
    """Whose turn it is: by the time of its next generation, the pool last, since it is of what all others published."""
    history, head = ledger.verified, ledger.cohort.head
    return (history[-1].last if history else 0) + head.enters, head.is_pool, head.member


def _record(study: str, failed: Ledger, ledgers: Sequence[Ledger], watcher: Watcher, reason: str) -> None:
    """Why one of them cannot go on, and that the others cannot without it."""
    t = failed.last + 1
    record_failure(failed.store, study, failed.cohort_id, t, reason)
    watcher.failed(failed.cohort_id, t, reason)
    for ledger in ledgers:
        if ledger is failed or is_finished(ledger.cohort, ledger):
            continue
        t_other = ledger.last + 1
        told_of = f"stopped with member {failed.cohort.head.member} at its generation {t}: {reason}"
        record_failure(ledger.store, study, ledger.cohort_id, t_other, told_of)
        watcher.failed(ledger.cohort_id, t_other, told_of)


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
