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
    from mad_ray.onray.board import Board

    # Tune's tracebacks of lost trials stay in its folder (error.txt); the screen gets one line each.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    board = Board.remote()  # type: ignore[attr-defined]
    tuner = _tuner(TrialJob(study, store, tuple(packs), execution), board, logs)
    with _relay(board, watcher) as stopped:
        grid = tuner.fit()
    if stopped:
        raise StoreError(stopped[0])
    # In the order of packs. (A trial that died before its first report does not tell its config.)
    lost = {i: lost_trial(result.error, execution.retries) for i, result in enumerate(grid) if result.error}
    return {cohort.id: reason for i, reason in lost.items() for cohort in packs[i]}


def _tuner(job: TrialJob, board: Any, logs: Path) -> Any:
    """A trial per pack. Nothing of an earlier run is restored: the ledger says what is left to do."""
    from ray import tune

    execution = job.execution
    resources = {"cpu": execution.cpus, **({"gpu": execution.trial_gpus} if execution.trial_gpus else {})}
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(run_trial, job=job, board=board), resources),
        param_space={"pack": tune.grid_search(list(range(len(job.packs))))},
        tune_config=tune.TuneConfig(max_concurrent_trials=execution.max_concurrent, reuse_actors=True),
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
    for cohort in job.packs[config["pack"]]:
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
