"""A study on Ray Tune: one trial per pack of cohorts, one report per commit, restarts that go on from the ledger."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mad_ray.core.errors import StoreError
from mad_ray.engine.plan import Pack
from mad_ray.engine.rounds import Rounds
from mad_ray.engine.threads import fix_threads
from mad_ray.engine.trajectory import Watcher, run_watched
from mad_ray.ledger.store import Store
from mad_ray.onray.failures import is_passing, lost_trial
from mad_ray.onray.resources import Execution

POLL_S = 0.5


@dataclass(frozen=True)
class TrialJob:
    """All that a trial needs besides the number of its pack. Pickles."""

    study: str
    store: Store
    packs: tuple[Pack, ...]
    execution: Execution


def run_packs(
    study: str, store: Store, packs: Sequence[Pack], execution: Execution, logs: Path, watcher: Watcher
) -> dict[str, str]:
    """Run every pack to its end; returns cohort -> why its trial was given up (failed cohorts' reasons are stored).

    StoreError if the store refused: then nothing of this study can go on.
    """
    job = TrialJob(study, store, tuple(packs), execution)
    grid = _run(job, logs, watcher, param_space={"pack": _every(len(packs))})
    return _lost(grid, packs, execution)


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
    return _lost(grid, searcher.suggested, execution)


def _run(job: TrialJob, logs: Path, watcher: Watcher, param_space: dict[str, Any] | None = None, **search: Any) -> Any:
    from mad_ray.onray.board import Board

    # Tune's tracebacks of lost trials stay in its folder (error.txt); the screen gets one line each.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    board = Board.remote()  # type: ignore[attr-defined]
    tuner = _tuner(job, board, logs, param_space or {}, search)
    with _relay(board, watcher) as stopped:
        grid = tuner.fit()
    if stopped:
        raise StoreError(stopped[0])
    return grid


def _lost(grid: Any, packs: Sequence[Pack], execution: Execution) -> dict[str, str]:
    """In the order of packs. (A trial that died before its first report does not tell its config.)"""
    lost = {i: lost_trial(result.error, execution.retries) for i, result in enumerate(grid) if result.error}
    return {cohort.id: reason for i, reason in lost.items() for cohort in packs[i]}


def _every(n: int) -> dict[str, Any]:
    from ray import tune

    return tune.grid_search(list(range(n)))


def _tuner(job: TrialJob, board: Any, logs: Path, param_space: dict[str, Any], search: dict[str, Any]) -> Any:
    """A trial per pack. Nothing of an earlier run is restored: the ledger says what is left to do."""
    from ray import tune

    execution = job.execution
    resources = {"cpu": execution.cpus, **({"gpu": execution.trial_gpus} if execution.trial_gpus else {})}
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(run_trial, job=job, board=board), resources),
        param_space=param_space,
        tune_config=tune.TuneConfig(max_concurrent_trials=execution.max_concurrent, reuse_actors=True, **search),
        run_config=tune.RunConfig(
            name=job.study,
            storage_path=str(logs.resolve()),
            failure_config=tune.FailureConfig(max_failures=execution.retries),
            verbose=0,
        ),
    )


def run_trial(config: dict[str, Any], job: TrialJob, board: Any) -> None:
    """The function trainable. What the ledger holds is reported again, since Tune counts anew after a restart."""
    from ray import tune

    from mad_ray.onray.board import TrialWatcher
    from mad_ray.onray.runtime import RayRuntime
    from mad_ray.onray.sample import quiet_data

    fix_threads(job.execution.threads)
    quiet_data()
    watcher = TrialWatcher(board, tune.report)
    runtime = RayRuntime(job.execution)
    pack = config["work"].pack if "work" in config else job.packs[config["pack"]]
    for cohort in pack:
        try:
            run_watched(job.study, cohort, job.store, runtime, watcher, is_passing)
        except StoreError as error:
            # Restarting the trial would meet the same store; the driver says why, once, and stops.
            watcher.stopped(cohort.id, str(error))
            return


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
