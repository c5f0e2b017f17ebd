"""Starting Ray here, or joining the cluster that RAY_ADDRESS names; quietly."""

import logging
import math
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mad_ray.core.errors import MadError
from mad_ray.onray.resources import Execution, check_memory, check_resources

OBJECT_STORE_BYTES = 512 << 20
CONNECT_S = 10
SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DATA_USE_DATASOURCE_V2": "0",
    # Ctrl-C ends the command, as everywhere else; Tune would wait for its trials first.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
# A Ray of this machine alone: with its network address, Ray's processes would listen to everybody. Read at the import.
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@contextmanager
def ray_session(execution: Execution, n_trials: int, logical_cpus: int) -> Iterator[None]:
    """Ray for the block's duration. Insufficient if its cluster is too small for the trials that run at once.

    A Ray started here has logical CPUs, at least as many as can be waited for; a cluster's are what they are.
    """
    settings = SETTINGS if os.environ.get("RAY_ADDRESS") else {**SETTINGS, **ON_LOOPBACK}
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    import ray

    started = not ray.is_initialized()
    try:
        if started:
            _start(execution, n_trials, logical_cpus)
        offered = ray.cluster_resources()
        check_resources(execution, n_trials, offered.get("CPU", 0), offered.get("GPU", 0))
        check_memory(execution, n_trials, offered.get("memory", 0) / 2**30)
        yield
    finally:
        if started:
            ray.shutdown()


def _start(execution: Execution, n_trials: int, logical_cpus: int) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    # The working directory is shipped by Ray itself.
    folders = [folder for folder in execution.folders if folder != os.getcwd()]
    if folders:
        quiet["runtime_env"] = {"env_vars": {"PYTHONPATH": _python_path(folders)}}
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        ray.init(address="local", include_dashboard=False, **_local_size(execution, n_trials, logical_cpus), **quiet)
        return
    try:
        require_answer(address)
        ray.init(**quiet)
    except (ConnectionError, OSError) as error:
        raise MadError(f"RAY_ADDRESS={address}: no Ray cluster answers there; correct it, or unset it") from error


def _python_path(folders: Sequence[str]) -> str:
    """The user's own modules are pickled by name: every process must find them where this one did."""
    return os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), *folders])


def require_answer(address: str) -> None:
    """OSError unless something listens at host:port. Ray itself would knock for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()


def _local_size(execution: Execution, n_trials: int, logical_cpus: int) -> dict[str, Any]:
    at_once = min(execution.max_concurrent, n_trials)
    n_cpus = max(logical_cpus, math.ceil(at_once * execution.peak_cpus))
    # Trials, the helpers of their fits, and processes kept for later: most of them wait.
    n_processes = n_cpus + at_once * (6 if execution.workers else 1) + 4
    return {
        "num_cpus": n_cpus,
        "object_store_memory": OBJECT_STORE_BYTES,
        # Ray warns of four times as many processes as it may start at once, by default one a core.
        "_system_config": {"worker_maximum_startup_concurrency": math.ceil(n_processes / 4)},
    }
