"""Many small requests at once: far stores answer each of them slowly, and all of them together hardly slower."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

READERS = 16


def in_parallel(function: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """function(item) of every item, in their order; raises what the first of them raised."""
    found = list(items)
    if len(found) < 2:
        return [function(item) for item in found]
    with ThreadPoolExecutor(min(READERS, len(found))) as pool:
        return list(pool.map(function, found))
