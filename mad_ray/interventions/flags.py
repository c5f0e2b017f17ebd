"""What follows from a flag: the weight of a row that is taken for synthetic."""

from dataclasses import replace

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.samples import Samples


def weighed_down(samples: Samples, flagged: np.ndarray, flagged_weight: float) -> Samples:
    """The same rows, the weights of those flagged [B, n] multiplied."""
    factor = np.where(flagged, np.float32(flagged_weight), np.float32(1))
    return replace(samples, weight=samples.weight * factor)


def check_flagged_weight(name: str, flagged_weight: float) -> None:
    """InvalidInput, a line on interventions.NAME, unless it is a share."""
    if not 0.0 <= flagged_weight <= 1.0:
        raise InvalidInput(
            f"interventions.{name}.flagged_weight={flagged_weight} is outside [0, 1]; 0 drops what is flagged"
        )
