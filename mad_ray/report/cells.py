"""The cells of a map or boundary as arrays: a panel at a time."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mad_ray.analysis.names import DISTANCES, label
from mad_ray.analysis.phase import Axis, PhaseResult

FAILED = "failed"
STATES = {
    "settled": "settled: the limit stands, as exactly as asked",
    "drifting": "drifting: not converged when the generations ran out",
    "noisy": "noisy: converged, with an interval wider than asked",
    "no model": "no model: as bad as a fit on fewer than two real samples",
    FAILED: "failed",
    "not finished": "not finished",
}
ROOM = 0.05


@dataclass(frozen=True)
class Curve:
    """What is drawn over x, all [n]: y with its interval, NaN where there is none. kind: a boundary's, "" elsewhere."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    kind: np.ndarray


def panel_values(result: PhaseResult) -> list[float]:
    """One per panel; a single NaN where the study has no such axis."""
    return list(result.panel.values) if result.panel is not None else [float("nan")]


def at_panel(frame: pd.DataFrame, panel: float) -> pd.DataFrame:
    """The rows of one panel."""
    values = frame["panel"].to_numpy(dtype=float)
    return frame[np.isnan(values) if np.isnan(panel) else np.isclose(values, panel, rtol=1e-9, atol=0)]


def index_in(axis: Axis, values: np.ndarray) -> np.ndarray:
    """Where on the axis each value lies: the nearest one."""
    return np.abs(np.asarray(values, dtype=float)[:, None] - np.array(axis.values)).argmin(axis=1)


def cell_grid(result: PhaseResult, panel: float, column: str = "value") -> np.ndarray:
    """A column of one panel's cells as [n_y, n_x], of a study without y [1, n_x]; NaN where there is no cell."""
    cells = at_panel(result.cells, panel)
    grid = np.full((1 if result.y is None else len(result.y.values), len(result.x.values)), np.nan)
    rows = np.zeros(len(cells), dtype=int) if result.y is None else index_in(result.y, cells["y"].to_numpy())
    grid[rows, index_in(result.x, cells["x"].to_numpy())] = cells[column].to_numpy(dtype=float)
    return grid


def state_of(state: str) -> str:
    """ "failed: out of memory" -> "failed"."""
    return FAILED if str(state).startswith(FAILED) else str(state)


def is_over_pairs(result: PhaseResult) -> bool:
    """Is it a map over (x, y), rather than lines over x?"""
    return result.y is not None and result.style != "lines"


def value_curve(result: PhaseResult, panel: float) -> Curve:
    """The mapped value over x, of one panel."""
    cells = at_panel(result.cells, panel).sort_values("x", kind="stable")
    x, y, low, high = (cells[column].to_numpy(dtype=float) for column in ("x", "value", "low", "high"))
    return Curve(x, y, low, high, np.full(len(x), ""))


def boundary_curve(result: PhaseResult, panel: float) -> Curve:
    """Where the value crosses the level, over x, of one panel; y is NaN where it crosses nowhere."""
    rows = at_panel(result.boundaries, panel).sort_values("x", kind="stable")
    x, low, high = (rows[column].to_numpy(dtype=float) for column in ("x", "low", "high"))
    kind = rows["kind"].to_numpy(dtype=str)
    y = np.where(kind == "crossing", rows["crossing"].to_numpy(dtype=float), np.nan)
    return Curve(x, y, low, high, kind)


def edges(axis: Axis) -> np.ndarray:
    """The borders between the cells along an axis, [n + 1]: half way, in logs on a log axis."""
    centres = np.array(axis.values, dtype=float)
    centres = np.log(centres) if axis.is_log else centres
    steps = np.diff(centres) if len(centres) > 1 else np.array([np.log(2.0) if axis.is_log else 1.0])
    inner = centres[:-1] + steps[: len(centres) - 1] / 2
    found = np.concatenate([[centres[0] - steps[0] / 2], inner, [centres[-1] + steps[-1] / 2]])
    return np.exp(found) if axis.is_log else found


def border(result: PhaseResult, axis: Axis) -> tuple[float, float]:
    """Where a map's panel ends: at the outer cells' edges; of an axis that was searched a little beyond its ends."""
    if result.kind == "grid" or axis is result.x:
        found = edges(axis)
        return float(found[0]), float(found[-1])
    low, high = axis.values[0], axis.values[-1]
    room = (high - low) * ROOM
    return (low * (low / high) ** ROOM, high * (high / low) ** ROOM) if axis.is_log else (low - room, high + room)


def level_path(result: PhaseResult, curve: Curve) -> np.ndarray:
    """The boundary on a map, [n]: where the value crosses beyond the panel, the line leaves it there."""
    assert result.y is not None
    low, high = border(result, result.y)
    return np.where(curve.kind == "above", high, np.where(curve.kind == "below", low, curve.y))


def runs(low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
    """Stretches along which the interval is known, as indices."""
    known = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
    return [run for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if len(run)]


def is_admission(result: PhaseResult) -> bool:
    """Does the level part what helps from what hurts? n_e/n_r >= 1: synthetic data is admissible."""
    return result.level is not None and result.value.startswith("n_e")


def is_better_high(result: PhaseResult) -> bool:
    """Of a distance, less is better."""
    return result.value not in DISTANCES


def value_name(result: PhaseResult) -> str:
    """n_e/n_r, or "limit of FID"."""
    return result.value if result.value.startswith("n_e") else f"limit of {label(result.value)}"


def grows_with_y(result: PhaseResult) -> bool:
    """Does the value lie above its level at the large y rather than at the small ones, beyond a crossing?"""
    sides = {True: [0, 0], False: [0, 0]}
    for panel in panel_values(result):
        curve, cells = boundary_curve(result, panel), at_panel(result.cells, panel)
        for x, y in zip(curve.x[curve.kind == "crossing"], curve.y[curve.kind == "crossing"], strict=True):
            column = cells[np.isclose(cells["x"], x) & np.isfinite(cells["value"])]
            for is_beyond in sides:
                side = column[(column["y"] > y) == is_beyond]["value"]
                sides[is_beyond][0] += int((side >= result.level).sum())
                sides[is_beyond][1] += len(side)
    shares = {beyond: above / n if n else 0.0 for beyond, (above, n) in sides.items()}
    return shares[True] > shares[False]
