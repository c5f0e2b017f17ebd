"""URLs, and stores that cannot commit."""

import subprocess
import sys

import pytest

from mad_ray.core.errors import InvalidInput, StoreError
from mad_ray.ledger.memory import MemoryStore, _reopen
from mad_ray.ledger.open import open_store
from mad_ray.ledger.store import probe


@pytest.mark.parametrize(
    "url", ["", " ", "gs://bucket/x", "http://host/x", "memory://", "memory://a/b", "memory://a?b=1"]
)
def test_unknown_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="memory://NAME"):
        open_store(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://", "expected s3://BUCKET/PREFIX"),
        ("s3:///prefix", "expected s3://BUCKET/PREFIX"),
        ("s3://b/p#f", "expected s3://BUCKET/PREFIX"),
        ("s3://b/p/../q", "not allowed"),
        ("s3://b/p?endpoint=x", "no option 'endpoint'; known are endpoint_url, region"),
        ("s3://b/p?endpoint_url=host:9000", "http://HOST:PORT"),
    ],
)
def test_malformed_s3_urls_are_refused(url: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        open_store(url)


@pytest.mark.parametrize("url", ["s3://me:hush@bucket/p", "s3://bucket/p?endpoint_url=http://me:hush@host:9000"])
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInput, match="holds credentials") as caught:
        open_store(url)
    assert "hush" not in str(caught.value)


def test_memories_are_shared_by_name_in_one_process_only() -> None:
    open_store("memory://shared").put("a", b"1")
    assert MemoryStore("shared").get("a") == b"1"
    with pytest.raises(StoreError, match="one process only"):
        _reopen("shared", "another process")


class Overwriting(MemoryStore):
    """An S3 server from before conditional writes: it ignores If-None-Match."""

    def put(self, key, data, *, if_absent=False):
        return super().put(key, data)


class Lying(MemoryStore):
    """Says it kept what was there, and did not."""

    def put(self, key, data, *, if_absent=False):
        existed = any(entry.key == key for entry in self.list(key))
        super().put(key, data)
        return not existed


@pytest.mark.parametrize("kind", [Overwriting, Lying])
def test_a_store_without_conditional_writes_is_refused(kind) -> None:
    store = kind(kind.__name__)
    with pytest.raises(StoreError, match=r"ignores conditional writes \(If-None-Match\)"):
        probe(store)
    assert list(store.list("")) == []


def test_only_s3_needs_boto3() -> None:
    program = (
        "import sys, mad_ray.ledger.open, mad_ray.ledger.ledger, mad_ray.ledger.verify, mad_ray.ledger.gc\n"
        "mad_ray.ledger.open.open_store('/nowhere')\n"
        "sys.exit(bool({'boto3', 'botocore', 'torch', 'ray'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
