"""What became of the modes: how many still hold samples, how many samples lie in one, how wide they are.

For samples in any family, of data whose law knows its modes ("centres" [m, d], "spread" []). A sample lies in a mode if
it is within 3 spreads of the centre, the usual rule for Gaussian grids (Srivastava et al. 2017, VEEGAN); of real
samples in the plane 98.9 % do.
"""

from collections.abc import Mapping, Sequence

import numpy as np

MODE_METRICS = ("sample_modes_alive", "high_quality", "sample_modal_variance")
"""Names of what `mode_metrics` knows."""
RADIUS = 3.0
"""A mode reaches this many spreads from its centre."""
ALIVE = 0.1
"""A mode is alive while it holds at least this part of its fair share of the samples, 1 / m."""


def mode_metrics(x: np.ndarray, law: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, float]:
    """Samples x [n, d] -> the wanted of MODE_METRICS; NaN where the law has no modes.

    sample_modes_alive: how many modes hold at least a tenth of their fair share, 1 / m, of the samples. high_quality:
    share of samples that lie in a mode. sample_modal_variance: squared distance of a living mode's samples from their
    own mean, averaged over these modes (a trace, as total_variance is); NaN where no mode is alive. Of real samples in
    the plane it is 1.90 spread^2 rather than 2, as those beyond 3 spreads are left out.
    """
    wanted = [name for name in MODE_METRICS if name in names]
    if "centres" not in law:
        return dict.fromkeys(wanted, float("nan"))
    inside = samples_in_modes(x, law["centres"], float(law["spread"]))
    alive = living_modes(inside)
    known = {
        "sample_modes_alive": lambda: float(np.count_nonzero(alive)),
        "high_quality": lambda: float(inside.any(axis=1).mean()),
        "sample_modal_variance": lambda: _modal_variance(x, inside[:, alive]),
    }
    return {name: known[name]() for name in wanted}


def samples_in_modes(x: np.ndarray, centres: np.ndarray, spread: float) -> np.ndarray:
    """x [n, d], centres [m, d] -> which samples lie in which mode, bool [n, m]."""
    squared = sum(np.square(x[:, None, i] - centres[None, :, i]) for i in range(x.shape[1]))
    return squared <= (RADIUS * spread) ** 2


def living_modes(inside: np.ndarray) -> np.ndarray:
    """Which samples lie in which mode [n, m] -> which modes are alive, bool [m]."""
    n, m = inside.shape
    return inside.sum(axis=0) >= ALIVE * n / m


def _modal_variance(x: np.ndarray, inside: np.ndarray) -> float:
    """Mean over modes of the squared distance of their samples from their own mean; NaN of no modes."""
    each = [np.square(x[of_mode] - x[of_mode].mean(axis=0)).sum(axis=1).mean() for of_mode in inside.T]
    return float(np.mean(each)) if each else float("nan")
