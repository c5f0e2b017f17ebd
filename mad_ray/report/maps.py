"""Maps: the value over (x, y), a panel per panel value, with the level's contour. Figures 11 and 12 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mad_ray.analysis.phase import PhaseResult
from mad_ray.report.axes import INK, dress, log_axis, panel_grid, tick_words
from mad_ray.report.cells import (
    FAILED,
    Curve,
    at_panel,
    border,
    boundary_curve,
    cell_grid,
    edges,
    index_in,
    level_path,
    panel_values,
    state_of,
    value_name,
)
from mad_ray.report.colours import ColourScale, colour_scale
from mad_ray.report.symbols import to_mathtext

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_ROW = 3
PANEL = (3.2, 3.25)
"""Inches, without the colour bar."""
BLANK, BLANK_LINES, VOID = "#f4f4f4", "#c9c9c9", "#9c9c9c"
MARKS = {"drifting": ("o", "converging still"), "noisy": ("_", "interval wider than asked"), FAILED: ("x", FAILED)}
MARK_SIZE = 7
LEVEL_ALPHA = 0.25
DENSE_DECADES = 1.3
"""A panel has room for 1, 2, 5 along its x axis up to here."""


def map_figure(result: PhaseResult) -> Figure:
    """Colours: the value, on one scale for all panels. Line and shade: where it crosses the level, with its interval.

    A boundary study has cells here and there: points.
    """
    panels, scale = panel_values(result), colour_scale(result)
    figure, axes = panel_grid(len(panels), PER_ROW, *PANEL)
    figure.set_figwidth(figure.get_figwidth() + 0.9)
    seen: set[str] = set()
    for i, (ax, panel) in enumerate(zip(axes, panels, strict=True)):
        _place(ax, result, panel, is_left=i % PER_ROW == 0)
        seen |= (_draw_cells if result.kind == "grid" else _draw_points)(ax, result, panel, scale)
        if draw_level(ax, result, boundary_curve(result, panel)):
            seen.add("level")
    _colour_bar(figure, axes, result, scale)
    _legend(figure, result, seen)
    return figure


def _place(ax: Axes, result: PhaseResult, panel: float, is_left: bool) -> None:
    """The panel's title, labels and limits."""
    assert result.y is not None
    title = "" if result.panel is None else to_mathtext(result.panel.label) + f" = {tick_words(panel)}"
    y = to_mathtext(result.y.label) if is_left else ""
    dress(ax, title, to_mathtext(result.x.label), y)
    ax.grid(visible=False)
    ax.spines[["top", "right"]].set_visible(True)
    ax.spines[:].set_color("#bbbbbb")
    for axis, which, limits in ((result.x, "x", ax.set_xlim), (result.y, "y", ax.set_ylim)):
        limits(*border(result, axis))
        if axis.is_log:
            log_axis(ax, which, DENSE_DECADES)  # type: ignore[arg-type]


def _draw_cells(ax: Axes, result: PhaseResult, panel: float, scale: ColourScale) -> set[str]:
    """A rectangle per cell, marked where it has not settled; which kinds of cells there are."""
    assert result.y is not None
    grid = cell_grid(result, panel)
    x_edges, y_edges = edges(result.x), edges(result.y)
    ax.set_facecolor(BLANK)
    ax.patch.set(hatch="////", edgecolor=BLANK_LINES, linewidth=0)
    shown = np.ma.masked_invalid(grid)
    mesh = ax.pcolormesh(x_edges, y_edges, shown, cmap=scale.colormap, norm=scale.norm, linewidth=0, rasterized=True)
    mesh.set_edgecolor("face")
    seen = _mark(ax, result, panel)
    cells = at_panel(result.cells, panel)
    void = cells[cells["state"] == "no model"]
    for i, j in zip(index_in(result.y, void["y"].to_numpy()), index_in(result.x, void["x"].to_numpy()), strict=True):
        ax.fill_between(x_edges[j : j + 2], y_edges[i], y_edges[i + 1], color=VOID, linewidth=0)
    is_void = np.zeros(grid.shape, bool)
    is_void[index_in(result.y, void["y"].to_numpy()), index_in(result.x, void["x"].to_numpy())] = True
    return seen | ({"not finished"} if (np.isnan(grid) & ~is_void).any() else set())


def _draw_points(ax: Axes, result: PhaseResult, panel: float, scale: ColourScale) -> set[str]:
    """A dot per cell that a search looked at."""
    cells = at_panel(result.cells, panel)
    known = cells[np.isfinite(cells["value"].to_numpy(dtype=float))]
    colours = scale.hexes(known["value"].to_numpy(dtype=float))
    ax.scatter(known["x"], known["y"], c=colours, s=30, edgecolors=INK, linewidths=0.5, zorder=3)
    return _mark(ax, result, panel)


def _mark(ax: Axes, result: PhaseResult, panel: float) -> set[str]:
    """Signs on the cells that have not settled; which states there are."""
    cells = at_panel(result.cells, panel)
    states = cells["state"].map(state_of)
    for state, (marker, _) in MARKS.items():
        rows = cells[states == state]
        ax.scatter(rows["x"], rows["y"], marker=marker, s=MARK_SIZE, color=INK, linewidths=0.8, zorder=4)
    return set(states) - {"settled", "not finished"}


def draw_level(ax: Axes, result: PhaseResult, curve: Curve) -> bool:
    """The boundary of one panel. Where the value crosses beyond the panel, the line leaves it there."""
    if not (curve.kind == "crossing").any():
        return False
    line = level_path(result, curve)
    ax.fill_between(curve.x, curve.low, curve.high, color=INK, alpha=LEVEL_ALPHA, linewidth=0, zorder=4)
    ax.plot(curve.x, line, color="white", linewidth=3.4, zorder=5)
    ax.plot(curve.x, line, color="black", linewidth=1.6, zorder=6)
    return True


def colour_ticks(scale: ColourScale, level: float | None) -> Sequence[float]:
    """1, 2, 5 times the powers of ten within the scale, its ends and its level."""
    if not scale.is_log:
        return np.linspace(scale.low, scale.high, 5).tolist()
    decades = range(int(np.floor(np.log10(scale.low))), int(np.ceil(np.log10(scale.high))) + 1)
    # A diverging scale counts in its factor: 1/5, 1/2, 1, 2, 5 about the level.
    unit = 1.0 if level is None else level
    steps = [unit * step * 10.0**k for k in decades for step in (1.0, 2.0, 5.0)]
    inside = [step for step in steps if scale.low * 1.12 < step < scale.high / 1.12]
    return sorted({round(v, 12) for v in (*inside, scale.low, scale.high)})


def _colour_bar(figure: Figure, axes: list[Axes], result: PhaseResult, scale: ColourScale) -> None:
    from matplotlib.cm import ScalarMappable

    drawn = ScalarMappable(scale.norm, scale.colormap)
    bar = figure.colorbar(drawn, ax=axes, extend=scale.extend, shrink=0.95, aspect=24, pad=0.02)
    ticks = colour_ticks(scale, result.level)
    bar.set_ticks(list(ticks), labels=[f"{tick:.3g}" for tick in ticks])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=8, colors=INK, length=3)
    bar.outline.set_edgecolor("#bbbbbb")
    bar.set_label(to_mathtext(value_name(result)), fontsize=9, color=INK)
    if result.level is not None:
        bar.ax.axhline(result.level, color="black", linewidth=1.6)


def _legend(figure: Figure, result: PhaseResult, seen: set[str]) -> None:
    """Only what is drawn somewhere."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list = []
    if "level" in seen:
        name = to_mathtext(value_name(result)) + f" = {tick_words(result.level or 0.0)}"
        handles.append(Line2D([], [], color="black", linewidth=1.6, label=f"{name}, with its 95 % interval"))
    for state, (marker, words) in MARKS.items():
        if state in seen:
            handles.append(Line2D([], [], marker=marker, color=INK, linestyle="none", markersize=4, label=words))
    if "no model" in seen:
        handles.append(Patch(facecolor=VOID, label="no model"))
    if "not finished" in seen:
        handles.append(Patch(facecolor=BLANK, edgecolor=BLANK_LINES, hatch="////", label="no value yet"))
    if handles:
        figure.set_figheight(figure.get_figheight() + 0.3)
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
