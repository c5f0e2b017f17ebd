"""A Ray cluster of our own: a head node, started and stopped beside any other Ray of the machine."""

import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.onray.processes import PATIENCE_S, environment, gone_within, kill_all


@dataclass(frozen=True)
class Cluster:
    """A Ray head node of our own."""

    address: str
    dashboard: str
    folder: Path
    """Ray's temporary files: logs, sockets, and what tells Prometheus where to look."""


def _start_head(
    folder: str, n_cpus: int, ports: tuple[int, int, int, int], autoscaling: dict[str, Any], **env: str
) -> Iterator[Cluster]:
    """`ray start --head`, stopped by its own process ids: `ray stop` would stop every Ray of the machine."""
    gcs, dashboard, client, agent = ports
    command = [
        str(Path(sys.executable).parent / "ray"),
        *("start", "--head", "--block", "--num-cpus", str(n_cpus), "--temp-dir", folder),
        *("--port", str(gcs), "--dashboard-port", str(dashboard), "--node-ip-address", "127.0.0.1"),
        *("--ray-client-server-port", str(client), "--dashboard-agent-listen-port", str(agent)),
        *("--object-store-memory", str(256 << 20), "--disable-usage-stats"),
    ]
    if autoscaling:
        config = {**autoscaling, "provider": {**autoscaling["provider"], "gcs_address": f"127.0.0.1:{gcs}"}}
        (Path(folder) / "autoscaling.json").write_text(json.dumps(config))
        command += ["--autoscaling-config", str(Path(folder) / "autoscaling.json")]
    with open(Path(folder) / "head.txt", "w") as log:
        head = subprocess.Popen(command, env=environment(**env), stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for_head(head, Path(folder) / "head.txt")
        yield Cluster(f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", Path(folder))
    finally:
        family = psutil.Process(head.pid).children(recursive=True) if head.poll() is None else []
        head.send_signal(signal.SIGTERM)
        gone_within(family, 10)
        kill_all(family)
        head.kill()
        head.wait()


def _wait_for_head(head: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while "Ray runtime started" not in log.read_text():
        assert head.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@contextmanager
def own_cluster(n_cpus: int, autoscaling: dict[str, Any] | None = None, **env: str) -> Iterator[Cluster]:
    """A head node with so many CPUs, with Ray's autoscaler if configured; env: added to what its processes inherit."""
    # A short path: Ray puts sockets below it, whose names may have 107 characters.
    folder = tempfile.mkdtemp(prefix="mr")
    try:
        with ExitStack() as stack:
            # Outside 10002..19999, where Ray's workers listen.
            ports = tuple(stack.enter_context(_free_port()) for _ in range(4))
            stack.close()
            yield from _start_head(folder, n_cpus, ports, autoscaling or {}, **env)  # type: ignore[arg-type]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _free_port() -> Iterator[int]:
    with socket.socket() as found:
        while True:
            port = random.SystemRandom().randrange(20000, 32000)
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            yield port
            return
