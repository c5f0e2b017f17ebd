"""The size of elastic fits: Ray Train chooses it, and is told here what it does not see.

Ray counts what nodes have, less what fits and pipelines have asked for. Of the CPUs that trials hold themselves, and of
nodes that are about to go, it does not know; a fit would wait for them for ever, or until a node is gone.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from mad_ray.onray.preemption import POLL_S, draining_nodes
from mad_ray.onray.resources import Execution

# A choice that turns out impossible (a node has just gone) is made anew after so long.
START_S = 15.0


def scaling_of(execution: Execution) -> Any:
    """Ray Train's ScalingConfig: a number of workers, or bounds between which it chooses as nodes come and go."""
    from ray.train import ScalingConfig

    workers = (execution.fewest_workers, execution.workers) if execution.is_elastic else execution.workers
    gpus = {"GPU": execution.gpus} if execution.gpus else {}
    return ScalingConfig(
        num_workers=workers,  # type: ignore[arg-type]
        use_gpu=execution.gpus > 0,
        resources_per_worker={"CPU": execution.cpus, **gpus, **execution.reserved_bytes},
    )


@contextmanager
def counted(execution: Execution) -> Iterator[None]:
    """Within the block Ray counts what this trial holds, and does not count on nodes that are about to go."""
    if not execution.is_elastic:
        yield
        return
    import ray

    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(START_S))
    done = threading.Event()
    own = {"CPU": execution.cpus, **execution.reserved_bytes}
    with _withheld(f"mad-ray-trial-{ray.get_runtime_context().get_actor_id()}", own):
        thread = threading.Thread(target=_withhold_draining, args=(done,), daemon=True, name="mad-ray-elastic")
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _withhold_draining(done: threading.Event) -> None:
    """Until done: nobody counts on what a draining node has. All trials name a node alike, so it is counted once."""
    held: dict[str, ExitStack] = {}
    while not done.wait(POLL_S):
        draining = draining_nodes()
        for node in draining.keys() - held.keys():
            held[node] = ExitStack()
            held[node].enter_context(_withheld(f"mad-ray-node-{node}", _resources_of(node)))
        for node in held.keys() - draining.keys():
            held.pop(node).close()
    for stack in held.values():
        stack.close()


def _resources_of(node: str) -> dict[str, float]:
    import ray

    found = [each["Resources"] for each in ray.nodes() if each["NodeID"] == node]
    return {kind: each[kind] for each in found for kind in ("CPU", "GPU", "memory") if each.get(kind)}


def _withheld(name: str, resources: dict[str, float]) -> Any:
    """A context in which so much of one node is asked for; asked for again and again, since requests expire."""
    from ray.train import ScalingConfig
    from ray.train._internal.autoscaling_coordinator_client import TrainV1ResourceReservation

    asked = ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.0, **resources}, use_gpu="GPU" in resources)
    return TrainV1ResourceReservation(name, asked, 1)


def keep_helpers_here() -> None:
    """Start the actors that Ray Data and Train share on this node: each outlives what first asks for it.

    On a node that works they would keep it from ever being idle, and an autoscaler from taking it away.
    """
    from ray.data._internal.cluster_autoscaler import default_autoscaling_coordinator as coordinator
    from ray.data._internal.stats import get_or_create_stats_actor
    from ray.data._internal.usage.actor import get_or_create_usage_collection_actor

    for start in (
        coordinator.get_or_create_autoscaling_coordinator,
        get_or_create_stats_actor,
        get_or_create_usage_collection_actor,
    ):
        start()
