"""`mad-ray submit` on a real cluster: submit, join, resume, exit codes, token authentication, nothing secret sent."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.job_submission import JobSubmissionClient

from tests.onray.cluster import Cluster, own_cluster
from tests.onray.processes import PATIENCE_S, environment

OWN_FAMILY = '''
"""A family of the user's own: means, and failures on request."""

import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import submit_helper
from mad_ray.core.samples import Samples


@dataclass(frozen=True)
class Means:
    name: ClassVar[str] = "means"
    max_cohort: ClassVar[int] = 1
    redraw: ClassVar[bool] = False
    distributed: ClassVar[bool] = False
    span: ClassVar[int] = 1
    chunk: int = 64
    fit_s: float = 0.0
    fails: bool = False

    def check(self, event, loop, workers):
        pass

    def fit(self, data, keys, progress):
        time.sleep(self.fit_s)
        if self.fails:
            raise ValueError("this fit cannot be computed")
        return {"mean": submit_helper.mean([batch.x[0] for batch in data.batches(4096)])}

    def sample(self, model, start, stop, bias, keys):
        rows = [model["mean"] + keys.generator(0, i).standard_normal(len(model["mean"])) for i in range(start, stop)]
        return Samples.of(np.stack(rows)[None])
'''
HELPER = '''
"""What the family imports: it must travel too."""

import numpy as np


def mean(batches):
    return np.concatenate(batches).mean(axis=0)
'''
STUDY: dict[str, Any] = {
    "n_generations": 2,
    "data": {"name": "gaussian", "d": 2},
    "loop": {"n_initial": 60, "n_synthetic": 60},
    "metrics": {"n": 100, "names": ["frechet"]},
}
HERE_FIRST = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
"""A job's `python` is the first one of the nodes' PATH."""
SECRET = "AKIAsecretsecretsecret"


TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_cluster(4, **HERE_FIRST, **TOKEN) as found:
        yield found


@pytest.fixture
def client(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> JobSubmissionClient:
    """Whoever sees the cluster's jobs."""
    # Ray reads the token once a process.
    return JobSubmissionClient(cluster.dashboard, headers={"Authorization": f"Bearer {TOKEN['RAY_AUTH_TOKEN']}"})


def submit(folder: Path, settings: dict[str, Any], *options: str, address: str, **env: str) -> subprocess.Popen[str]:
    """`mad-ray submit`, as from a user's folder with a config that extends another."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "submit_family.py").write_text(OWN_FAMILY)
    (folder / "submit_helper.py").write_text(HELPER)
    (folder / "base.yaml").write_text(yaml.safe_dump({"study": STUDY, "run": {"store": str(folder / "store")}}))
    family = {"name": "submit_family:Means", **settings.pop("family", {})}
    config = {"extends": "base.yaml", "study": {"family": family, **settings}}
    path = folder / f"{settings['name']}.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "mad_ray", "submit", str(path), "--address", address, *options]
    env = {**environment(PYTHONPATH=""), **TOKEN, **env}
    return subprocess.Popen(command, env=env, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def ids(client: JobSubmissionClient, study: str) -> list[str]:
    return sorted(job.submission_id for job in jobs_of(client, study))


def jobs_of(client: JobSubmissionClient, study: str) -> list[Any]:
    return [job for job in client.list_jobs() if (job.metadata or {}).get("mad_ray_study") == study]


@pytest.mark.parametrize("env", [{"RAY_AUTH_TOKEN": "f" * 64}, {"RAY_AUTH_MODE": "disabled"}], ids=["wrong", "none"])
def test_nothing_without_the_clusters_token(env, cluster, tmp_path):
    code, out, err = ended(submit(tmp_path, {"name": "a"}, "--shared", address=cluster.dashboard, **env))
    assert (code, out) == (2, "")
    assert err.startswith("mad-ray: --address ")
    assert "RAY_AUTH_TOKEN" in err
    assert err.count("\n") == 1


def test_probes_need_no_token_and_everything_else_does(cluster):
    """As cluster/kuberay asks the head whether it is ready."""
    with urllib.request.urlopen(f"{cluster.dashboard}/api/gcs_healthz", timeout=60) as answer:
        assert b"success" in answer.read()
    for path in ("/api/jobs/", "/api/version", "/api/cluster_status"):
        with pytest.raises(urllib.error.HTTPError, match=r"401|403"):
            urllib.request.urlopen(f"{cluster.dashboard}{path}", timeout=60)


def test_of_two_who_submit_at_once_one_joins(cluster, client, tmp_path):
    """With the user's own modules, and without the secrets of who submits."""
    secret = {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "moon-1"}
    settings = {"name": "joined", "family": {"fit_s": 2.0}}
    both = [submit(tmp_path, {**settings}, "--shared", address=cluster.dashboard, **secret) for _ in range(2)]
    found = [ended(process) for process in both]
    assert [code for code, _, _ in found] == [0, 0], found
    assert sorted(out.split()[0] for _, out, _ in found) == ["joined", "submitted"]
    assert all("[2/2" in out and "report: " in out for _, out, _ in found), found
    (job,) = jobs_of(client, "joined")
    assert SECRET not in repr(job)
    assert TOKEN["RAY_AUTH_TOKEN"] not in repr(job) + repr(found)


@pytest.mark.slow
def test_a_failing_study_fails_here_and_other_settings_do_not_join_it(cluster, client, tmp_path):
    settings = {"name": "failing", "family": {"fails": True, "fit_s": 8.0}}
    first = submit(tmp_path, {**settings}, "--shared", address=cluster.dashboard)
    until(lambda: ids(client, "failing"))
    changed = submit(tmp_path, {**settings}, "--shared", "--set", "run.retries=0", address=cluster.dashboard)
    code, _, err = ended(changed)
    assert (code, err.count("\n")) == (2, 1), err
    assert "other settings or code" in err
    code, out, _ = ended(first)
    assert code == 1
    assert "ValueError: this fit cannot be computed" in out


@pytest.mark.slow
def test_a_stopped_study_goes_on_where_it_was(cluster, client, tmp_path):
    settings = {"name": "stopped", "n_generations": 3, "family": {"fit_s": 3.0}}
    first = submit(tmp_path, {**settings}, "--shared", address=cluster.dashboard)
    until(lambda: list((tmp_path / "store").glob("cohorts/*/ledger/000001.json")))
    (job,) = ids(client, "stopped")
    assert client.stop_job(job)
    code, out, _ = ended(first)
    assert code == 1
    assert "the same command resumes it" in out
    code, out, err = ended(submit(tmp_path, {**settings}, "--shared", address=cluster.dashboard))
    assert (code, err) == (0, "")
    assert len(ids(client, "stopped")) == 2
    assert "[3/3" in out
    assert "  t=1 " not in out, "generation 1 is there from before"


@pytest.mark.slow
def test_who_stops_following_stops_nothing(cluster, client, tmp_path):
    process = submit(tmp_path, {"name": "left", "family": {"fit_s": 2.0}}, "--shared", address=cluster.dashboard)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("submitted ")
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert code == 130
    assert "goes on" in err
    (job,) = ids(client, "left")
    assert f"ray job stop --address {cluster.dashboard} {job}" in out
    until(lambda: client.get_job_status(job).is_terminal())
    assert str(client.get_job_status(job)) == "SUCCEEDED"
