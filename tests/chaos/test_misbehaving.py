"""A store behind a proxy that loses, doubles, cuts and denies one answer in five: every claim stays true.

On a real S3 server where MAD_RAY_S3_URL names a prefix, else on moto's.
"""

import io
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import boto3
import numpy as np
import pytest
from PIL import Image

from mad_ray.commands.session import session_of
from mad_ray.config import parse_config
from mad_ray.core.errors import Missing
from mad_ray.core.trajectory import Cohort
from mad_ray.data.files import list_files, open_files
from mad_ray.engine.checkpoints import CheckpointRule
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.reference import _references
from mad_ray.engine.trajectory import run_cohort
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.open import open_store
from mad_ray.ledger.retry import Retrying
from mad_ray.ledger.s3 import S3Store, _ask_to_close
from mad_ray.ledger.store import Store, probe
from mad_ray.ledger.verify import verify_cohort
from tests.chaos.proxy import KINDS, Proxy
from tests.chaos.studies import DDPM, GAUSSIAN
from tests.contracts import test_stores as contract
from tests.contracts.racing import N, winners

RATE, SEED = 0.2, 20
TIMEOUT_S, STALL_S = 0.7, 1.0


@dataclass(frozen=True)
class Behind:
    """The server behind the proxy: its address, and a prefix of its own for each test."""

    endpoint: str
    bucket: str
    prefix: str

    def through(self, proxy: Proxy) -> str:
        return self.at(proxy.url, f"&timeout_s={TIMEOUT_S}")

    @property
    def url(self) -> str:
        return self.at(self.endpoint)

    def at(self, endpoint: str, more: str = "") -> str:
        return f"s3://{self.bucket}/{self.prefix}?endpoint_url={endpoint}{more}"


@pytest.fixture
def behind(request: pytest.FixtureRequest) -> Behind:
    prefix = f"misbehaving-{uuid.uuid4().hex[:12]}"
    if "MAD_RAY_S3_URL" in os.environ:
        parts = urlsplit(os.environ["MAD_RAY_S3_URL"])
        return Behind(os.environ["AWS_ENDPOINT_URL"], parts.netloc, f"{parts.path.strip('/')}/{prefix}".strip("/"))
    s3 = request.getfixturevalue("s3")
    return Behind(s3.endpoint, s3.bucket, prefix)


@contextmanager
def misbehaving(
    behind: Behind, rate: float = RATE, seed: int = SEED, kinds: tuple[str, ...] = KINDS
) -> Iterator[tuple[Store, Proxy]]:
    with Proxy(behind.endpoint, rate, seed, kinds, STALL_S) as proxy:
        store = open_store(behind.through(proxy))
        assert isinstance(store, Retrying)
        # As often as ever, but soon.
        store.base_s = 0.01
        yield store, proxy


@pytest.mark.parametrize(
    "kind", [kind if i % 3 == 0 else pytest.param(kind, marks=pytest.mark.slow) for i, kind in enumerate(KINDS)]
)
def test_every_claim_is_true(behind: Behind, kind: str) -> None:
    truth, n = open_store(behind.url), 2 if "stall" in kind else 8
    with misbehaving(behind, 0.4, kinds=(kind,)) as (store, proxy):
        for i in range(n):
            key, data = f"k/{i}", f"{i}".encode() * 50
            store.put(key, data, if_absent=bool(i % 2))
            assert truth.get(key) == data, "what is said to be written is there"
            assert store.get(key) == data
            assert store.put(key, b"other", if_absent=True) is False
            assert truth.get(key) == data
            with pytest.raises(Missing):
                store.get(f"k/{i}-absent")
        assert [entry.key for entry in store.list("k/")] == [f"k/{i}" for i in range(n)]
        store.delete("k/0")
        assert [entry.key for entry in truth.list("k/")] == [f"k/{i}" for i in range(1, n)]
        assert proxy.counts[kind] > 1, proxy.counts


@pytest.mark.parametrize("kind", ["answered twice", "answered twice, late"])
def test_an_answer_to_another_write_is_no_receipt(behind: Behind, kind: str) -> None:
    """Where connections are kept, as over TLS, an answer that comes twice is taken for the one to the next request."""
    truth = open_store(behind.url)
    with misbehaving(behind, 0.5, kinds=(kind,)) as (store, proxy):
        assert isinstance(store.store, S3Store)  # type: ignore[attr-defined]
        store.store.client.meta.events.unregister("before-send.s3", _ask_to_close)  # type: ignore[attr-defined]
        for i in range(25):
            store.put(f"k/{i}", f"data {i}".encode(), if_absent=bool(i % 2))
            assert truth.get(f"k/{i}") == f"data {i}".encode()
        assert proxy.counts[kind] > 5


CONTRACT = [
    contract.test_round_trip,
    contract.test_a_missing_object_is_missing,
    contract.test_put_overwrites,
    contract.test_list_is_in_key_order_and_by_string_prefix,
    contract.test_list_of_an_empty_store,
    contract.test_listed_entries_have_size_and_time,
    contract.test_objects_may_be_deleted_while_listed,
    contract.test_delete_is_idempotent,
    contract.test_eight_mebibytes,
    contract.test_a_pickled_store_is_the_same_store,
    contract.test_the_url_opens_the_same_store,
    contract.test_probe_accepts_it_and_leaves_nothing,
]


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__.removeprefix("test_"))
def test_the_contract_of_stores(behind: Behind, promise: Callable[[Store], None]) -> None:
    """All of it but who is told that it won: a first try may have won, and its answer been lost."""
    with misbehaving(behind) as (store, _):
        promise(store)


def test_of_racing_writers_one_at_most_is_told_so_and_its_data_stay(behind: Behind) -> None:
    with misbehaving(behind) as (store, _):
        store.list("")
        won = winners(store)
        assert len(won) <= 1
        kept = open_store(behind.url).get("race")
        assert kept in [f"{i}".encode() for i in won or range(N)]


def test_a_long_listing_ends(behind: Behind) -> None:
    """Page by page, each lost now and then: begun anew after each failure it would not end in a lifetime."""
    plain = open_store(behind.url)
    names = [f"{i:03d}" for i in range(60)]
    for name in names:
        plain.put(name, b"")
    with misbehaving(behind, 0.4, kinds=("500", "reset after", "truncated")) as (store, proxy):
        paginate = store.store.client.get_paginator  # type: ignore[attr-defined]

        def short_pages(operation: str):
            class Short:
                def paginate(self, **parameters):
                    return paginate(operation).paginate(**parameters, PaginationConfig={"PageSize": 2})

            return Short()

        store.store.client.get_paginator = short_pages  # type: ignore[attr-defined]
        assert [entry.key for entry in store.list("")] == names
        assert sum(proxy.counts.values()) < 150, "30 pages, two lost for every three that came"


def cohorts_of(study: dict) -> list[Cohort]:
    return session_of(parse_config({"study": study, "run": {"store": "memory://none"}})).cohorts


def run_all(cohorts: list[Cohort], store: Store) -> dict[str, list[str]]:
    """cohort -> digests of all that was committed."""
    _references.clear()
    probe(store)
    runtime = LocalRuntime(CheckpointRule(0, 4))
    return {cohort.id: [manifest.digest for manifest, _ in run_cohort(cohort, store, runtime)] for cohort in cohorts}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_a_study_comes_out_the_same(behind: Behind, seed: int) -> None:
    cohorts = cohorts_of(DDPM)[:1] + cohorts_of(GAUSSIAN)
    undisturbed = run_all(cohorts, MemoryStore(uuid.uuid4().hex))
    with misbehaving(behind, seed=seed) as (store, proxy):
        assert run_all(cohorts, store) == undisturbed
        print(dict(proxy.counts))
        assert proxy.n_faults > 10
    for cohort in cohorts:
        assert list(verify_cohort(open_store(behind.url), cohort.id)) == []


@pytest.mark.parametrize("kind", ["all", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS)])
def test_the_users_images_are_read_whole(behind: Behind, kind: str, tmp_path, monkeypatch) -> None:
    """Through Arrow: same fingerprints, same bytes, whole or in parts."""
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path))
    pictures = {f"c{i % 2}/{i:03d}.png": png(i) for i in range(12)}
    for name, data in pictures.items():
        boto3.client("s3", endpoint_url=behind.endpoint).put_object(
            Bucket=behind.bucket, Key=f"{behind.prefix}/{name}", Body=data
        )
    truth = list_files(behind.url)
    with Proxy(behind.endpoint, RATE, SEED, KINDS if kind == "all" else (kind,), STALL_S) as proxy:
        monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "other"))
        assert list_files(behind.through(proxy)) == truth
        files = open_files(behind.through(proxy))
        for name, data in pictures.items():
            with files.open(name) as file:
                assert file.read() == data
            with files.open(name) as file:
                file.seek(100)
                assert file.read(300) == data[100:400]
        assert proxy.n_faults > 5


def png(seed: int) -> bytes:
    sink = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()
