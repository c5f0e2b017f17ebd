"""Maps and boundaries however they are run, and killed in the middle: the same cells, the same rounds."""

import signal
from pathlib import Path
from typing import Any

import pytest

from mad_ray.ledger.open import open_store
from tests.onray.processes import Driver, Study, gone_within

TRIAL = "ray::ImplicitFunc"
# Sixteen cells of about a third of a second each: none settles before its end.
GRID: dict[str, Any] = {
    "name": "grid",
    "kind": "grid",
    "n_generations": 512,
    "seeds": 4,
    "data": {"name": "gaussian", "d": 60},
    "family": "gaussian",
    "metrics": {"names": ["w2_squared"], "per_octave": 4},
    "loop": {"kind": "fresh_data", "bias": 0.8},
    "map": {
        "x": {"field": "loop.n_fresh", "values": [80, 120, 200, 300]},
        "y": {"field": "loop.n_synthetic", "values": [0, 30, 100, 600]},
    },
    "limit": {"half_width": 0.0001, "drift": 0.0001},
    "baseline": {"n": {"log": [20, 1200, 8]}, "seeds": 8},
}
BOUNDARY: dict[str, Any] = {
    **GRID,
    "name": "boundary",
    "kind": "boundary",
    "n_generations": 128,
    "map": {
        "x": {"field": "loop.n_fresh", "values": [80, 200]},
        "y": {"field": "loop.n_synthetic", "values": [10, 2000]},
    },
    "search": {"tolerance": 0.1, "batch": 4, "budget": 16},
}
CELLS, FITS = 16, 8


def rounds(study: Study) -> dict[str, bytes]:
    store = open_store(study.store)
    return {entry.key: store.get(entry.key) for entry in store.list("studies/") if "/rounds/" in entry.key}


def attempts(study: Study) -> dict[str, str]:
    """cohort -> the attempt that was committed: who computed it."""
    return {cohort: of[0].provenance["attempt"] for cohort, of in study.manifests().items()}


def finish(study: Study) -> None:
    done = study.run()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    """Both studies in one process that nobody disturbs."""
    found = {}
    for settings in (GRID, BOUNDARY):
        folder = tmp_path_factory.mktemp(settings["name"])
        found[settings["name"]] = Study(folder, settings, sets=("run.runtime=local",))
        finish(found[settings["name"]])
    assert len(found["grid"].digests()) == CELLS + FITS
    assert len(rounds(found["boundary"])) >= 2, "a search of several rounds, or there is nothing to compare"
    return found


def assert_same(study: Study, other: Study) -> None:
    assert study.digests() == other.digests()
    assert rounds(study) == rounds(other)
    tables = [Path(one.folder) / "output" / "report" for one in (study, other)]
    for name in ("cells.csv", "boundaries.csv", "baseline.csv"):
        assert (tables[0] / name).read_bytes() == (tables[1] / name).read_bytes()


def committed(study: Study, n: int):
    return lambda: len(study.keys("/ledger/")) >= n


@pytest.mark.slow
def test_a_map_whose_driver_and_then_whose_trial_is_killed(here, tmp_path):
    """With one trial at once, then with two; a trial starts anew and goes on from the ledger."""
    study = Study(tmp_path, GRID, sets=("run.max_concurrent=1",))
    driver = study.start()
    driver.until("some cells", committed(study, FITS + 2))
    before = kill_driver(driver)
    assert FITS + 2 <= len(before) < CELLS + FITS
    study.sets = ("run.max_concurrent=2",)
    driver = study.start()
    try:
        driver.until("more cells", committed(study, len(before) + 2))
        driver.kill_descendant(TRIAL)
        before |= attempts(study)
        assert driver.wait() == 0, study.screen
    finally:
        driver.stop()
    assert_same(study, here["grid"])
    assert before.items() <= attempts(study).items(), "what was committed is not computed again"


def test_a_boundary_whose_driver_is_killed(here, tmp_path):
    """With two trials at once, in the second round, whose cells are asked for and not all there; then with one."""
    study = Study(tmp_path, BOUNDARY, sets=("run.max_concurrent=2",))
    driver = study.start()
    driver.until("the second round", lambda: len(rounds(study)) >= 2)
    before = kill_driver(driver)
    assert FITS < len(before) < len(here["boundary"].digests())
    study.sets = ("run.max_concurrent=1",)
    finish(study)
    assert_same(study, here["boundary"])
    assert before.items() <= attempts(study).items()


def kill_driver(driver: Driver) -> dict[str, str]:
    """kill -9; returns what is committed then."""
    workers = driver.descendants(TRIAL)
    driver.process.kill()
    assert driver.wait() == -signal.SIGKILL
    assert gone_within(workers, 30) == [], "what computes outlives its driver"
    return attempts(driver.study)
