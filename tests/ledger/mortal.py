"""A store that dies at its n-th operation."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Killed(BaseException):
    """kill -9."""


class Mortal:
    """Before a store's class: whatever passes `step` counts; it dies at number n, before or after that was done."""

    def __init__(self, name: str, n: int, after: bool) -> None:
        super().__init__(name)  # type: ignore[call-arg]
        self.n, self.after = n, after

    def step(self, operation: Callable[[], T]) -> T:
        self.n -= 1
        if self.n == 0 and not self.after:
            raise Killed
        found = operation()
        if self.n == 0:
            raise Killed
        return found
