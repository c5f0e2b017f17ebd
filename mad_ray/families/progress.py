"""What a fit tells while it runs, and what it keeps so that a killed one goes on from there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

State = Mapping[str, np.ndarray]
"""All that the rest of a fit depends on: weights, their average, the optimisers' memory, how many steps are done."""


class Checkpoints(Protocol):
    """Where one fit's state is kept. Disposable: a fit that finds none starts over and ends with the same bytes."""

    def load(self) -> State | None:
        """What was saved last; None if nothing was, or nothing that can be used."""
        ...

    def is_due(self, n_done: int) -> bool:
        """Whether the state after n_done steps is to be saved."""
        ...

    def save(self, n_done: int, state: State) -> None:
        """Keep this state instead of the one before."""
        ...


def nobody(share: float) -> None:
    """Tell nobody."""


def never() -> bool:
    """Nothing is known of an end."""
    return False


@dataclass(frozen=True)
class Progress:
    """Handed to every fit; call it with the share that is done, in [0, 1], now and then."""

    tell: Callable[[float], None] = nobody
    checkpoints: Checkpoints | None = None
    stopping: Callable[[], bool] = never
    """Whether this process is about to be taken away. Asked after every step, hence quick."""
    initial: State | None = None
    """A model of the same settings that the fit goes on from, instead of from scratch."""

    def __call__(self, share: float) -> None:
        self.tell(share)

    def restore(self) -> State | None:
        """What an earlier attempt at this very fit saved last."""
        return self.checkpoints.load() if self.checkpoints else None

    @property
    def is_stopping(self) -> bool:
        """Whether a fit had better save its state and give up (Preempted). Never where nothing can be saved."""
        return self.checkpoints is not None and self.stopping()

    def offer(self, n_done: int, state: Callable[[], State], now: bool = False) -> None:
        """The state after n_done steps, made only if it is time to save it, or `now`."""
        if self.checkpoints and (now or self.checkpoints.is_due(n_done)):
            self.checkpoints.save(n_done, state())
