"""A Ray cluster whose nodes come and go: a head without CPUs, and nodes that are killed, drained and replaced."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psutil

from tests.onray.cluster import own_cluster
from tests.onray.nodes import RAY, Node, nodes_of
from tests.onray.processes import environment, kill_all

NODE_CPUS = 6
DRAIN_S = 4


class Cloud:
    """A head and its nodes, which it outlives."""

    def __init__(self, n_nodes: int = 2, **env: str) -> None:
        self._n_nodes, self._env = n_nodes, env
        self._stack = ExitStack()
        self.nodes: list[Node] = []

    def start(self) -> None:
        """Head and nodes, ready."""
        self._cluster = self._stack.enter_context(own_cluster(0, **self._env))
        self._add = self._stack.enter_context(nodes_of(self._cluster))
        for _ in range(self._n_nodes):
            self.add()

    def stop(self) -> None:
        """All of it; `start` begins another."""
        self.nodes = []
        self._stack.close()

    def crash(self) -> None:
        """Switch all of it off."""
        kill_all([*self.head, *self.processes])
        self.stop()

    @property
    def address(self) -> str:
        return self._cluster.address

    @property
    def head(self) -> list[psutil.Process]:
        """The processes of the head node: its root, the control store, its raylet, its agents."""
        port = self.address.rpartition(":")[2]
        for process in psutil.Process().children():
            with suppress(psutil.Error):
                if "--head" in process.cmdline() and port in process.cmdline():
                    return [process, *process.children(recursive=True)]
        return []

    @property
    def processes(self) -> list[psutil.Process]:
        """Everything on the worker nodes."""
        return [process for node in self.nodes for process in node.processes()]

    def add(self) -> Node:
        """One more node, once it has started. Tried again: on a very busy machine Ray gives a start up."""
        for last in (False, False, True):
            try:
                self.nodes.append(self._add(NODE_CPUS))
            except AssertionError:
                if last:
                    raise
            else:
                break
        return self.nodes[-1]

    def lose(self, node: Node) -> None:
        """Switch a node off, and have another one instead, as a spot fleet does."""
        self.nodes.remove(node)
        node.kill()
        self.add()

    def drain(self, node: Node) -> None:
        """The notice of a spot interruption. The node is still there afterwards, for DRAIN_S seconds."""
        command = [
            *(RAY, "drain-node", "--address", self.address, "--node-id", self._id(node)),
            *("--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot interruption"),
            *("--deadline-remaining-seconds", str(DRAIN_S)),
        ]
        subprocess.run(command, env=environment(), check=True, capture_output=True, timeout=120)

    def _id(self, node: Node) -> str:
        """Ray's id of it, asked of the control store itself: a driver of our own would take seconds to start."""
        from ray._private.state import GlobalState
        from ray._raylet import GcsClientOptions

        options = GcsClientOptions.create(self.address, None, allow_cluster_id_nil=True, fetch_cluster_id_if_nil=False)
        state = GlobalState()
        state._initialize_global_state(options)
        try:
            return next(one["NodeID"] for one in state.node_table() if node.resource in one["Resources"])
        finally:
            state.disconnect()


@contextmanager
def a_cloud(n_nodes: int = 2, **env: str) -> Iterator[Cloud]:
    """For the duration of the block. env: settings of the head's processes."""
    cloud = Cloud(n_nodes, **env)
    try:
        cloud.start()
        yield cloud
    finally:
        cloud.stop()


def raylet_of(node: Node) -> psutil.Process | None:
    """The daemon that is the node, to Ray."""
    for process in node.processes():
        with suppress(psutil.Error):
            if process.name() == "raylet":
                return process
    return None
