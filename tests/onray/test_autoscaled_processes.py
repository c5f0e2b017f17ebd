"""Ray's own autoscaler, adding real raylets of this machine: nodes come when trials need them, and leave when idle."""

import time
from typing import Any

import psutil
import pytest

from tests.onray.cluster import Cluster, own_cluster
from tests.onray.nodes import on
from tests.onray.processes import PATIENCE_S, Study
from tests.onray.studies import SLOW

MAX_NODES, CPUS = 2, 2
AUTOSCALING: dict[str, Any] = {
    "cluster_name": "ours",
    "max_workers": MAX_NODES,
    "upscaling_speed": 1.0,
    # On a busy machine it takes long until a new node has something to do.
    "idle_timeout_minutes": 0.5,
    # Nodes of one machine share its address, and need no set-up by ssh.
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "auth": {},
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "spot": {"resources": {"CPU": CPUS}, "node_config": {}, "min_workers": 0, "max_workers": MAX_NODES},
    },
    "head_node_type": "ray.head.default",
    "file_mounts": {},
    "cluster_synced_files": [],
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}


@pytest.mark.slow
@pytest.mark.timeout(2700)
def test_nodes_come_on_demand_and_leave_when_idle(uninterrupted, tmp_path):
    """Two trials at once need four CPUs, of which the cluster has none when the study starts."""
    env = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    with own_cluster(0, AUTOSCALING, **env) as cluster:
        refused = Study(tmp_path / "refused", SLOW, env=on(cluster)).run()
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "the cluster offers 0 CPUs" in refused.stderr
        assert "say with run.max_cpus how far the cluster grows by itself" in refused.stderr
        study = Study(tmp_path / "grows", SLOW, sets=(f"run.max_cpus={MAX_NODES * CPUS}",), env=on(cluster))
        assert n_nodes(cluster) == 0, "nobody asked for one yet"
        driver = study.start()
        try:
            driver.until("all nodes", lambda: n_nodes(cluster) == MAX_NODES)
            assert driver.wait() == 0, study.screen
        finally:
            driver.stop()
        assert study.digests() == uninterrupted(SLOW)
        deadline = time.monotonic() + PATIENCE_S
        while n_nodes(cluster):
            assert time.monotonic() < deadline, "idle nodes stay"
            time.sleep(0.5)


def n_nodes(cluster: Cluster) -> int:
    """Raylets of the cluster beside the head's."""
    found = 0
    for process in psutil.process_iter(["name", "cmdline"]):
        words = process.info["cmdline"] or []
        found += process.info["name"] == "raylet" and any(str(cluster.folder) in word for word in words)
    return found - 1
