"""A study on Ray Tune: one trial per pack of cohorts, one report per commit, restarts that go on from the ledger."""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mad_ray.core.errors import Preempted, StoreError
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.plan import Pack, groups_of
from mad_ray.engine.rounds import Rounds
from mad_ray.engine.runtime import Runtime
from mad_ray.engine.settle import is_finished
from mad_ray.engine.threads import fix_threads
from mad_ray.engine.trajectory import Watcher, run_group
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.store import Store
from mad_ray.ledger.studies import read_failure, record_failure
from mad_ray.onray.elastic import counted, keep_helpers_here
from mad_ray.onray.failures import is_passing, lost_trial
from mad_ray.onray.preemption import this_node, watched
from mad_ray.onray.resources import Execution
from mad_ray.onray.restarts import MOVES, SAVED_S, saved_s

POLL_S = 0.5


@dataclass(frozen=True)
class TrialJob:
    """All that a trial needs besides the number of its pack. Pickles."""

    study: str
    store: Store
    packs: tuple[Pack, ...]
    execution: Execution

    def pack_of(self, config: Mapping[str, Any]) -> Pack:
        """What the trial of that config computes."""
        return config["work"].pack if "work" in config else self.packs[config["pack"]]


def run_packs(
    study: str, store: Store, packs: Sequence[Pack], execution: Execution, logs: Path, watcher: Watcher
) -> dict[str, str]:
    """Run every pack to its end; returns cohort -> why its trial was given up. All reasons are stored as well.

    StoreError if the store refused: then nothing of this study can go on.
    """
    job = TrialJob(study, store, tuple(packs), execution)
    lost = _lost(_run(job, logs, watcher, param_space=_every(job.packs)), job.packs, job)
    # One of a pack took the process with it again and again; the others did nothing wrong.
    apart = [(group, len(groups)) for groups in map(groups_of, packs) for group in groups]
    alone = tuple(group for group, n in apart if n > 1 and any(cohort.id in lost for cohort in group))
    if alone:
        job = replace(job, packs=alone)
        again = _lost(_run(job, logs, watcher, param_space=_every(alone)), alone, job)
        tried = {cohort.id for group in alone for cohort in group}
        lost = {cohort: reason for cohort, reason in lost.items() if cohort not in tried} | again
    return _kept(lost, packs, job)


def run_rounds(
    study: str, store: Store, rounds: Rounds, execution: Execution, logs: Path, watcher: Watcher
) -> dict[str, str]:
    """Run what a search asks for, round by round, until it ends; returns the lost cohorts as `run_packs` does."""
    from mad_ray.onray.search import RoundSearcher

    searcher = RoundSearcher(rounds, execution.max_concurrent)
    job = TrialJob(study, store, (), execution)
    grid = _run(job, logs, watcher, search_alg=searcher, num_samples=-1)
    if searcher.error:
        raise searcher.error
    return _kept(_lost(grid, searcher.suggested, job), searcher.suggested, job)


def _run(job: TrialJob, logs: Path, watcher: Watcher, param_space: dict[str, Any] | None = None, **search: Any) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from mad_ray.onray.board import Board

    # Tune's tracebacks of lost trials stay in its folder (error.txt); the screen gets one line each.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    keep_helpers_here()
    # Beside the driver, which outlives the nodes that work; should it die all the same, it starts anew.
    beside = NodeAffinitySchedulingStrategy(this_node(), soft=True)
    board = Board.options(scheduling_strategy=beside).remote()  # type: ignore[attr-defined]
    tuner = _tuner(job, board, logs, param_space or {}, search, watcher)
    with _relay(board, watcher) as stopped:
        grid = tuner.fit()
    if stopped:
        raise StoreError(stopped[0])
    return grid


def _lost(grid: Any, packs: Sequence[Pack], job: TrialJob) -> dict[str, str]:
    """Cohort -> why its trial was given up, of those neither finished nor failed by themselves, in the order of packs.

    (A trial that died before its first report does not tell its config.)
    """
    given_up = {i: lost_trial(result.error, job.execution.retries) for i, result in enumerate(grid) if result.error}
    return {cohort.id: reason for i, reason in given_up.items() for cohort in packs[i] if _is_open(cohort, job)}


def _is_open(cohort: Cohort, job: TrialJob) -> bool:
    return read_failure(job.store, job.study, cohort.id) is None and not is_finished(cohort, Ledger(job.store, cohort))


def _kept(lost: dict[str, str], packs: Sequence[Pack], job: TrialJob) -> dict[str, str]:
    """The same, once it is stored for `status` and the report."""
    for cohort in {cohort.id: cohort for pack in packs for cohort in pack}.values():
        if cohort.id in lost and _is_open(cohort, job):
            t = Ledger(job.store, cohort).last + 1
            record_failure(job.store, job.study, cohort.id, t, lost[cohort.id])
    return lost


def _every(packs: Sequence[Pack]) -> dict[str, Any]:
    from ray import tune

    return {"pack": tune.grid_search(list(range(len(packs))))}


def _tuner(
    job: TrialJob, board: Any, logs: Path, param_space: dict[str, Any], search: dict[str, Any], watcher: Watcher
) -> Any:
    """A trial per pack. Nothing of an earlier run is restored: the ledger says what is left to do."""
    from ray import tune

    from mad_ray.onray.discretion import keep_secrets
    from mad_ray.onray.metrics import restart_counters
    from mad_ray.onray.restarts import Restarts

    keep_secrets()
    execution = job.execution
    resources = {"cpu": execution.cpus, **({"gpu": execution.trial_gpus} if execution.trial_gpus else {})}
    resources |= execution.reserved_bytes
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(run_trial, job=job, board=board), resources),
        param_space=param_space,
        tune_config=tune.TuneConfig(max_concurrent_trials=execution.max_concurrent, reuse_actors=True, **search),
        run_config=tune.RunConfig(
            name=job.study,
            storage_path=str(logs.resolve()),
            failure_config=tune.FailureConfig(max_failures=execution.retries),
            callbacks=[Restarts(execution.retries), *restart_counters(watcher, job.pack_of)],
            verbose=0,
        ),
    )


def run_trial(config: dict[str, Any], job: TrialJob, board: Any) -> None:
    """The function trainable. The newest commit of earlier runs is reported first, since Tune counts anew.

    Preempted when the trial's node is about to be taken away, ProcessLost when what worked for it is gone: Tune starts
    it again elsewhere.
    """
    from ray import tune

    from mad_ray.onray.board import TrialWatcher
    from mad_ray.onray.runtime import RayRuntime
    from mad_ray.onray.sample import quiet_data

    fix_threads(job.execution.threads)
    quiet_data()
    watcher = TrialWatcher(board, tune.report)
    pack = job.pack_of(config)
    with watched([this_node()]) as notice, counted(job.execution):
        if notice():
            notice.wait_for_end()
            raise Preempted("its node is being taken away, and no other had room")
        runtime = RayRuntime(job.execution, notice)
        for group in groups_of(pack):
            try:
                _run_group(group, job, runtime, watcher)
            except StoreError as error:
                # Restarting the trial would meet the same store; the driver says why, once, and stops.
                watcher.stopped(group[0].id, str(error))
                return


def _run_group(group: Pack, job: TrialJob, runtime: Runtime, watcher: Any) -> None:
    """To its end, telling Tune of what restarts are granted for."""
    from ray import tune

    # Nothing is told where nothing is saved: Tune's table has the columns of the first report.
    if saved := _newest_s(group, job):
        tune.report({"generation": 0, SAVED_S: saved})
    try:
        run_group(job.study, group, job.store, runtime, watcher, is_passing, job.execution.trial_memory)
    except Preempted:
        tune.report({"generation": 0, SAVED_S: _newest_s(group, job), MOVES: 1.0})
        raise


def _newest_s(group: Pack, job: TrialJob) -> float:
    return max(saved_s(job.store, cohort) for cohort in group)


@contextmanager
def _relay(board: Any, watcher: Watcher) -> Iterator[list[str]]:
    """Hand what the board is told on to the watcher while the block runs; yields the messages of stopped trials."""
    stopped: list[str] = []
    done = threading.Event()

    def poll() -> None:
        last = False
        while not last:
            last = done.wait(POLL_S)
            for method, cohort, rest in _look(board):
                if method == "stopped":
                    stopped.append(rest[0])
                else:
                    getattr(watcher, method)(cohort, *rest)

    thread = threading.Thread(target=poll, daemon=True, name="mad-ray-board")
    thread.start()
    try:
        yield stopped
    finally:
        done.set()
        thread.join(timeout=10)


def _look(board: Any) -> list[Any]:
    import ray

    try:
        return ray.get(board.look.remote(), timeout=30)
    except (ray.exceptions.RayError, TimeoutError):
        return []
