"""Nodes that come to a Ray cluster of our own, get notice, and go: real raylets, each with its own processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.onray.cluster import Cluster, own_cluster
from tests.onray.processes import PATIENCE_S, Study, environment, kill_all

RAY = str(Path(sys.executable).parent / "ray")


@dataclass(frozen=True)
class Node:
    """A worker node: `ray start --block`, in its own process group."""

    cluster: Cluster
    process: subprocess.Popen
    resource: str

    @property
    def id(self) -> str:
        """Ray's id of it, looked up by the resource that only this node has."""
        return _ask(self.cluster, f"print(*[n['NodeID'] for n in ray.nodes() if '{self.resource}' in n['Resources']])")

    def processes(self, title: str = "") -> list[psutil.Process]:
        """Those of the node whose title holds that text."""
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [process for process in found if title in _title(process)]

    def drain(self, deadline_s: int = 60) -> None:
        """Tell the cluster that this node will be taken away, as a cloud's notice does."""
        command = [RAY, "drain-node", "--address", self.cluster.address, "--node-id", self.id]
        command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot"]
        command += ["--deadline-remaining-seconds", str(deadline_s)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stdout + done.stderr

    def kill(self) -> None:
        """SIGKILL everything of it, as a machine that is switched off."""
        kill_all([*self.processes(), *([psutil.Process(self.process.pid)] if self.process.poll() is None else [])])
        self.process.wait()


@contextmanager
def nodes_of(cluster: Cluster) -> Iterator[Callable[[int], Node]]:
    """How to add a node of so many CPUs; all of them end with the block."""
    nodes: list[Node] = []

    def add(n_cpus: int) -> Node:
        resource = f"node-{len(nodes)}"
        command = [RAY, "start", "--block", "--address", cluster.address, "--num-cpus", str(n_cpus)]
        command += ["--node-ip-address", "127.0.0.1", "--resources", f'{{"{resource}": 1}}']
        command += ["--object-store-memory", str(128 << 20), "--disable-usage-stats"]
        log = cluster.folder / f"{resource}.txt"
        with open(log, "w") as out:
            process = subprocess.Popen(command, env=environment(), stdout=out, stderr=out, start_new_session=True)
        nodes.append(Node(cluster, process, resource))
        deadline = time.monotonic() + PATIENCE_S
        while "Ray runtime started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        return nodes[-1]

    try:
        yield add
    finally:
        for node in nodes:
            node.kill()


@contextmanager
def cluster_of(n_head: int, *n_nodes: int) -> Iterator[tuple[Cluster, list[Node], Callable[[int], Node]]]:
    """(a head of n_head CPUs, further nodes, how to add more)."""
    with own_cluster(n_head) as cluster, nodes_of(cluster) as add:
        yield cluster, [add(n) for n in n_nodes], add


def on(cluster: Cluster) -> dict[str, str]:
    """What a study's environment needs to run there."""
    return {"RAY_ADDRESS": cluster.address}


def resumed_steps(study: Study) -> dict[int, int]:
    """Generation -> steps of its fit that an earlier attempt had saved, of a study of one trajectory."""
    ((*manifests,),) = study.manifests().values()
    return {manifest.last: manifest.provenance.get("resumed_steps", 0) for manifest in manifests}


def _ask(cluster: Cluster, line: str) -> str:
    """What one line of Python prints on the cluster."""
    code = f"import ray; ray.init(address='{cluster.address}', logging_level='ERROR', log_to_driver=False); {line}"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment(), **os.environ}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
