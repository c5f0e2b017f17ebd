"""A trajectory's memory grows neither with its generations nor with its samples."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LAB = Path(__file__).with_name("memory_lab.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[str]:
    """In memory where there is such a place: 20,000 files, each synced, are slow on a busy disk."""
    found = tempfile.mkdtemp(prefix="mad-ray-memory-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    yield found
    shutil.rmtree(found)


def measured(*argv: str) -> dict[str, Any]:
    """What memory_lab.py prints; a process of its own, since a peak belongs to one."""
    done = subprocess.run([sys.executable, str(LAB), *argv], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def grown(kind: str, folder: str) -> float:
    peaks = measured("generations", folder, kind)
    return (peaks["2000"] - peaks["200"]) / 2**20


# What may grow is the chain of manifests itself, read and verified once: about 9 kB each, 16 MiB for 1,800.
CAP_MIB = 32


def test_two_thousand_generations(folder: str) -> None:
    assert grown("fully synthetic", folder) < CAP_MIB


@pytest.mark.slow
def test_two_thousand_generations_with_a_memory(folder: str) -> None:
    assert grown("fresh data, memory 3", folder) < CAP_MIB


def test_a_million_samples(folder: str) -> None:
    """128 MB of samples, twice: published shard by shard (4 MiB each), and read again block by block."""
    found = measured("samples", folder)
    assert found["n_shards"] == 31
    assert found["grown"] < 64 * 2**20
