"""Fits of as many workers as there is room for: nodes come and go, the bytes stay."""

import pytest

from tests.onray.nodes import Node, cluster_of, on
from tests.onray.processes import Study
from tests.onray.studies import DIGITS

WORKER = "ray::RayTrainWorker"
ELASTIC = ("run.workers={min: 1, max: 3}", "run.max_concurrent=1")
FEW: dict = {
    **DIGITS,
    "name": "few",
    "n_generations": 1,
    "seeds": 1,
    "family": {**DIGITS["family"], "channels": [8, 16], "micro_batches": 4},
}
MORE: dict = {**FEW, "name": "more", "n_generations": 4, "family": {**FEW["family"], "n_steps": 300}}


def test_what_the_trial_holds_itself_is_not_counted_on(uninterrupted, tmp_path):
    """Of three CPUs two are left for workers; Ray's own count would wait for a third for ever."""
    study = Study(tmp_path, FEW, sets=(*ELASTIC, "run.logical_cpus=3"))
    driver = study.start()
    try:
        driver.until("two workers", lambda: len(driver.descendants(WORKER)) == 2)
        assert driver.wait() == 0, study.screen
    finally:
        driver.stop()
    assert study.digests() == uninterrupted(FEW)


@pytest.mark.slow
@pytest.mark.timeout(2700)
def test_starts_on_one_node_goes_on_with_three_ends_on_two(uninterrupted, tmp_path):
    """The head has no CPUs; each node has two, one of them for the trial."""
    sets = (*ELASTIC, "run.checkpoint_s=0", "run.checkpoint_steps=50", "run.samplers=1")
    with cluster_of(0, 2) as (cluster, nodes, add):
        study = Study(tmp_path, MORE, sets=sets, env=on(cluster))
        driver = study.start()
        try:
            driver.until("one worker", lambda: n_workers(nodes) == 1)
            nodes += [add(2), add(2)]
            driver.until("three workers", lambda: n_workers(nodes) == 3)
            driver.until("a checkpoint of theirs", lambda: study.keys("/progress/"))
            (gone,) = [node for node in nodes[1:] if node.processes(WORKER)][:1]
            gone.kill()
            assert driver.process.wait(timeout=1800) == 0, study.screen
            assert len(study.keys("/ledger/")) == MORE["n_generations"]
        finally:
            driver.stop()
    assert study.digests() == uninterrupted(MORE)


def n_workers(nodes: list[Node]) -> int:
    return sum(len(node.processes(WORKER)) for node in nodes)
