"""Which errors of Ray mean that a process was lost, and which are the computation's own. No Ray is started."""

import pytest
from ray import exceptions as core
from ray.data.exceptions import ExecutionTimeoutError, RayDataUserCodeException
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError, WorkerHealthCheckTimeoutError

from mad_ray.core.errors import StoreError
from mad_ray.onray.failures import ProcessLost, is_passing, lost_trial, real_cause

GONE = core.ActorDiedError()
PEER = RuntimeError("[pair.cc:534] Connection closed by peer [127.0.0.1]:4711")
WRONG = ValueError("n is negative")


def task_error(cause: Exception) -> Exception:
    return core.RayTaskError("fit", "Traceback ...", cause).as_instanceof_cause()


@pytest.mark.parametrize(
    "error",
    [
        core.WorkerCrashedError(),
        core.NodeDiedError("the node is gone"),
        core.OutOfMemoryError("killed"),
        core.ObjectLostError("00", "127.0.0.1", "f"),
        GONE,
        ExecutionTimeoutError("no progress"),
        task_error(GONE),
        WorkerGroupError("died", {1: GONE}),
        WorkerGroupError("died", {1: WorkerHealthCheckFailedError("no answer", GONE)}),
        WorkerGroupError("died", {0: PEER, 1: GONE}),
        WorkerGroupError("died", {0: PEER}),
        WorkerGroupError("hangs", {0: WorkerHealthCheckTimeoutError("no answer")}),
        ControllerError(GONE),
    ],
    ids=lambda error: repr(error)[:60],
)
def test_a_lost_process_passes(error):
    cause = real_cause(error, "a worker")
    assert is_passing(cause)
    assert str(cause).startswith("a worker ")
    assert "\n" not in str(cause)


@pytest.mark.parametrize(
    "error",
    [
        task_error(WRONG),
        WorkerGroupError("failed", {0: WRONG}),
        WorkerGroupError("failed", {0: PEER, 1: WRONG}),
        ControllerError(WRONG),
    ],
    ids=lambda error: repr(error)[:60],
)
def test_a_wrong_computation_stays_what_it_raised(error):
    assert real_cause(error, "a worker") is WRONG
    assert not is_passing(WRONG)


def test_what_ray_data_says_of_user_code_is_not_a_lost_process():
    assert not is_passing(real_cause(RayDataUserCodeException("fit raised"), "a sampler"))


def test_a_refusing_store_is_seen_through_a_worker_group():
    refusal = StoreError("no space is left")
    assert real_cause(WorkerGroupError("failed", {0: refusal, 1: refusal}), "a worker") is refusal


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (task_error(ProcessLost("a sampler was lost (X)")), "a sampler was lost (X); so were 2 restarts of its trial"),
        (task_error(WRONG), "ValueError: n is negative"),
    ],
)
def test_a_lost_trial_has_its_reason_in_one_line(error, reason):
    assert lost_trial(error, 2) == reason
