"""Samples in the plane: what the models of some generations draw, beside real samples. The paper's figures 14, 17."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from mad_ray.analysis.study import CaseInfo, StudyResult
from mad_ray.analysis.trend import spread
from mad_ray.report.axes import INK, PALETTE, dress, panel_grid
from mad_ray.report.live import plot, span, stack
from mad_ray.report.markup import fold
from mad_ray.report.plates import Plates

if TYPE_CHECKING:
    from bokeh.models import LayoutDOM
    from matplotlib.figure import Figure

MAX_GENERATIONS = 7
MAX_POINTS = 1000
PER_ROW = 4
PANEL = (2.6, 2.75)
"""Inches."""
FRAME = 205
"""Pixels."""
ROOM = 0.06
REAL, DRAWN = INK, PALETTE[0]
NOTE = (
    "Each panel: samples that the model of that generation published; all panels share their axes. One trajectory; "
    "of each case the first seed is in sight."
)

Points = list[tuple[str, np.ndarray]]


def snapshots_section(result: StudyResult, figures: Plates) -> str:
    """A row of panels per case; its other seeds folded."""
    parts = [_case_section(case, figures) for case in result.cases if any(case.snapshots.values())]
    if not parts:
        return ""
    return f'<h2>Samples in the plane</h2>\n<p class="soft">{escape(NOTE)}</p>\n{"".join(parts)}'


def _case_section(case: CaseInfo, figures: Plates) -> str:
    shown = []
    for seed in sorted(seed for seed, found in case.snapshots.items() if found):
        panels = snapshot_panels(case.snapshots[seed], case.real_points)
        name = f"points {case.case} seed {seed}"
        shown.append(figures.embed(scatter_figure(panels), name, f"seed {seed}", live_scatter(panels)))
    first, *others = shown
    rest = fold(f"{len(others)} more seed{'s' if len(others) > 1 else ''}", "".join(others)) if others else ""
    return f"<h3>{escape(case.case)}</h3>\n{first}{rest}"


def snapshot_panels(snapshots: dict[int, np.ndarray], real: np.ndarray | None) -> Points:
    """(title, points [m, 2]): real first, then generations, evenly thinned to MAX_GENERATIONS."""
    generations = sorted(snapshots)
    kept = [generations[i] for i in spread(len(generations), MAX_GENERATIONS)]
    found = [] if real is None else [("real", real)]
    found += [(f"t = {t:,}", snapshots[t]) for t in kept]
    return [(title, np.asarray(points, dtype=float)[:MAX_POINTS]) for title, points in found]


def limits(panels: Points) -> tuple[tuple[float, float], tuple[float, float]]:
    """One square of axes that holds all points of all panels, so that what has shrunk looks shrunk."""
    points = np.concatenate([points for _, points in panels])
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return (-1.0, 1.0), (-1.0, 1.0)
    low, high = points.min(axis=0), points.max(axis=0)
    half = max(float((high - low).max()) / 2, 1e-9) * (1 + ROOM)
    (x, y) = (low + high) / 2
    return (float(x - half), float(x + half)), (float(y - half), float(y + half))


def scatter_figure(panels: Points) -> Figure:
    """Side by side on the same axes, x and y to one scale."""
    figure, axes = panel_grid(len(panels), PER_ROW, *PANEL)
    figure.set_layout_engine("compressed")
    x, y = limits(panels)
    for i, (ax, (title, points)) in enumerate(zip(axes, panels, strict=True)):
        dress(ax, title)
        ax.grid(visible=False)
        ax.spines[["top", "right"]].set_visible(True)
        ax.spines[:].set_color("#bbbbbb")
        ax.set(xlim=x, ylim=y, aspect="equal")
        ax.tick_params(labelleft=i % PER_ROW == 0)
        colour = REAL if title == "real" else DRAWN
        ax.plot(*points.T, "o", markersize=1.8, markeredgewidth=0, color=colour, alpha=0.55, rasterized=True)
    return figure


def live_scatter(panels: Points) -> LayoutDOM:
    """The same, to zoom into: all panels move together."""
    x, y = (span(*ends) for ends in limits(panels))
    plots = []
    for title, points in panels:
        made = plot(title, "", "", is_log=(False, False), size=(FRAME, FRAME), x_range=x, y_range=y)
        made.outline_line_color = "#bbbbbb"
        made.grid.grid_line_color = None
        columns = points.T.astype(np.float32)
        made.scatter(columns[0], columns[1], size=3, color=REAL if title == "real" else DRAWN, alpha=0.55)
        plots.append(made)
    return stack([plots[i : i + PER_ROW] for i in range(0, len(plots), PER_ROW)])
