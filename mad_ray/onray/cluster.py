"""Starting Ray here, or joining the cluster that RAY_ADDRESS names; quietly."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mad_ray.core.errors import MadError
from mad_ray.onray.resources import Execution, check_resources

OBJECT_STORE_BYTES = 512 << 20


@contextmanager
def ray_session(execution: Execution, n_trials: int, logical_cpus: int) -> Iterator[None]:
    """Ray for the block's duration. Insufficient if its cluster is too small for the trials that run at once.

    A Ray started here has logical CPUs, at least as many as can be waited for; a cluster's are what they are.
    """
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("RAY_DATA_USE_DATASOURCE_V2", "0")
    # Ctrl-C ends the command, as everywhere else; Tune would wait for its trials first.
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    started = not ray.is_initialized()
    try:
        if started and os.environ.get("RAY_ADDRESS"):
            ray.init(**quiet)
        elif started:
            at_once = min(execution.max_concurrent, n_trials)
            ray.init(
                address="local",
                num_cpus=max(logical_cpus, int(-(-at_once * execution.peak_cpus // 1))),
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                **quiet,
            )
    except ConnectionError as error:
        address = os.environ.get("RAY_ADDRESS")
        raise MadError(f"RAY_ADDRESS={address}: no Ray cluster answers there; correct it, or unset it") from error
    try:
        offered = ray.cluster_resources()
        check_resources(execution, n_trials, offered.get("CPU", 0), offered.get("GPU", 0))
        yield
    finally:
        if started:
            ray.shutdown()
