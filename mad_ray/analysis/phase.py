"""What a map or a boundary study found: a value per cell, and where it crosses a level."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

CELL_COLUMNS = (
    "case", "panel", "x", "y", "value", "low", "high", "limit", "limit_low", "limit_high", "state", "generations",
    "n_seeds",
)  # fmt: skip
BOUNDARY_COLUMNS = ("panel", "x", "crossing", "low", "high", "kind")
BASELINE_COLUMNS = ("n", "mean", "low", "high", "n_seeds")


@dataclass(frozen=True)
class Axis:
    """One axis of a map: a field of the study and the values it takes."""

    field: str
    """Path of the field: loop.n_synthetic."""
    label: str
    """The paper's symbol: n_s."""
    values: tuple[float, ...]
    """Ascending. Of a boundary's searched axis the two ends."""
    is_log: bool = True


@dataclass(frozen=True)
class PhaseResult:
    """A map (kind grid) or a boundary (kind boundary) as far as it has come.

    cells: CELL_COLUMNS, one row per cell. value [low, high]: what is mapped, with its 95 % interval, or NaN.
    limit: the metric's limit WD(n_r, n_s, lambda) behind it. state: "settled", "drifting" (not converged), "noisy"
    (interval wider than asked), "no model" (n_e below 2), "failed: reason", "not finished".
    panel and y are NaN where the study has no such axis; without a y axis the cells of a panel make a curve over x.
    boundaries: BOUNDARY_COLUMNS, per panel and x the y at which value crosses `level`, with its interval. kind:
    "crossing"; "above" (value >= level up to the largest y); "below" (value < level from the smallest y on).
    baseline: BASELINE_COLUMNS, E[metric] of a model fitted on n real samples alone; empty where the value is no n_e.
    """

    name: str
    title: str
    kind: Literal["grid", "boundary"]
    value: str
    """What is mapped: "n_e/n_r", "n_e", or a metric's name (its limit)."""
    metric: str
    level: float | None
    x: Axis
    y: Axis | None
    panel: Axis | None
    cells: pd.DataFrame
    boundaries: pd.DataFrame
    baseline: pd.DataFrame
    n_cells: int
    n_done: int
    """Cells done; of a boundary n_cells counts those asked for so far."""
    grid_cells: int = 0
    """Cells that a grid of the same resolution would have cost, for a boundary."""
    rule: str = ""
    """The stopping rule in words."""
    style: str = "map"
    """"map": x and y with colours; "lines": a line per panel value over x."""
    identity: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
