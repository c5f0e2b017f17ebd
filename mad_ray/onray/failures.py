"""Was a process lost, which a restart cures, or is the computation itself wrong? Ray wraps both in its own errors."""

import pickle
from collections.abc import Iterator
from typing import Any

from mad_ray.core.errors import MadError, Preempted
from mad_ray.engine.failures import reason_of

# What the surviving workers of a distributed fit say when one of them is gone; torch has no class for it.
_COLLATERAL = ("closed by peer", "reset by peer", "Broken pipe", "Connection refused", "timed out waiting")


class ProcessLost(MadError):
    """A process or node that worked for a trial is gone; a restarted trial goes on from the ledger."""

    exit_code = 1


def is_passing(error: BaseException) -> bool:
    """Whether a restarted trial can be better off."""
    return isinstance(error, (ProcessLost, Preempted))


def real_cause(error: BaseException, what: str) -> BaseException:
    """What `what` (a sampler, a worker of a fit) died of: ProcessLost, or the exception that it raised itself."""
    causes = list(_unwrap(error))
    for cause in causes:
        if isinstance(cause, Preempted):
            return cause
    for cause in causes:
        if isinstance(cause, _lost_types()):
            return ProcessLost(f"{what} was lost ({_first_sentence(cause)})")
    own = [cause for cause in causes if not _is_collateral(cause)]
    if own:
        return own[0]
    return ProcessLost(f"{what} lost its connection ({_first_sentence(error)})")


def pickle_error(error: Exception) -> bytes:
    """Not every exception survives pickling; its reason does."""
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        return pickle.dumps(RuntimeError(reason_of(error)))
    return data


def unpickled(data: bytes) -> Any:
    """A task's result; raises the exception if it is one."""
    result = pickle.loads(data)
    if isinstance(result, Exception):
        raise result
    return result


def lost_trial(error: BaseException, retries: int) -> str:
    """Why Tune gave a trial up, in one line."""
    cause = next(_unwrap(error))
    if "low on memory" in str(cause):
        return (
            f"out of memory: Ray stopped its processes, and those of {retries} restarts, since their node ran low on "
            "memory; lower run.max_concurrent or the family's batch_size, reserve what a trial needs by "
            "run.trial_memory, or take nodes with more"
        )
    if is_passing(cause):
        return f"{cause}; so were {retries} restarts of its trial"
    if isinstance(cause, _lost_types()):
        return f"the process of its trial was lost, and so were {retries} restarts ({_first_sentence(cause)})"
    return reason_of(cause) if isinstance(cause, MadError) else _first_sentence(cause)


def _unwrap(error: BaseException) -> Iterator[BaseException]:
    """The errors inside Ray's, innermost."""
    from ray.exceptions import RayTaskError
    from ray.train import ControllerError, WorkerGroupError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    inner: list[BaseException] = []
    if isinstance(error, WorkerGroupError):
        inner = list(error.worker_failures.values())
    elif isinstance(error, ControllerError):
        inner = [error.controller_failure]
    elif isinstance(error, WorkerHealthCheckFailedError):
        inner = [error.health_check_failure]
    elif isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
        inner = [error.cause]
    if not inner:
        yield error
    for cause in inner:
        yield from _unwrap(cause)


def _lost_types() -> tuple[type[BaseException], ...]:
    """Ray's names for processes, nodes and objects that are gone, and for those that never came."""
    from ray import exceptions as core
    from ray.data.exceptions import ExecutionTimeoutError
    from ray.train.v2._internal import exceptions as train
    from ray.train.v2.api.exceptions import PreemptionError

    return (
        core.WorkerCrashedError,
        core.RayActorError,
        core.NodeDiedError,
        core.LocalRayletDiedError,
        core.ObjectLostError,
        core.OutOfMemoryError,
        core.RpcError,
        core.TaskPlacementGroupRemoved,
        core.ActorPlacementGroupRemoved,
        ExecutionTimeoutError,
        PreemptionError,
        train.WorkerHealthCheckTimeoutError,
        train.WorkerGroupStartupTimeoutError,
        train.WorkerGroupStartupFailedError,
    )


def _is_collateral(error: BaseException) -> bool:
    from torch.distributed import DistError

    return isinstance(error, DistError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in _COLLATERAL)
    )


def _first_sentence(error: BaseException) -> str:
    """Class and first sentence: Ray goes on with ids, advice and tracebacks."""
    text = " ".join(str(error).split()) or "no message"
    sentence = text.partition(". ")[0].partition(" traceback:")[0].rstrip(".")
    return f"{type(error).__name__}: {sentence[:200]}"
