"""Which colour a value gets, the same in the printed figure and in the interactive one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mad_ray.analysis.phase import PhaseResult
from mad_ray.report.axes import spans_decades
from mad_ray.report.cells import is_better_high

if TYPE_CHECKING:
    from matplotlib.colors import Colormap, Normalize

FACTORS = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""How far a diverging log scale reaches to either side of its level."""
COVERED = 0.9
"""Of the cells: the rest is beyond the scale's ends, and drawn in their colours."""
N_COLOURS = 256


@dataclass(frozen=True)
class ColourScale:
    """From low to high, in logs or not. name: matplotlib's; is_capped: values lie beyond an end."""

    low: float
    high: float
    is_log: bool
    name: str
    is_capped_low: bool
    is_capped_high: bool

    @property
    def colormap(self) -> Colormap:
        from matplotlib import colormaps

        return colormaps[self.name].resampled(N_COLOURS)

    @property
    def norm(self) -> Normalize:
        from matplotlib.colors import LogNorm, Normalize

        return (LogNorm if self.is_log else Normalize)(self.low, self.high, clip=True)

    @property
    def extend(self) -> Any:
        """As matplotlib's colour bar wants it told."""
        return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[
            int(self.is_capped_low), int(self.is_capped_high)
        ]

    def hexes(self, values: np.ndarray) -> list[str]:
        """One colour per finite value."""
        from matplotlib.colors import to_hex

        return [to_hex(colour) for colour in self.colormap(self.norm(np.asarray(values, dtype=float)))]

    def palette(self) -> list[str]:
        """The whole scale, from low to high."""
        from matplotlib.colors import to_hex

        return [to_hex(self.colormap(i)) for i in range(N_COLOURS)]


def colour_scale(result: PhaseResult) -> ColourScale:
    """Diverging around the level, blue where it is good; a sequential scale where there is no level.

    Both maps are told apart with any colour vision.
    """
    values = result.cells["value"].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if not len(values):
        values = np.array([result.level or 1.0])
    if result.level is None:
        low, high = float(values.min()), float(values.max())
        return ColourScale(low, high if high > low else low + 1.0, spans_decades(values), "cividis", False, False)
    low, high, is_log = _around(values, result.level)
    name = "RdBu" if is_better_high(result) else "RdBu_r"
    return ColourScale(low, high, is_log, name, bool(values.min() < low), bool(values.max() > high))


def _around(values: np.ndarray, level: float) -> tuple[float, float, bool]:
    """Ends of a scale symmetric about the level that covers most values; in ratios where all is positive."""
    if level > 0 and values.min() > 0:
        reach = float(np.exp(np.quantile(np.abs(np.log(values / level)), COVERED)))
        factor = next((factor for factor in FACTORS if factor >= reach), FACTORS[-1])
        return level / factor, level * factor, True
    reach = float(np.quantile(np.abs(values - level), COVERED)) or 1.0
    return level - reach, level + reach, False
