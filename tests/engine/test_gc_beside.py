"""gc beside a study at work, with no patience at all: attempts start over, and no commit names what it deleted."""

import threading
import time
from dataclasses import dataclass, field

import pytest

from mad_ray.core.errors import TrajectoryFailed
from mad_ray.core.loop import fully_synthetic
from mad_ray.engine.generation import MAX_BURIED, advance
from mad_ray.engine.local import LocalRuntime
from mad_ray.ledger.gc import collect
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.store import Store
from mad_ray.ledger.verify import verify_cohort
from tests.engine.made_up import Numbered, Remembering, new_store, run, study


def cohort_of(n: int = 4):
    return study(Numbered(), Remembering(), fully_synthetic(n_initial=9), n, seeds=(3, 5))


@dataclass
class Sweeping:
    """A store at which, just before its put number `at` of an attempt's objects, gc runs without a grace period."""

    store: Store
    cohort: str
    at: int = 0
    times: int = 1
    n_puts: int = 0
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = self.store.url
        self.list, self.delete = self.store.list, self.store.delete

    def get(self, key: str) -> bytes:
        return self.store.get(key)

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        if "/attempts/" in key or "/ledger/" in key:
            self.n_puts += 1
            if self.at <= self.n_puts < self.at + self.times:
                collect(self.store, [self.cohort], 0.0, now_s=time.time() + 1.0)
        return self.store.put(key, data, if_absent=if_absent)


def test_gc_between_any_two_writes_of_a_live_attempt_harms_no_commit() -> None:
    """Models, a shard, what was measured, the manifest: whichever gc comes before."""
    cohort, at = cohort_of(2), 0
    expected = run(cohort)
    while True:
        at += 1
        store = new_store()
        sweeping = Sweeping(store, cohort.id, at)
        found = run(cohort, sweeping)
        if sweeping.n_puts < at:
            break
        assert found.contents == expected.contents
        assert list(verify_cohort(store, cohort.id)) == []
    # Two generations of four writes.
    assert at > 8


def test_an_attempt_that_is_buried_again_and_again_says_so() -> None:
    cohort, store = cohort_of(1), new_store()
    with pytest.raises(TrajectoryFailed, match=f"deleted {MAX_BURIED} attempts .* longer than a generation"):
        advance(cohort, Ledger(Sweeping(store, cohort.id, 1, 1000), cohort), LocalRuntime())


@pytest.mark.parametrize("grace_s", [0.0, 0.02])
def test_gc_in_a_loop_beside_two_drivers(grace_s: float) -> None:
    """Whatever gc does meanwhile, what is committed is whole and is what it would have been."""
    cohort, store = cohort_of(6), new_store()
    expected = run(cohort)
    done, swept = threading.Event(), []

    def sweep() -> None:
        while not done.is_set():
            swept.append(collect(store, [cohort.id], grace_s).n_objects)
            time.sleep(0.001)

    def drive() -> None:
        for _ in range(200):
            try:
                run(cohort, store)
                return
            except TrajectoryFailed:
                continue

    threads = [threading.Thread(target=drive) for _ in range(2)]
    sweeper = threading.Thread(target=sweep)
    for thread in (*threads, sweeper):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    sweeper.join()
    assert [m.content() for m in Ledger(store, cohort).history()] == expected.contents
    assert list(verify_cohort(store, cohort.id)) == []
    assert sum(swept) > 0, "there was something to sweep"
