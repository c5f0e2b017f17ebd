"""However a study is run, its manifests are the same. Real commands, real processes, real networks."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.onray.cluster import own_cluster
from tests.onray.processes import Study, environment
from tests.onray.studies import DIGITS

WAYS = {
    "one trial at once": ("run.max_concurrent=1",),
    "two trials at once, two samplers each, all actors": (
        "run.max_concurrent=2",
        "run.samplers=2",
        "run.sampler_actors=true",
    ),
    "two workers a fit": ("run.workers=2",),
}


# One trial at once is what other tests of this folder run. Of networks shared by workers tests/contracts and
# tests/families tell in each run; of workers through Ray, one of them killed, test_killed_processes.py.
SLOW_WAYS = ("one trial at once", "two workers a fit")


@pytest.mark.parametrize(
    "sets",
    [pytest.param(sets, id=way, marks=[pytest.mark.slow] if way in SLOW_WAYS else []) for way, sets in WAYS.items()],
)
def test_through_ray_as_in_one_process(sets, uninterrupted, tmp_path):
    study = Study(tmp_path, DIGITS, sets=sets)
    done = study.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert study.digests() == uninterrupted(DIGITS)
    assert all(m.provenance["threads"] == 1 for of in study.manifests().values() for m in of)
    assert_quiet(done)
    assert list((tmp_path / "output" / "tune").rglob("events.out.tfevents.*")), "Tune leaves TensorBoard logs"


def test_on_an_s3_server_as_on_a_disk(s3, uninterrupted, tmp_path):
    study = Study(tmp_path, DIGITS, store=s3.url)
    done = study.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert study.digests() == uninterrupted(DIGITS)


def test_on_a_real_s3_server_as_on_a_disk(uninterrupted, tmp_path):
    if "MAD_RAY_S3_URL" not in os.environ:
        pytest.skip("MAD_RAY_S3_URL names no prefix on a real S3 server")
    path, mark, query = os.environ["MAD_RAY_S3_URL"].partition("?")
    study = Study(tmp_path, DIGITS, store=f"{path.rstrip('/')}/{uuid.uuid4().hex}{mark}{query}")
    done = study.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert study.digests() == uninterrupted(DIGITS)


def test_submitted_to_a_cluster_as_in_one_process(uninterrupted, tmp_path):
    study = Study(tmp_path, DIGITS)
    with own_cluster(4) as cluster:
        submit = [str(Path(sys.executable).parent / "ray"), "job", "submit", "--address", cluster.dashboard]
        submit += ["--submission-id", f"tiny-{uuid.uuid4().hex[:8]}"]
        submit += ["--runtime-env-json", json.dumps({"env_vars": {"OMP_NUM_THREADS": "2"}}), "--", *study.command]
        done = subprocess.run(submit, env=environment(), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout
    assert study.digests() == uninterrupted(DIGITS)


def assert_quiet(done: subprocess.CompletedProcess) -> None:
    """Nothing of Ray's on the screen: lines of ours, and a table."""
    assert done.stderr == ""
    for word in ("raylet", "ray::", "WARNING", "pid=", "Traceback", "TuneController"):
        assert word not in done.stdout, done.stdout
