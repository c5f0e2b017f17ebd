"""What is wrong is said in one line and not tried again; what is too small is refused before anything starts."""

import subprocess
from pathlib import Path

import pytest

from tests.onray.cluster import own_cluster
from tests.onray.processes import Study, environment
from tests.onray.studies import SLOW

QUICK = {"name": "lab"}


@pytest.mark.parametrize(
    ("sets", "wrong"),
    [
        ((), ("fit", "sample")),
        pytest.param(("run.sampler_actors=true",), ("sample",), marks=pytest.mark.slow),
        (("run.workers=2",), ("fit",)),
    ],
    ids=["in place and in tasks", "in actors", "in workers"],
)
def test_an_exception_fails_its_trajectory_only(sets, wrong, tmp_path):
    cases = {"good": {}, **{f"wrong-{stage}": {"family": {**QUICK, "fails": stage}} for stage in wrong}}
    settings = {**SLOW, "n_generations": 1, "seeds": 1, "family": QUICK, "cases": cases}
    study = Study(tmp_path, settings, sets=sets, env={"LAB_TRIES": str(tmp_path / "tries")})
    done = study.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert [len(of) for of in study.manifests().values()] == [1], "the good trajectory goes on"
    for stage in wrong:
        assert f"generation 1: ValueError: this {stage} cannot be computed\n" in done.stdout
        # Each worker of a fit tries once, each of three shards at most once; a restarted trial would double that.
        n_tries = len(Path(f"{tmp_path / 'tries'}-{stage}").read_text().split())
        if stage == "fit":
            assert n_tries == (2 if "run.workers=2" in sets else 1), "it is not tried again"
        else:
            assert 1 <= n_tries <= 3, "it is not tried again"


def test_who_takes_the_process_of_a_pack_with_it_stops_alone(tmp_path):
    """Three cheap trajectories share a trial, which dies in the second again and again."""
    cases = {"before": {}, "deadly": {"family": {"name": "deadly", "kills": True}}, "after": {"loop": {"bias": 0.9}}}
    settings = {**SLOW, "n_generations": 2, "seeds": 1, "family": {"name": "deadly"}, "cases": cases}
    study = Study(tmp_path, settings, sets=("run.max_concurrent=1", "run.retries=1"))
    done = study.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert len(study.manifests()) == 2, "the others are done"
    reason = "the process of its trial was lost, and so were 1 restarts"
    assert done.stdout.count("FAILED") == 1, done.stdout
    assert f"FAILED  deadly, seeds [0]: generation 1: {reason}" in done.stdout
    status = subprocess.run(study.reading("status"), env=environment(), capture_output=True, text=True)
    assert status.returncode == 1, status.stdout + status.stderr
    assert status.stdout.count("FAILED") == 1
    assert reason in status.stdout
    page = (tmp_path / "output" / "report" / "index.html").read_text()
    assert page.count(reason) >= 1, "the report tells it too"


def test_threads_are_those_of_the_config_in_every_process(tmp_path):
    settings = {**SLOW, "n_generations": 1, "seeds": 1, "family": QUICK}
    study = Study(tmp_path, settings, env={"OMP_NUM_THREADS": "2"}, sets=("run.threads=1",))
    assert study.run().returncode == 0
    assert threads_of(study) == ({1}, {1})


def threads_of(study: Study) -> tuple[set[int], set[int]]:
    """(of the processes that fitted, of those that sampled)."""
    from mad_ray.ledger.open import open_store
    from mad_ray.ledger.shards import decode_shard
    from mad_ray.ledger.tensors import decode_tensors

    store = open_store(study.store)
    models = [decode_tensors(store.get(key)) for key in study.keys("models.safetensors")]
    shards = [decode_shard(store.get(key))[0] for key in study.keys(".parquet")]
    assert models
    assert len(shards) == 3
    return {int(model["1/threads"][0]) for model in models}, {int(n) for shard in shards for n in shard.label.flat}


def test_a_cluster_that_is_too_small_is_refused(tmp_path):
    with own_cluster(1) as cluster:
        study = Study(tmp_path, SLOW, env={"RAY_ADDRESS": cluster.address})
        done = study.run()
    assert done.returncode == 2, done.stdout + done.stderr
    assert "the cluster offers 1 CPUs where 2 trials at once need 4" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not study.manifests()


def test_a_cluster_that_is_not_there_is_said_so(tmp_path):
    done = Study(tmp_path, SLOW, env={"RAY_ADDRESS": "127.0.0.1:1"}).run()
    assert done.returncode == 2, done.stdout + done.stderr
    assert "RAY_ADDRESS=127.0.0.1:1: no Ray cluster answers there" in done.stderr
