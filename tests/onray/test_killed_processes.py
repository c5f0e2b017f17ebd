"""kill -9, at several moments, of everything that runs: the study ends with the manifests of an undisturbed one."""

import signal

import pytest

from tests.onray.processes import Driver, Study, gone_within
from tests.onray.studies import DIGITS, SLOW

SAMPLER = "ray::MapBatches("
TRIAL = "ray::ImplicitFunc"


def committed(study: Study, n: int):
    return lambda: len(study.keys("/ledger/")) >= n


def sampling(study: Study, generation: int):
    """Some shard of that generation is written; its manifest is not."""
    return lambda: study.keys(f"/samples/{generation:06d}-00000.parquet")


# Slow, both: tests/chaos has a driver, a trial and two samplers killed at random moments in every run of the tests.
@pytest.mark.slow
def test_the_driver(uninterrupted, tmp_path):
    study = Study(tmp_path, SLOW)
    moments = {
        "the first trial": lambda driver: lambda: driver.descendants(TRIAL),
        "a shard of generation 1": lambda driver: sampling(study, 1),
        "generation 2 in flight": lambda driver: sampling(study, 2),
    }
    orphans = []
    for what, moment in moments.items():
        driver = study.start()
        driver.until(what, moment(driver))
        orphans.append(driver.descendants())
        workers = driver.descendants("ray::ImplicitFunc") + driver.descendants("ray::MapBatches")
        driver.process.kill()
        assert driver.wait() == -signal.SIGKILL
        assert gone_within(workers, 30) == [], "what computes outlives its driver"
    done = study.run()
    # Ray's own agents look for their lost head for a minute.
    assert gone_within(orphans[0], 90) == []
    assert done.returncode == 0, done.stdout + done.stderr
    assert study.digests() == uninterrupted(SLOW)
    assert_repeats_at_most(study, len(moments))


@pytest.mark.slow
@pytest.mark.parametrize(("title", "n_kills"), [(TRIAL, 2), (SAMPLER, 3)], ids=["a trial", "a sampler"])
def test_a_process_of_the_run_which_survives(title, n_kills, uninterrupted, tmp_path):
    study = Study(tmp_path, SLOW)
    driver = study.start()
    try:
        for i in range(n_kills):
            driver.until(f"commit {i + 1}", committed(study, i + 1))
            driver.kill_descendant(title)
        assert driver.wait() == 0, study.screen
    finally:
        driver.stop()
    assert study.digests() == uninterrupted(SLOW)
    # A sampler is replaced within its attempt; a trial begins another.
    assert_repeats_at_most(study, n_kills if title == TRIAL else 0)


@pytest.mark.slow
def test_a_sampler_that_is_an_actor(uninterrupted, tmp_path):
    study = Study(tmp_path, SLOW, sets=("run.sampler_actors=true",))
    driver = study.start()
    try:
        for generation in (1, 2):
            driver.until(f"a shard of generation {generation}", sampling(study, generation))
            driver.kill_descendant("ray::MapWorker(")
        assert driver.wait() == 0, study.screen
    finally:
        driver.stop()
    assert study.digests() == uninterrupted(SLOW)


def test_a_worker_of_a_distributed_fit(uninterrupted, tmp_path):
    settings = {**SLOW, "name": "short", "n_generations": 1, "seeds": 1, "family": {"name": "lab", "fit_s": 1.0}}
    study = Study(tmp_path, settings, sets=("run.workers=2",))
    driver = study.start()
    try:
        driver.kill_descendant("ray::RayTrainWorker")
        assert driver.wait() == 0, study.screen
    finally:
        driver.stop()
    assert study.digests() == uninterrupted(settings)


@pytest.mark.slow
def test_inside_a_fit_goes_on_from_its_checkpoint(uninterrupted, tmp_path):
    """The trial dies once while a network is fitted alone, and once a worker while two share a fit."""
    family = {**DIGITS["family"], "n_steps": 240, "channels": [8, 16]}
    settings = {**DIGITS, "name": "midway", "n_generations": 1, "seeds": 1, "family": family}
    for workers, title in ((0, TRIAL), (2, "ray::RayTrainWorker")):
        study = Study(tmp_path / title[-6:], settings, sets=("run.checkpoint_steps=40", f"run.workers={workers}"))
        driver = study.start()
        try:
            driver.until("a checkpoint", lambda study=study: study.keys("/progress/"))
            driver.kill_descendant(title)
            assert driver.wait() == 0, study.screen
        finally:
            driver.stop()
        ((manifest,),) = study.manifests().values()
        assert 40 <= manifest.provenance["resumed_steps"] < 240
        assert study.digests() == uninterrupted(settings)
        assert study.keys("/progress/") == []


def test_a_trial_again_and_again_is_given_up(tmp_path):
    study = Study(tmp_path, {**SLOW, "seeds": 1, "family": {"name": "lab", "fit_s": 30.0}}, sets=("run.retries=1",))
    driver = study.start()
    try:
        killed: set[int] = set()
        for _ in range(2):
            (trial,) = driver.until("a new trial", lambda: fresh(driver, killed))
            killed.add(trial.pid)
            trial.kill()
        assert driver.wait() == 1, study.screen
    finally:
        driver.stop()
    assert "the process of its trial was lost, and so were 1 restarts" in study.screen
    assert "Traceback" not in study.screen


def fresh(driver: Driver, killed: set[int]):
    return [process for process in driver.descendants(TRIAL) if process.pid not in killed]


def test_sigterm_ends_the_driver_and_its_ray(tmp_path):
    study = Study(tmp_path, {**SLOW, "family": {"name": "lab", "fit_s": 60.0}})
    driver = study.start()
    driver.until("a trial", lambda: driver.descendants(TRIAL))
    orphans = driver.descendants()
    driver.process.terminate()
    assert driver.process.wait(timeout=60) != 0
    assert gone_within(orphans, 30) == []
    assert "Traceback" not in study.screen, study.screen


def assert_repeats_at_most(study: Study, n_kills: int) -> None:
    """Each kill costs a trajectory one attempt at most."""
    n_generations = SLOW["n_generations"]
    for cohort, n in study.n_attempts().items():
        assert n_generations <= n <= n_generations + n_kills, (cohort, n)
