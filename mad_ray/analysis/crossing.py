"""The boundary that a grid of cells implies: in each column the largest y at which the value is at least the level."""

import math

import numpy as np
import pandas as pd

from mad_ray.analysis.phase import BOUNDARY_COLUMNS

NAN = float("nan")


def crossings_of_grid(cells: pd.DataFrame, level: float, y_is_log: bool, rises: bool = False) -> pd.DataFrame:
    """CELL_COLUMNS -> BOUNDARY_COLUMNS, a row per panel and x; columns without any known cell have none.

    rises: the largest y at which value <= level. The interval is where the cells' own intervals cross the level, within
    the y of the grid; where a cell has no interval it reaches to the neighbouring cell. Cells without a value are left
    out, unless their interval has one side of the level (a loop worse than any model, or better).
    """
    rows = []
    for (panel, x), column in cells.groupby(["panel", "x"], dropna=False, sort=True):
        found = _column(column.sort_values("y"), level, y_is_log, rises)
        if found is not None:
            rows.append((panel, x, *found))
    return pd.DataFrame(rows, columns=list(BOUNDARY_COLUMNS))


def _column(cells: pd.DataFrame, level: float, y_is_log: bool, rises: bool) -> tuple[float, float, float, str] | None:
    y = cells["y"].to_numpy(dtype=float)
    value, low, high = (cells[name].to_numpy(dtype=float) - level for name in ("value", "low", "high"))
    value = np.where(np.isnan(value) & (low >= 0), low, np.where(np.isnan(value) & (high < 0), high, value))
    known = np.isfinite(y) & ~np.isnan(value)
    if not known.any():
        return None
    y, value, low, high = y[known], value[known], low[known], high[known]
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    if rises:
        value, low, high = -value, -high, -low
    axis = np.log(y) if y_is_log else y
    at, first, last = (_last_above(axis, curve) for curve in (value, low, high))
    first, last = (axis[0] if math.isnan(end) else end for end in (first, last))
    crossing, first, last = (float(np.exp(end) if y_is_log else end) for end in (at, first, last))
    if value[-1] >= 0 or math.isnan(at):
        return NAN, first, last, "above" if (value[-1] >= 0) != rises else "below"
    return crossing, first, last, "crossing"


def _last_above(x: np.ndarray, curve: np.ndarray) -> float:
    """The largest x at which the curve is >= 0, linear between points; NaN if it nowhere is."""
    above = np.nonzero(curve >= 0)[0]
    if len(above) == 0:
        return NAN
    i = int(above[-1])
    if i == len(curve) - 1:
        return float(x[i])
    # An infinite end says nothing of the way between: as far as the next point, or not at all.
    share = 1.0 if np.isposinf(curve[i]) else curve[i] / (curve[i] - curve[i + 1])
    return float(x[i] + (x[i + 1] - x[i]) * share)
