"""Garbage goes, nothing else: neither what is named, nor what is young, nor anything in doubt."""

import time

import pytest

from mad_ray.core.errors import Corrupt
from mad_ray.ledger.gc import Collected, collect
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.store import Entry
from mad_ray.ledger.verify import verify_cohort

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


def test_after_the_grace_all_garbage_goes_and_the_ledger_stays(ledger) -> None:
    assert collect(ledger.store, [ledger.cohort.id], HOUR, now_s=time.time() + 2 * HOUR).n_objects == 6
    assert list(verify_cohort(ledger.store, ledger.cohort.id)) == []
    assert not any("running" in key for key in keys(ledger))


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
    late = Ledger(ledger.store, ledger.cohort)
    manifest = ledgers.manifest(late, "dead-slow")

    class Busy(Aged):
        def list(self, prefix):
            yield from super().list(prefix)
            if "attempts" in prefix:
                late.commit(manifest)

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
