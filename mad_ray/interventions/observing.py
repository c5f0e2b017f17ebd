"""What the owner of a key measures on samples: how strongly they carry it."""

from typing import Protocol

import numpy as np

from mad_ray.core.samples import Event, Samples
from mad_ray.interventions.intervention import Lesson, State
from mad_ray.interventions.keyed import FIXED, Keyed, calibrated_search, measured


class _Owner(Keyed, Protocol):
    @property
    def false_alarm(self) -> float: ...
    @property
    def n_real(self) -> int: ...


def learn_to_observe(mark: _Owner, lesson: Lesson) -> State:
    """From real rows. Fixed key: the calibrated search. Rotating: the rows, since every key wants its own search."""
    real = lesson.real(mark.n_real)
    if mark.key == "fixed":
        return calibrated_search([(mark, FIXED)], real, lesson.event, mark.false_alarm)
    return {"real": real.x, "n_symbols": np.full(len(real.x), lesson.event.n_symbols)}


def observed(mark: _Owner, samples: Samples, generation: int, state: State) -> dict[str, np.ndarray]:
    """mark_z, mark_flagged [B, n]; with a rotating key also those of the key of generation - 1, `_previous`."""
    if mark.key == "fixed":
        return measured(samples, state, [""])
    real = Samples.of(state["real"])
    event = Event(samples.event, str(real.x.dtype), n_symbols=int(state["n_symbols"][0]))
    wanted = [(mark, generation), (mark, generation - 1)]
    return measured(samples, calibrated_search(wanted, real, event, mark.false_alarm), ["", "_previous"])
