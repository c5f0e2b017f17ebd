"""Memory on Ray: a limit for each trial, and Ray's own killing, end in a reason; the others go on."""

import re
from pathlib import Path

import pytest

from mad_ray.core.errors import Insufficient
from mad_ray.onray.resources import Execution, check_memory
from tests.onray.processes import Study

CASES = {
    "greedy": {"family": {"name": "lab", "takes_mib": 1500}},
    "modest": {"family": {"name": "lab", "takes_mib": 1}},
}
SETTINGS = {
    "name": "greedy",
    "n_generations": 2,
    "data": {"name": "gaussian", "d": 2},
    "loop": {"n_initial": 50, "n_synthetic": 50},
    "metrics": {"n": 50, "names": ["frechet"]},
    "cases": CASES,
}


def test_a_trial_that_takes_too_much_fails_alone(tmp_path: Path) -> None:
    study = Study(tmp_path, SETTINGS, sets=("run.trial_memory=600",))
    done = study.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert "greedy" in line
    assert "run.trial_memory=600 (MiB) is too little: raise it" in line
    assert sorted(map(len, study.digests().values())) == [2]
    again = Study(tmp_path, SETTINGS, sets=("run.trial_memory=4000",)).run()
    assert again.returncode == 0, again.stdout + again.stderr
    free = Study(tmp_path / "free", SETTINGS, sets=("run.runtime=local",))
    assert free.run().returncode == 0
    assert study.digests() == free.digests()


@pytest.mark.slow
def test_what_ray_kills_for_memory_is_given_up_with_that_reason(tmp_path: Path) -> None:
    """Ray's memory monitor, told that the machine is full from the start."""
    env = {"RAY_memory_usage_threshold": "0.02", "RAY_memory_monitor_refresh_ms": "100"}
    study = Study(tmp_path, {**SETTINGS, "cases": {"modest": {"family": {"name": "lab", "fit_s": 5.0}}}}, env=env)
    done = study.run()
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert re.search("low on memory|OutOfMemory", done.stdout + done.stderr), done.stdout + done.stderr
    again = Study(tmp_path, study.settings).run()
    assert again.returncode == 0, again.stdout + again.stderr


def test_memory_that_no_cluster_has_is_told_at_once() -> None:
    execution = Execution(trial_memory=4096, max_concurrent=3, workers=1)
    check_memory(execution, 9, 24.0)
    check_memory(execution, 1, 8.0)
    check_memory(Execution(), 9, 0.0)
    with pytest.raises(
        Insufficient, match=r"offers 23.9 GiB of memory where 3 trials at once reserve 24.0 \(run.trial"
    ):
        check_memory(execution, 9, 23.9)
