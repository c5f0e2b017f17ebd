"""Nodes with notice: fits save their state at once and go on elsewhere, to the bytes of an undisturbed run."""

import subprocess
import sys

import pytest

from tests.onray.metadata import metadata_service
from tests.onray.nodes import Node, cluster_of, on, resumed_steps
from tests.onray.processes import PATIENCE_S, Study, environment
from tests.onray.studies import DIGITS

TRIAL, WORKER = "ray::ImplicitFunc", "ray::RayTrainWorker"
N_STEPS, EVERY = 900, 100
NETWORK = {
    **DIGITS,
    "name": "preempted",
    "n_generations": 1,
    "seeds": 1,
    "family": {**DIGITS["family"], "n_steps": N_STEPS, "channels": [8, 16], "micro_batches": 4},
}
# No second chance: a move after a notice is no death.
SETS = ("run.checkpoint_s=0", f"run.checkpoint_steps={EVERY}", "run.retries=0", "run.max_concurrent=1")


def drain_on_notice(node: Node, *words: str) -> subprocess.Popen:
    """The command that cluster files start on every spot node. (Its node is named: here all are one machine's.)"""
    command = [sys.executable, "-m", "mad_ray", "drain-on-notice", *words, "--address", node.cluster.address]
    command += ["--node-id", node.id]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.timeout(2700)
def test_a_fit_in_place_moves_when_the_cloud_gives_notice(uninterrupted, tmp_path):
    """The head has no CPUs: driver and board live there, work does not."""
    with cluster_of(0, 2, 2) as (cluster, nodes, _), metadata_service() as machine:
        study = Study(tmp_path, NETWORK, sets=SETS, env=on(cluster))
        driver = study.start()
        try:
            (node,) = driver.until("a trial", lambda: [node for node in nodes if node.processes(TRIAL)])
            notice = drain_on_notice(node, "--cloud", "aws", "--metadata-url", machine.url, "--every-s", "0.2")
            driver.until("a checkpoint", lambda: study.keys("/progress/"))
            machine.give_notice(90)
            assert notice.wait(timeout=PATIENCE_S) == 0, notice.communicate()
            (other,) = [other for other in nodes if other is not node]
            driver.until("the trial elsewhere", lambda: other.processes(TRIAL))
            node.kill()
            assert driver.process.wait(timeout=1800) == 0, study.screen
        finally:
            driver.stop()
    assert study.digests() == uninterrupted(NETWORK)
    assert_saved_at_once(study)


@pytest.mark.slow
@pytest.mark.timeout(2700)
def test_workers_of_a_fit_stop_together_and_others_go_on(uninterrupted, tmp_path):
    """One of two workers' nodes gets notice; the trial is elsewhere, and stays where it is."""
    with cluster_of(0, 1, 1, 1, 1) as (cluster, nodes, _):
        study = Study(tmp_path, NETWORK, sets=(*SETS, "run.workers=2"), env=on(cluster))
        driver = study.start()
        try:
            driver.until("a checkpoint", lambda: study.keys("/progress/"))
            node = next(node for node in nodes if node.processes(WORKER) and not node.processes(TRIAL))
            before = {process.pid for other in nodes for process in other.processes(WORKER)}
            notice = drain_on_notice(node, "--now", "--deadline-s", "90")
            assert notice.wait(timeout=PATIENCE_S) == 0, notice.communicate()
            rest = [other for other in nodes if other is not node]
            driver.until("other workers", lambda: new_workers(rest, before) >= 2)
            node.kill()
            assert driver.process.wait(timeout=1800) == 0, study.screen
        finally:
            driver.stop()
    assert study.digests() == uninterrupted(NETWORK)
    assert_saved_at_once(study)
    assert list(study.n_attempts().values()) == [1], "the trial was not started again"


def new_workers(nodes: list[Node], before: set[int]) -> int:
    return sum(process.pid not in before for node in nodes for process in node.processes(WORKER))


def assert_saved_at_once(study: Study) -> None:
    """The fit went on from a step that the rule of checkpoints does not name."""
    steps = resumed_steps(study)[1]
    assert EVERY <= steps < N_STEPS
    assert steps % EVERY, "it lost what it had done since its last regular checkpoint"
