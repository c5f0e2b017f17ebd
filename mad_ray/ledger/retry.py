"""Patience with a store that does not answer: the one retry policy."""

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from mad_ray.core.errors import StoreError, Transient
from mad_ray.ledger.store import Entry, Store

T = TypeVar("T")
# The system's entropy: no seed to share between workers that wait for the same store, and none to disturb.
_JITTER = random.SystemRandom()


class Retrying:
    """A store that tries again on Transient, waiting up to base_s * 2^k, at most cap_s (exponential, full jitter).

    A conditional write that is tried again may answer False because its own first try was written though the answer
    was lost. The ledger copes: it reads what lies there, and its own manifest is as good a winner as another's.
    """

    def __init__(
        self,
        store: Store,
        attempts: int = 6,
        base_s: float = 0.1,
        cap_s: float = 5.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.store = store
        self.url = store.url
        self.attempts = attempts
        self.base_s = base_s
        self.cap_s = cap_s
        self._sleep = sleep

    def get(self, key: str) -> bytes:
        return self._patiently(lambda: self.store.get(key))

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        return self._patiently(lambda: self.store.put(key, data, if_absent=if_absent))

    def delete(self, key: str) -> None:
        self._patiently(lambda: self.store.delete(key))

    def list(self, prefix: str) -> Iterator[Entry]:
        """Lists anew after a failure and passes over what was already given."""
        failures, last = 0, ""
        while True:
            try:
                for entry in self.store.list(prefix):
                    if entry.key > last:
                        # Each step forward is an answer: only failures in a row count.
                        failures, last = 0, entry.key
                        yield entry
                return
            except Transient as error:
                failures += 1
                self._wait(failures, error)

    def _patiently(self, call: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                return call()
            except Transient as error:
                failures += 1
                self._wait(failures, error)

    def _wait(self, failures: int, error: Transient) -> None:
        """Sleep before the next try, or StoreError if there is none left."""
        if failures >= self.attempts:
            raise StoreError(
                f"{error} ({failures} attempts, the last one just now); "
                "see that the store is up and reachable, then run the same command again"
            ) from error
        self._sleep(_JITTER.uniform(0.0, min(self.cap_s, self.base_s * 2 ** (failures - 1))))
