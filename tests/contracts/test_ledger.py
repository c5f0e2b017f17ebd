"""What the ledger promises on every store: one winner per span, a verified chain, checked bytes."""

import threading
from dataclasses import replace

import pytest

from mad_ray.core.errors import Corrupt
from mad_ray.core.manifest import Blob
from mad_ray.ledger.chain import Chain, ledger_prefix, manifest_key
from mad_ray.ledger.ledger import Ledger, require_same


@pytest.fixture
def ledger(store, ledgers) -> Ledger:
    return Ledger(store, ledgers.cohort())


def test_an_empty_ledger(ledger) -> None:
    assert ledger.history() == []
    assert ledger.last == 0


def test_commits_are_read_back_by_another_reader(ledger, ledgers) -> None:
    commits = [ledger.commit(ledgers.manifest(ledger, f"a{i}", n_generations=n)) for i, n in enumerate((1, 3, 2))]
    assert [(m.first, m.last) for m in commits] == [(1, 1), (2, 4), (5, 6)]
    assert Ledger(ledger.store, ledger.cohort).history() == commits
    assert Chain(ledger.store, ledger.cohort.id).last == 6


def test_the_keys_are_those_of_the_cohort(ledger) -> None:
    assert manifest_key(ledger.cohort.id, 12) == ledger.cohort.manifest_key(12)
    assert ledger.cohort.manifest_key(12).startswith(ledger_prefix(ledger.cohort.id))


def test_a_lost_race_returns_the_winner(ledger, ledgers) -> None:
    other = Ledger(ledger.store, ledger.cohort)
    ours, theirs = ledgers.manifest(ledger, "a", model=b"1"), ledgers.manifest(other, "b", 2, model=b"2")
    assert other.commit(theirs) == theirs
    assert ledger.commit(ours) == theirs
    assert ledger.last == 2
    with pytest.raises(Corrupt, match="attempt b"):
        require_same(ours, theirs)


def test_committing_the_same_again_returns_it(ledger, ledgers) -> None:
    """A conditional put whose answer was lost is tried again and meets itself."""
    manifest = ledgers.manifest(ledger, "a")
    assert ledger.commit(manifest) == ledger.commit(manifest) == manifest
    require_same(manifest, replace(manifest, provenance={"attempt": "b"}))


def test_ten_racing_attempts_agree(ledger, ledgers) -> None:
    racers = [Ledger(ledger.store, ledger.cohort) for _ in range(10)]
    manifests = [ledgers.manifest(racer, f"a{i}", model=bytes([i])) for i, racer in enumerate(racers)]
    winners = [None] * 10

    def race(i: int) -> None:
        winners[i] = racers[i].commit(manifests[i])

    threads = [threading.Thread(target=race, args=(i,)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert winners[0] in manifests
    assert all(winner == winners[0] for winner in winners)


def test_a_manifest_that_does_not_follow_is_refused(ledger, ledgers) -> None:
    ledger.commit(ledgers.manifest(ledger, "a"))
    manifest = ledgers.manifest(ledger, "b")
    with pytest.raises(Corrupt, match="computed after another"):
        ledger.commit(replace(manifest, parent="0" * 64))
    with pytest.raises(Corrupt, match="goes on at 2"):
        ledger.commit(replace(manifest, first=3, last=3))
    assert ledger.last == 1


def test_another_cohorts_manifest_is_refused(ledger, ledgers) -> None:
    other = Ledger(ledger.store, ledgers.cohort("other"))
    other.commit(ledgers.manifest(other, "a"))
    ledger.store.put(ledger.cohort.manifest_key(1), ledger.store.get(other.cohort.manifest_key(1)))
    with pytest.raises(Corrupt, match="belongs to cohort"):
        ledger.history()


def test_a_manifest_under_another_key_is_refused(ledger, ledgers) -> None:
    ledger.commit(ledgers.manifest(ledger, "a"))
    ledger.store.put(ledger.cohort.manifest_key(2), ledger.store.get(ledger.cohort.manifest_key(1)))
    with pytest.raises(Corrupt, match="belong elsewhere"):
        ledger.history()


def test_what_was_verified_is_not_read_again(ledger, ledgers) -> None:
    first = ledger.commit(ledgers.manifest(ledger, "a"))
    reader = Chain(ledger.store, ledger.cohort.id)
    reader.history()
    ledger.store.delete(ledger.cohort.manifest_key(1))
    second = ledger.commit(ledgers.manifest(ledger, "b"))
    assert reader.history() == [first, second]


def test_blobs_are_checked(ledger, ledgers) -> None:
    manifest = ledgers.manifest(ledger, "a", model=b"a model")
    assert ledger.read_blob(manifest, manifest.models) == b"a model"
    key = f"{ledger.cohort.attempt_prefix(1, 'a')}/models.safetensors"
    for damaged in (b"a mOdel", b"a mode", b""):
        ledger.store.put(key, damaged)
        with pytest.raises(Corrupt, match=key):
            ledger.read_blob(manifest, manifest.models)


def test_a_blob_cannot_point_out_of_the_store(ledger, ledgers) -> None:
    manifest = ledgers.manifest(ledger, "a")
    with pytest.raises(ValueError, match="not allowed"):
        ledger.read_blob(manifest, Blob("../../../secret", 1, "0" * 64))
