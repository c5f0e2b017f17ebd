"""Sealed documents and manifests: one flipped bit shows, and whatever the bytes are, the answer is Corrupt."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_ray.core.errors import Corrupt
from mad_ray.core.fingerprint import canonical_json
from mad_ray.core.loop import Slice
from mad_ray.core.manifest import Blob, Manifest, Shard
from mad_ray.core.sealed import seal, unseal

DOCUMENT = {"text": "ü/\u2028", "numbers": [1, 2.5, -3e-9], "nested": {"yes": True, "nothing": None}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MANIFEST = Manifest(
    identity={"loop": {"n_initial": 3}},
    cohort="0" * 16,
    first=2,
    last=3,
    parent="1" * 64,
    training=(Slice(0, 0, 5), Slice(1, 2, 3)),
    models=Blob("models.safetensors", 10, "2" * 64),
    n_published=7,
    shards=(Shard(Blob("samples/a.parquet", 11, "3" * 64), 2, 0, 7), Shard(Blob("b", 1, "4" * 64), 3, 0, 7)),
    metrics=Blob("metrics.json", 12, "5" * 64),
    provenance={"attempt": "abc", "wall_s": 1.5, "seconds": {"fit": 1.0}},
)


@given(st.dictionaries(st.text(max_size=5).filter(lambda key: key != "seal"), JSON, max_size=4))
def test_round_trip(document: dict) -> None:
    assert unseal(seal(document), "key") == document


def test_any_flipped_bit_is_found() -> None:
    data = seal(DOCUMENT)
    for i in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[i] ^= 1 << bit
            with pytest.raises(Corrupt, match="some/key"):
                unseal(bytes(flipped), "some/key")


def test_any_truncation_and_any_addition_is_found() -> None:
    data = seal(DOCUMENT)
    for damaged in [*(data[:n] for n in range(len(data))), data + b" ", data + b"\n", b" " + data, data + data]:
        with pytest.raises(Corrupt):
            unseal(damaged, "key")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"seal"',
        b"{}",
        b'{"a":1}',
        b'{"seal":"x"}',
        b'{"a":NaN,"seal":"x"}',
        b'{"a":1e999,"seal":"x"}',
        b'{"a":' + b"9" * 5000 + b',"seal":"x"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"[" * 900 + b"]" * 900 + b',"seal":"x"}',
        b"\xff\xfe",
        b'{"a":"\\ud800","seal":"x"}',
        bytes(1000),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_whatever_is_no_sealed_document_is_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt, match="key") as caught:
        unseal(data, "key")
    assert "\n" not in str(caught.value)


def test_equal_values_in_other_bytes_are_refused() -> None:
    """1.0 for 1, or a blank: JSON would call it the same."""
    data = seal({"a": 1})
    for damaged in (data.replace(b":1,", b":1.0,"), data.replace(b":1,", b": 1,")):
        assert damaged != data
        with pytest.raises(Corrupt):
            unseal(damaged, "key")


def test_manifests_survive_the_round_trip() -> None:
    found = Manifest.from_json(MANIFEST.to_json(), "key")
    assert found == MANIFEST
    assert found.digest == MANIFEST.digest
    assert found.to_json() == MANIFEST.to_json()


def test_the_digest_covers_results_and_not_provenance() -> None:
    assert replace(MANIFEST, provenance={"attempt": "other"}).digest == MANIFEST.digest
    changes = {
        "identity": {},
        "cohort": "f" * 16,
        "first": 1,
        "last": 4,
        "parent": "",
        "training": (),
        "models": Blob("x", 1, "y"),
        "n_published": 8,
        "shards": (),
        "metrics": Blob("x", 1, "y"),
    }
    digests = {replace(MANIFEST, **{name: value}).digest for name, value in changes.items()}
    assert len(digests | {MANIFEST.digest}) == len(changes) + 1


def test_blobs_are_all_that_is_named() -> None:
    assert [blob.name for blob in MANIFEST.blobs()] == ["models.safetensors", "metrics.json", "samples/a.parquet", "b"]


def test_a_sealed_document_that_is_no_manifest_is_corrupt() -> None:
    whole = unseal(MANIFEST.to_json(), "key")
    for content in ({}, [], None, {**whole["content"], "more": 1}, {**whole["content"], "models": 3}):
        with pytest.raises(Corrupt, match="key: not a manifest"):
            Manifest.from_json(seal({**whole, "content": content}), "key")
    for name in whole["content"]:
        less = {k: v for k, v in whole["content"].items() if k != name}
        with pytest.raises(Corrupt, match="key"):
            Manifest.from_json(seal({**whole, "content": less}), "key")
    with pytest.raises(Corrupt, match="not a manifest"):
        Manifest.from_json(seal({"content": whole["content"]}), "key")


def test_another_format_is_told_as_such() -> None:
    whole = unseal(MANIFEST.to_json(), "key")
    with pytest.raises(Corrupt, match=r"another version of mad_ray \(format 99\)"):
        Manifest.from_json(seal({**whole, "content": {**whole["content"], "format": 99}}), "key")


def test_manifests_are_canonical_json() -> None:
    whole = unseal(MANIFEST.to_json(), "key")
    assert seal(whole) == MANIFEST.to_json()
    assert canonical_json(whole["content"]) == canonical_json(MANIFEST.content())
