"""No damage stays hidden: every object, every byte of every manifest, what is lost, what lies behind it."""

from dataclasses import replace

import pytest

from mad_ray.core.errors import Missing, StoreError
from mad_ray.core.manifest import Blob
from mad_ray.core.sealed import seal
from mad_ray.ledger.documents import verify_documents
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.verify import Finding, Tally, verify_cohort


@pytest.fixture
def ledger(request, ledgers) -> Ledger:
    ledger = Ledger(MemoryStore(request.node.nodeid), ledgers.cohort())
    for i in range(3):
        ledger.commit(ledgers.manifest(ledger, f"a{i}", n_generations=2, model=f"model {i}".encode()))
    return ledger


def objects(store) -> dict[str, bytes]:
    return {entry.key: store.get(entry.key) for entry in store.list("")}


def findings(ledger) -> list[Finding]:
    return list(verify_cohort(ledger.store, ledger.cohort.id))


def flip(data: bytes, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << (bit % 8)
    return bytes(damaged)


def test_a_sound_ledger_has_no_findings_and_is_read_once(ledger) -> None:
    tally = Tally()
    assert list(verify_cohort(ledger.store, ledger.cohort.id, tally)) == []
    all_objects = objects(ledger.store)
    assert tally == Tally(len(all_objects), sum(map(len, all_objects.values())))


def test_every_flipped_bit_in_every_named_object_is_found(ledger) -> None:
    for key, data in objects(ledger.store).items():
        if "/attempts/" in key:
            for bit in range(8 * len(data)):
                ledger.store.put(key, flip(data, bit))
                (finding,) = findings(ledger)
                assert finding.key == key
            ledger.store.put(key, data)


@pytest.mark.parametrize("first", [1, 3, 5])
def test_a_flipped_bit_in_any_byte_of_a_manifest_is_found(ledger, first) -> None:
    key = ledger.cohort.manifest_key(first)
    data = ledger.store.get(key)
    for i in range(len(data)):
        ledger.store.put(key, flip(data, 8 * i + i % 8))
        assert findings(ledger)[0].key == key


def test_truncated_and_lost_objects_are_found(ledger) -> None:
    for key, data in objects(ledger.store).items():
        if "/attempts/" in key:
            ledger.store.put(key, data[:-1])
            assert [finding.key for finding in findings(ledger)] == [key]
            ledger.store.delete(key)
            assert [finding.key for finding in findings(ledger)] == [key]
            ledger.store.put(key, data)


def test_all_problems_are_reported_not_the_first_only(ledger) -> None:
    keys = [key for key in objects(ledger.store) if key.endswith(".safetensors")]
    for key in keys:
        ledger.store.put(key, b"damaged")
    assert [finding.key for finding in findings(ledger)] == keys
    assert len(keys) == 3


def test_behind_a_damaged_manifest_the_rest_is_still_checked(ledger) -> None:
    bad, later = ledger.cohort.manifest_key(3), ledger.cohort.manifest_key(5)
    blob = f"{ledger.cohort.attempt_prefix(5, 'a2')}/metrics.json"
    ledger.store.put(bad, b"{}")
    ledger.store.put(blob, b"[ ]")
    found = findings(ledger)
    assert [finding.key for finding in found] == [bad, later, blob]
    assert "cannot be chained" in found[1].problem


def test_a_lost_manifest_is_found_by_those_behind_it(ledger) -> None:
    ledger.store.delete(ledger.cohort.manifest_key(3))
    found = findings(ledger)
    assert [finding.key for finding in found] == [ledger.cohort.manifest_key(first) for first in (3, 5)]
    assert "missing" in found[0].problem


def test_a_rewritten_past_is_found(ledger) -> None:
    """A manifest that is whole in itself, but not the one that the next was computed from."""
    key = ledger.cohort.manifest_key(1)
    ledger.store.put(key, replace(ledger.history()[0], n_published=11).to_json())
    assert [finding.key for finding in findings(ledger)] == [ledger.cohort.manifest_key(first) for first in (3, 5)]


def test_a_manifest_that_points_out_of_the_store_is_found(ledger) -> None:
    last = ledger.history()[-1]
    crafted = replace(last, models=Blob("../../../../secret", 1, "0" * 64))
    ledger.store.put(ledger.cohort.manifest_key(5), crafted.to_json())
    (finding,) = findings(ledger)
    assert "not allowed" in finding.problem


def test_a_commit_during_verification_is_no_finding(ledger, ledgers) -> None:
    class Busy(MemoryStore):
        def list(self, prefix):
            yield from super().list(prefix)
            ledger.commit(ledgers.manifest(ledger, "late"))

    assert list(verify_cohort(Busy(ledger.store.url.removeprefix("memory://")), ledger.cohort.id)) == []


def test_a_store_that_fails_is_not_taken_for_damage(ledger) -> None:
    class Refusing(MemoryStore):
        def get(self, key):
            raise StoreError("credentials refused")

    with pytest.raises(StoreError, match="refused"):
        list(verify_cohort(Refusing(ledger.store.url.removeprefix("memory://")), ledger.cohort.id))


def test_sealed_documents_are_checked(ledger) -> None:
    store, tally = ledger.store, Tally()
    data = seal({"name": "x", "values": [1, 2.5, None]})
    store.put("studies/x/study.json", data)
    store.put("studies/x/notes/1.json", data)
    store.put("studies/x/readme.txt", b"not sealed")
    assert list(verify_documents(store, "studies/x/", tally)) == []
    assert tally == Tally(2, 2 * len(data))
    for bit in range(8 * len(data)):
        store.put("studies/x/study.json", flip(data, bit))
        assert [finding.key for finding in verify_documents(store, "studies/")] == ["studies/x/study.json"]


def test_a_document_that_vanishes_is_passed_over(ledger) -> None:
    class Vanishing(MemoryStore):
        def get(self, key):
            raise Missing(key)

    store = Vanishing(ledger.store.url.removeprefix("memory://"))
    assert list(verify_documents(store, "cohorts/")) == []
