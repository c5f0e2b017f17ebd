"""Garbage goes, nothing else: neither what is named, nor what is young, nor anything in doubt."""

import os
import time
import uuid
from pathlib import Path

import pytest

from mad_ray.core.errors import Corrupt
from mad_ray.core.fingerprint import digest_bytes
from mad_ray.core.manifest import Blob
from mad_ray.ledger.fate import LAST, Buried
from mad_ray.ledger.gc import Collected, collect
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.local import LocalStore
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.retry import Retrying
from mad_ray.ledger.store import Entry
from mad_ray.ledger.verify import verify_cohort
from tests.ledger.mortal import Killed, Mortal

HOUR = 3600.0


class Aged(MemoryStore):
    """A memory in which the objects whose keys hold `old` were written a day ago."""

    old = "dead"

    def list(self, prefix):
        for entry in super().list(prefix):
            yield Entry(entry.key, entry.n_bytes, entry.modified_s - 24 * HOUR * (self.old in entry.key))


@pytest.fixture
def ledger(request, ledgers) -> Ledger:
    ledger = Ledger(Aged(request.node.nodeid), ledgers.cohort())
    ledgers.manifest(ledger, "dead")
    for name in ("a", "b"):
        ledger.commit(ledgers.manifest(ledger, name))
    ledgers.manifest(ledger, "running")
    return ledger


def keys(ledger) -> set[str]:
    return {entry.key for entry in ledger.store.list("")}


def test_it_deletes_old_unnamed_objects_only(ledger) -> None:
    before = keys(ledger)
    dry = collect(ledger.store, [ledger.cohort.id], HOUR, dry=True)
    assert keys(ledger) == before
    assert collect(ledger.store, [ledger.cohort.id], HOUR) == dry == Collected(3, 22, 3)
    assert before - keys(ledger) == {key for key in before if "-dead/" in key}
    assert collect(ledger.store, [ledger.cohort.id], HOUR) == Collected(0, 0, 3)
    assert list(verify_cohort(ledger.store, ledger.cohort.id)) == []


def test_after_the_grace_all_that_cannot_be_committed_goes(ledger) -> None:
    """Of what comes next: an attempt without its last object is buried, a complete one may still be committed."""
    half = ledger.cohort.attempt_prefix(3, "half")
    ledger.put_blob(half, "models.safetensors", b"12345")
    late = time.time() + 2 * HOUR
    dry = collect(ledger.store, [ledger.cohort.id], HOUR, now_s=late, dry=True)
    assert collect(ledger.store, [ledger.cohort.id], HOUR, now_s=late) == dry == Collected(4, 27, 0, 3)
    assert list(verify_cohort(ledger.store, ledger.cohort.id)) == []
    assert {key for key in keys(ledger) if "-half/" in key} == {f"{half}/{LAST}"}, "its gravestone stays"
    assert collect(ledger.store, [ledger.cohort.id], HOUR, now_s=late) == Collected(0, 0, 0, 3)


def test_once_another_has_won_all_others_go(ledger, ledgers) -> None:
    half = ledger.cohort.attempt_prefix(3, "half")
    ledger.put_blob(half, "models.safetensors", b"12345")
    late = time.time() + 2 * HOUR
    collect(ledger.store, [ledger.cohort.id], HOUR, now_s=late)
    ledger.commit(ledgers.manifest(ledger, "c"))
    assert collect(ledger.store, [ledger.cohort.id], HOUR, now_s=late).n_objects == 4
    assert {key.split("/")[3] for key in keys(ledger) if "/attempts/" in key} == {"000001-a", "000002-b", "000003-c"}


def test_a_buried_attempt_is_never_committed(ledger, ledgers) -> None:
    """It was silent for long, and comes back: its last object cannot be written, so that no manifest can name it."""
    zombie = ledger.cohort.attempt_prefix(3, "zombie")
    ledger.put_blob(zombie, "models.safetensors", b"12345")
    collect(ledger.store, [ledger.cohort.id], 0.0, now_s=time.time() + HOUR)
    with pytest.raises(Buried, match="longer grace period"):
        ledger.put_last(zombie, b"[]")


def test_a_last_object_whose_answer_was_lost_is_still_ours(ledger) -> None:
    prefix = ledger.cohort.attempt_prefix(3, "again")
    assert ledger.put_last(prefix, b"[]") == ledger.put_last(prefix, b"[]") == Blob(LAST, 2, digest_bytes(b"[]"))


def test_a_lost_manifest_at_the_end_costs_none_of_its_objects(ledger) -> None:
    """Nobody can tell it from an attempt that is about to commit."""
    ledger.store.delete(ledger.cohort.manifest_key(2))
    collect(ledger.store, [ledger.cohort.id], 0.0, now_s=time.time() + 99 * HOUR)
    assert sum("-b/" in key for key in keys(ledger)) == 3


class Dying(Mortal, Aged):
    """Dies at its operation number n, before or after it was carried out."""

    def get(self, key):
        return self.step(lambda: super(Dying, self).get(key))

    def put(self, key, data, *, if_absent=False):
        return self.step(lambda: super(Dying, self).put(key, data, if_absent=if_absent))

    def list(self, prefix):
        return iter(self.step(lambda: list(super(Dying, self).list(prefix))))

    def delete(self, key):
        return self.step(lambda: super(Dying, self).delete(key))


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_operation_and_run_again_it_ends_the_same(ledgers, after: bool) -> None:
    def made() -> Ledger:
        ledger = Ledger(Aged(uuid.uuid4().hex), ledgers.cohort())
        ledgers.manifest(ledger, "dead")
        for name in ("a", "b"):
            ledger.commit(ledgers.manifest(ledger, name))
        for name in ("dead-1", "dead-2"):
            for i in range(2):
                ledger.put_blob(ledger.cohort.attempt_prefix(3, name), f"samples/{i}.parquet", b"123")
        ledger.store.put(f"{ledger.cohort.prefix}/progress/000003-dead.state", b"1")
        ledger.store.put(".probe/dead", b"")
        return ledger

    whole = made()
    collect(whole.store, [whole.cohort.id], HOUR)
    n = 0
    while True:
        n += 1
        ledger = made()
        name = ledger.store.url.removeprefix("memory://")
        try:
            collect(Dying(name, n, after), [ledger.cohort.id], HOUR)
        except Killed:
            assert list(verify_cohort(ledger.store, ledger.cohort.id)) == []
        else:
            break
        collect(ledger.store, [ledger.cohort.id], HOUR)
        assert keys(ledger) == keys(whole)
    # Two listings, a manifest, two burials of two requests, nine deletions.
    assert n > 15


def test_many_cohorts_take_few_requests(ledgers) -> None:
    class Counting(MemoryStore):
        n = 0

        def get(self, key):
            self.n += 1
            return super().get(key)

        def list(self, prefix):
            self.n += 1
            return super().list(prefix)

    store = Counting(uuid.uuid4().hex)
    ledgers_of = [Ledger(store, ledgers.cohort(f"{i}")) for i in range(120)]
    for ledger in ledgers_of:
        ledger.commit(ledgers.manifest(ledger, "a"))
        ledger.commit(ledgers.manifest(ledger, "b"))
    ledgers.manifest(Ledger(store, ledgers.cohort("0")), "c")
    store.n = 0
    ids = [ledger.cohort.id for ledger in ledgers_of]
    assert collect(store, ids, HOUR) == Collected(0, 0, 3, 0)
    # The probes, all objects (a request per thousand of them), and whether that last attempt is buried.
    assert store.n == 3


def test_files_that_killed_writers_left_are_collected(tmp_path: Path) -> None:
    store = Retrying(LocalStore(str(tmp_path)))
    store.put("a/b", b"whole")
    for name, age_s in (("old", 2 * HOUR), ("young", 0.0)):
        (tmp_path / ".tmp" / name).write_bytes(b"123")
        os.utime(tmp_path / ".tmp" / name, (time.time() - age_s,) * 2)
    assert collect(store, [], HOUR, dry=True) == Collected(1, 3)
    assert collect(store, [], HOUR) == Collected(1, 3)
    assert [path.name for path in (tmp_path / ".tmp").iterdir()] == ["young"]
    assert store.get("a/b") == b"whole"


def test_an_attempt_still_at_work_keeps_its_old_objects(ledger) -> None:
    ledger.store.put(f"{ledger.cohort.attempt_prefix(1, 'dead')}/fresh", b"")
    ledger.store.old = "models"
    assert collect(ledger.store, [ledger.cohort.id], HOUR) == Collected(0, 0, 7)


def test_another_cohort_is_left_alone(ledger, ledgers) -> None:
    other = Ledger(ledger.store, ledgers.cohort("other"))
    ledgers.manifest(other, "dead")
    collect(ledger.store, [ledger.cohort.id], HOUR)
    assert sum("-dead/" in key for key in keys(ledger)) == 3


def test_old_probes_go(ledger) -> None:
    ledger.store.put(".probe/dead", b"")
    ledger.store.put(".probe/new", b"")
    assert collect(ledger.store, [], HOUR) == Collected(1, 0, 1)


def test_a_commit_between_listing_and_deletion_is_seen(ledger, ledgers) -> None:
    """Old and half-done when it was listed; then it writes the rest and is committed."""
    late = Ledger(ledger.store, ledger.cohort)
    late.put_blob(late.cohort.attempt_prefix(3, "dead-slow"), "models.safetensors", b"model")

    class Busy(Aged):
        def list(self, prefix):
            yield from super().list(prefix)
            if "cohorts" in prefix:
                late.commit(ledgers.manifest(late, "dead-slow"))

    busy = Busy(ledger.store.url.removeprefix("memory://"))
    assert collect(busy, [ledger.cohort.id], HOUR).n_objects == 3
    assert ledger.last == 3
    assert list(verify_cohort(ledger.store, ledger.cohort.id)) == []


@pytest.mark.parametrize("lost", [False, True])
def test_in_doubt_nothing_is_deleted(ledger, ledgers, lost) -> None:
    """A damaged or lost manifest makes the objects it named look like garbage."""
    sound = Ledger(ledger.store, ledgers.cohort("sound"))
    ledgers.manifest(sound, "dead")
    key = ledger.cohort.manifest_key(1)
    if lost:
        ledger.store.delete(key)
    else:
        ledger.store.put(key, ledger.store.get(key)[:-1])
    before = keys(ledger)
    with pytest.raises(Corrupt):
        collect(ledger.store, [sound.cohort.id, ledger.cohort.id], 0.0, now_s=time.time() + 99 * HOUR)
    assert keys(ledger) == before
