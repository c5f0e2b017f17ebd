"""Patience: how often, how long, and with what."""

import pickle

import pytest

from mad_ray.core.errors import Missing, StoreError, Transient
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.retry import Retrying
from mad_ray.ledger.store import probe


class Flaky(MemoryStore):
    """Fails the first n_failures calls; after_write: the write happens all the same, only its answer is lost."""

    def __init__(self, name: str, n_failures: int, after_write: bool = False) -> None:
        super().__init__(name)
        self.n_failures = n_failures
        self.after_write = after_write
        self.n_lists = self.n_listed = 0

    def _fail(self) -> None:
        if self.n_failures > 0:
            self.n_failures -= 1
            raise Transient(f"store {self.url}: SlowDown (503)")

    def get(self, key):
        self._fail()
        return super().get(key)

    def put(self, key, data, *, if_absent=False):
        if not self.after_write:
            self._fail()
        won = super().put(key, data, if_absent=if_absent)
        self._fail()
        return won

    def list(self, prefix):
        return self.list_after(prefix, "")

    def list_after(self, prefix, after):
        self.n_lists += 1
        for i, entry in enumerate(entry for entry in super().list(prefix) if entry.key > after):
            if i % 2:
                self._fail()
            self.n_listed += 1
            yield entry

    def delete(self, key):
        self._fail()
        super().delete(key)


@pytest.fixture
def name(request) -> str:
    return request.node.nodeid


def test_transient_failures_pass(name) -> None:
    waits: list[float] = []
    store = Retrying(Flaky(name, 5), sleep=waits.append)
    assert store.put("a", b"1") is True
    assert len(waits) == 5
    assert all(0.0 <= wait <= 0.1 * 2**k for k, wait in enumerate(waits))


def test_waits_are_capped(name) -> None:
    waits: list[float] = []
    Retrying(Flaky(name, 30), attempts=31, at_first=31, cap_s=0.2, sleep=waits.append).put("a", b"1")
    assert len(waits) == 30
    assert max(waits) <= 0.2


def test_it_gives_up_with_one_clear_line(name) -> None:
    waits: list[float] = []
    store = Retrying(Flaky(name, 99), attempts=4, sleep=waits.append)
    with pytest.raises(StoreError, match=r"SlowDown \(503\) \(4 attempts.*run the same command again") as caught:
        store.get("a")
    assert not isinstance(caught.value, Transient)
    assert "\n" not in str(caught.value)
    assert len(waits) == 3


def test_other_errors_are_not_retried(name) -> None:
    waits: list[float] = []
    with pytest.raises(Missing):
        Retrying(Flaky(name, 0), sleep=waits.append).get("a")
    assert waits == []


def test_a_listing_goes_on_where_it_broke(name) -> None:
    store = Retrying(Flaky(name, 0), sleep=lambda _: None)
    for i in range(9):
        store.put(f"k{i}", b"")
    store.store.n_failures = 5
    assert [entry.key for entry in store.list("k")] == [f"k{i}" for i in range(9)]
    assert (store.store.n_lists, store.store.n_listed) == (6, 9), "nothing is listed twice"


def test_a_listing_that_never_goes_on_is_given_up(name) -> None:
    class Stuck(Flaky):
        def list_after(self, prefix, after):
            if after == "k2":
                raise Transient("SlowDown")
            return super().list_after(prefix, after)

    waits: list[float] = []
    store = Retrying(Stuck(name, 0), sleep=waits.append)
    for i in range(9):
        store.put(f"k{i}", b"")
    listed = store.list("k")
    assert [next(listed).key for _ in range(3)] == ["k0", "k1", "k2"]
    store.store.n_failures = 1
    with pytest.raises(StoreError, match="10 attempts"):
        list(listed)


def test_a_store_that_never_answered_is_given_up_sooner(name) -> None:
    """As one that is misnamed; one that did answer, workers included, is waited for longer."""
    waits: list[float] = []
    with pytest.raises(StoreError, match="6 attempts"):
        Retrying(Flaky(name, 99), sleep=waits.append).get("a")
    store = Retrying(Flaky(name, 0))
    with pytest.raises(Missing):
        store.get("a")
    again = pickle.loads(pickle.dumps(store))
    again.store, again._sleep = Flaky(name, 99), waits.append
    with pytest.raises(StoreError, match="10 attempts"):
        again.get("a")


def test_a_lost_answer_to_a_commit_is_harmless(name, ledgers) -> None:
    class LosesAnswers(Flaky):
        def put(self, key, data, *, if_absent=False):
            self.n_failures = int(super().put(key, data, if_absent=if_absent) and if_absent)
            self._fail()
            return False

    ledger = Ledger(Retrying(LosesAnswers(name, 0), sleep=lambda _: None), ledgers.cohort())
    manifest = ledgers.manifest(ledger, "a")
    assert ledger.commit(manifest) == manifest
    assert ledger.history() == [manifest]


def test_a_lost_answer_does_not_fool_the_probe(name) -> None:
    probe(Retrying(Flaky(name, 1, after_write=True), sleep=lambda _: None))


def test_it_pickles(name) -> None:
    again = pickle.loads(pickle.dumps(Retrying(MemoryStore(name), attempts=3)))
    assert (again.attempts, again.url) == (3, f"memory://{name}")
