"""Patience with a store that does not answer: the one retry policy."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from mad_ray.core.errors import StoreError, Transient
from mad_ray.core.patience import ATTEMPTS, ATTEMPTS_AT_FIRST, BASE_S, CAP_S, wait_s
from mad_ray.ledger.store import Entry, Resumable

T = TypeVar("T")


class Retrying:
    """A store that tries again on Transient, waiting up to base_s * 2^k, at most cap_s (exponential, full jitter).

    A conditional write that is tried again may answer False because its own first try was written though the answer
    was lost. The ledger copes: it reads what lies there, and its own manifest is as good a winner as another's.
    """

    def __init__(
        self,
        store: Resumable,
        attempts: int = ATTEMPTS,
        at_first: int = ATTEMPTS_AT_FIRST,
        base_s: float = BASE_S,
        cap_s: float = CAP_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.store = store
        self.url = store.url
        self.attempts = attempts
        self.at_first = at_first
        self.base_s = base_s
        self.cap_s = cap_s
        self._sleep = sleep
        # Travels along when pickled: workers wait for a store that their driver has met.
        self._has_answered = False

    def get(self, key: str) -> bytes:
        return self._patiently(lambda: self.store.get(key))

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        return self._patiently(lambda: self.store.put(key, data, if_absent=if_absent))

    def delete(self, key: str) -> None:
        self._patiently(lambda: self.store.delete(key))

    def list(self, prefix: str) -> Iterator[Entry]:
        """Goes on after a failure behind what was already given; a long listing would else never end."""
        failures, last = 0, ""
        while True:
            try:
                for entry in self.store.list_after(prefix, last):
                    # Each step forward is an answer: only failures in a row count.
                    failures, last, self._has_answered = 0, entry.key, True
                    yield entry
                return
            except Transient as error:
                failures += 1
                self._wait(failures, error)

    def _patiently(self, call: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                found = call()
            except Transient as error:
                failures += 1
                self._wait(failures, error)
            except StoreError:
                # Missing, refused, full: an answer all the same.
                self._has_answered = True
                raise
            else:
                self._has_answered = True
                return found

    def _wait(self, failures: int, error: Transient) -> None:
        """Sleep before the next try, or StoreError if there is none left."""
        if failures >= (self.attempts if self._has_answered else min(self.attempts, self.at_first)):
            raise StoreError(
                f"{error} ({failures} attempts, the last one just now); "
                "see that the store is up and reachable, then run the same command again"
            ) from error
        self._sleep(wait_s(failures, self.base_s, self.cap_s))
