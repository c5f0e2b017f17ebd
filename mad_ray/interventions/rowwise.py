"""States of several trajectories: what was learnt for each, put together and taken apart."""

from collections.abc import Mapping

import numpy as np


def of(state: Mapping[str, np.ndarray], b: int) -> dict[str, np.ndarray]:
    """What was learnt for trajectory b: every array of such a state has the trajectories in front."""
    return {name: value[b] for name, value in state.items()}


def stacked(states: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The inverse: one state of all trajectories, from one of each."""
    return {name: np.stack([state[name] for state in states]) for name in states[0]}
