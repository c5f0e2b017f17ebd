"""Fixtures that more than one folder of tests needs: an S3 server, every store, and small ledgers."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest
from moto.server import ThreadedMotoServer

from mad_ray.core.loop import Loop, compose
from mad_ray.core.manifest import Manifest, Shard
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.ledger.chain import ROOT
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.open import open_store

SECRET = "not-so-secret"


@dataclass(frozen=True)
class S3:
    """A running S3 server with an empty bucket; the environment holds its credentials."""

    endpoint: str
    bucket: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/a/prefix?endpoint_url={self.endpoint}"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> S3:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    boto3.session.Session().client("s3", region_name="us-east-1").create_bucket(Bucket=bucket)
    return S3(s3_server, bucket)


@pytest.fixture(params=["memory", "local", "s3", "real s3"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store of each kind. A real S3 server joins in where MAD_RAY_S3_URL names a prefix on one."""
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    if request.param == "local":
        return str(request.getfixturevalue("tmp_path") / "store")
    if request.param == "s3":
        return request.getfixturevalue("s3").url
    if "MAD_RAY_S3_URL" not in os.environ:
        pytest.skip("MAD_RAY_S3_URL names no prefix on a real S3 server")
    path, mark, query = os.environ["MAD_RAY_S3_URL"].partition("?")
    return f"{path.rstrip('/')}/{uuid.uuid4().hex}{mark}{query}"


@pytest.fixture
def store(store_url: str):
    return open_store(store_url)


@dataclass(frozen=True)
class Settings:
    name: str


class Ledgers:
    """Small cohorts, and commits to their ledgers that look like those of real attempts."""

    @staticmethod
    def cohort(name: str = "gaussian", n_trajectories: int = 2) -> Cohort:
        loop = Loop(n_initial=10, n_synthetic=10)
        settings = Settings(name)
        return Cohort(tuple(Trajectory(settings, settings, loop, settings, 9, seed) for seed in range(n_trajectories)))

    @staticmethod
    def manifest(ledger: Ledger, attempt: str, n_generations: int = 1, model: bytes = b"model") -> Manifest:
        """The manifest of the next span, its objects already written."""
        history = ledger.history()
        first = history[-1].last + 1 if history else 1
        last = first + n_generations - 1
        prefix = ledger.cohort.attempt_prefix(first, attempt)
        shard = ledger.put_blob(prefix, f"samples/{last:06d}-000000.parquet", model + b" drew this")
        return Manifest(
            identity=ledger.cohort.identity,
            cohort=ledger.cohort.id,
            first=first,
            last=last,
            parent=history[-1].digest if history else ROOT,
            training=compose(ledger.cohort.head.loop, last),
            models=ledger.put_blob(prefix, "models.safetensors", model),
            n_published=10,
            shards=(Shard(shard, last, 0, 10),),
            metrics=ledger.put_blob(prefix, "metrics.json", b"[]"),
            provenance={"attempt": attempt, "seconds": 0.25, "versions": {"numpy": "2.0"}},
        )


@pytest.fixture
def ledgers() -> Ledgers:
    return Ledgers()
