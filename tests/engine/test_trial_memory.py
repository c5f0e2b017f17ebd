"""A trajectory that needs more memory than it may take fails by itself, and says what to do."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mad_ray.commands.session import session_of
from mad_ray.config import parse_config
from mad_ray.core.errors import Corrupt
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.memory import OutOfMemory, is_out_of_memory, limited, told
from mad_ray.engine.trajectory import run_watched
from mad_ray.families import FAMILIES
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.studies import read_failure
from mad_ray.ledger.tensors import decode_tensors
from tests.engine.limit_lab import GREEDY
from tests.onray.lab.lab_families import Lab

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", GREEDY)
def test_more_than_the_limit_is_an_error_that_is_told_as_such(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.limit_lab", kind], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 2, "one line each"
    for line in said:
        assert line.startswith("out of memory: ")
        assert "run.trial_memory=96 (MiB) is too little: raise it" in line


def test_no_limit_and_the_gpus() -> None:
    with limited(0):
        assert np.zeros(256 << 20, np.uint8).nbytes
    assert "take a machine with more" in str(told(MemoryError(), 0))
    gpu = told(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has ..."), 100)
    assert isinstance(gpu, OutOfMemory)
    assert "trial_memory" not in str(gpu), "that is no limit on the GPU's"


@pytest.mark.parametrize("error", [ValueError("out of memory"), RuntimeError("wrong shape"), FileNotFoundError("x")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert not is_out_of_memory(error)
    assert told(error, 5) is error


def test_a_file_that_asks_for_too_much_is_damaged_and_not_out_of_memory() -> None:
    with pytest.raises(Corrupt):
        decode_tensors((1 << 40).to_bytes(8, "little") + b"{")


def test_one_trajectory_fails_and_the_same_command_with_more_memory_finishes_it(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(FAMILIES, "lab", Lab)
    study = {
        "name": "greedy",
        "n_generations": 2,
        "data": {"name": "gaussian", "d": 2},
        "loop": {"n_initial": 50, "n_synthetic": 50},
        "metrics": {"n": 50, "names": ["frechet"]},
        "cases": {
            "greedy": {"family": {"name": "lab", "takes_mib": 600}},
            "modest": {"family": {"name": "lab", "takes_mib": 1}},
        },
    }
    run = {"runtime": "local", "store": f"memory://{tmp_path.name}", "output": str(tmp_path / "output")}
    session = session_of(parse_config({"study": study, "run": {**run, "trial_memory": 300}}))
    told_old = Told()
    watched = [
        run_watched("greedy", cohort, session.store, LocalRuntime(), told_old, memory_mib=300)
        for cohort in session.cohorts
    ]
    assert watched == [False, True]
    (reason,) = told_old.failures
    assert "run.trial_memory=300 (MiB) is too little" in reason
    assert reason in str(read_failure(session.store, "greedy", session.cohorts[0].id))
    for cohort in session.cohorts:
        assert run_watched("greedy", cohort, session.store, LocalRuntime(), told_old, memory_mib=2000)
    assert read_failure(session.store, "greedy", session.cohorts[0].id) is None
    free = MemoryStore(f"{tmp_path.name}-free")
    for cohort in session.cohorts:
        assert run_watched("greedy", cohort, free, LocalRuntime(), told_old)
        assert Ledger(free, cohort).history()[-1].digest == Ledger(session.store, cohort).history()[-1].digest


class Told:
    """A watcher that keeps why cohorts failed."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def stage(self, cohort, stage, generation, share) -> None:
        pass

    def committed(self, cohort, commit) -> None:
        pass

    def failed(self, cohort, generation, reason) -> None:
        self.failures.append(reason)
