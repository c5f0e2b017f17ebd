"""A disk that runs full ends in one clear line; once there is room, the same command finishes the study."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.onray import full_disk
from tests.onray.processes import environment

UNSHARE = ["unshare", "--map-root-user", "--mount"]
ROOT = Path(__file__).parents[2]


def has_small_disks() -> bool:
    try:
        command = [*UNSHARE, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"]
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not has_small_disks(), reason="no disk of a given size can be mounted here")


@pytest.mark.parametrize("runtime", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_a_full_disk(tmp_path: Path, runtime: str, uninterrupted: Callable[[dict[str, Any]], Any]) -> None:
    command = [*UNSHARE, sys.executable, str(ROOT / "tests/onray/full_disk.py")]
    env = environment()
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env["PYTHONPATH"]])
    done = subprocess.run(
        [*command, str(tmp_path), "160k", f"run.runtime={runtime}"],
        env=env,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["code"] == 2, found
    assert "Traceback" not in found["out"] + found["err"]
    (line,) = [line for line in found["err"].splitlines() if line.startswith("mad-ray: ")]
    assert "no space is left on its disk; make room" in line
    assert str(tmp_path / "disk") in line
    assert "then run the same command again" in line
    assert 0 < sum(found["generations"]) < 8, "it ran full on the way"
    assert found["problems"] == [], "nothing half-written can be seen"
    assert found["temporary"] == []
    assert found["code_again"] == 0, found
    assert found["after"] == {"generations": [4, 4], "problems": [], "temporary": []}
    assert found["digests"] == uninterrupted(full_disk.SETTINGS)
