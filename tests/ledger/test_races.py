"""Several processes on one study, stopped ones among them: one winner for each commit, and nobody's data mixed."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mad_ray.ledger.chain import Chain
from mad_ray.ledger.gc import collect
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.open import open_store
from mad_ray.ledger.verify import verify_cohort
from tests.chaos.proxy import Proxy
from tests.ledger import racer

RACER = Path(racer.__file__)
PATIENCE_S = 800.0
pytestmark = pytest.mark.timeout(900)
N_WRITERS = 20


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow), "real s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path / "store")
    elif request.param == "real s3":
        if "MAD_RAY_S3_URL" not in os.environ:
            pytest.skip("MAD_RAY_S3_URL names no prefix on a real S3 server")
        yield f"{os.environ['MAD_RAY_S3_URL'].rstrip('/')}/{uuid.uuid4().hex}"
    else:
        s3 = request.getfixturevalue("s3")
        # moto looks whether there is an object, and writes it, in two steps: two at once may both be told they won.
        with Proxy(s3.endpoint, 0.0, 0, one_by_one=True) as proxy:
            yield s3.url.replace(s3.endpoint, proxy.url)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, list[str]]:
    return racer.drive(MemoryStore("undisturbed-races"))


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen]:
    env = {**os.environ, "PYTHONPATH": str(RACER.parents[2]), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    started = subprocess.Popen(
        [sys.executable, str(RACER), *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def result(of: subprocess.Popen):
    out, err = of.communicate(timeout=PATIENCE_S)
    assert of.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def until_stopped(of: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{of.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert of.poll() is None, of.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def require_sound(url: str, undisturbed: dict[str, list[str]]) -> None:
    """What is committed is what it would have been, each commit wholly one attempt's."""
    store = open_store(url)
    for cohort, digests in undisturbed.items():
        history = Chain(store, cohort).history()
        assert [manifest.digest for manifest in history] == digests
        assert list(verify_cohort(store, cohort)) == []


def test_two_drivers_and_a_reader(url: str, undisturbed, tmp_path: Path) -> None:
    end = tmp_path / "end"
    with process("read", url, str(end)) as reader, process("drive", url) as one, process("drive", url) as two:
        assert result(one) == undisturbed
        assert result(two) == undisturbed
        end.touch()
        seen = result(reader)
    assert seen["problems"] == []
    assert seen["n_manifests"] == sum(map(len, undisturbed.values()))
    require_sound(url, undisturbed)


ZOMBIES = {
    "before its first commit": ("/ledger/", 1),
    "before a later commit": ("/ledger/", 2),
    "before its models": ("models.safetensors", 2),
    "amid its samples": (".parquet", 2),
    "before its metrics": ("metrics.json", 2),
    "before a checkpoint": ("/progress/", 3),
    "before the reference": ("references/", 1),
}


@pytest.mark.parametrize(
    "when", [name if i < 1 else pytest.param(name, marks=pytest.mark.slow) for i, name in enumerate(ZOMBIES)]
)
def test_a_zombie_changes_nothing(url: str, undisturbed, when: str) -> None:
    """It is stopped, another driver finishes, its remains are collected, it comes back: and loses."""
    part, nth = ZOMBIES[when]
    store = open_store(url)
    with process("drive", url, part, str(nth)) as zombie:
        until_stopped(zombie)
        assert racer.drive(store) == undisturbed
        before = {entry.key: store.get(entry.key) for entry in store.list("")}
        # Its attempt has been silent for longer than the grace period: to the last object it is garbage.
        collect(store, list(undisturbed), grace_s=0, now_s=time.time() + 10)
        zombie.send_signal(signal.SIGCONT)
        assert result(zombie) == undisturbed
    require_sound(url, undisturbed)
    ledgers = {key: data for key, data in before.items() if "/ledger/" in key}
    assert all(store.get(key) == data for key, data in ledgers.items()), "to the last byte"


def test_twenty_processes_want_one_key(url: str) -> None:
    key = "cohorts/x/ledger/000001.json"
    with ExitStack() as stack:
        writers = [stack.enter_context(process("want", url, key, f"{i},")) for i in range(N_WRITERS)]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        won = [i for i, writer in enumerate(writers) if result(writer)]
    assert len(won) == 1
    assert open_store(url).get(key) == f"{won[0]},".encode() * 1000
