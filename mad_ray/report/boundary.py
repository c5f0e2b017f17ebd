"""Curves of a phase study: where the boundary runs, the value over one axis, the baseline. Figures 11, 30, 31."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mad_ray.analysis.names import label
from mad_ray.analysis.phase import Axis, PhaseResult
from mad_ray.report.axes import (
    FAINT,
    FLOOR_LINE,
    INK,
    PALETTE,
    dress,
    log_axis,
    looks,
    panel_grid,
    spans_decades,
    tick_words,
)
from mad_ray.report.cells import Curve, boundary_curve, panel_values, value_curve, value_name
from mad_ray.report.symbols import to_mathtext

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (6.4, 4.1)
"""Inches."""
COUNTS = ("n_r", "n_s")
BAND_ALPHA = 0.16
MARKER_SIZE = 4.5
ROOM = 1.12
"""Of a log axis beyond its largest and smallest value, as a factor."""


@dataclass(frozen=True)
class Line:
    """One line of a figure: its name in mathtext, its colour, matplotlib's line style, and what it shows."""

    name: str
    panel: float
    colour: str
    style: Any
    curve: Curve


def boundary_lines(result: PhaseResult) -> list[Line]:
    """The boundary of each panel."""
    return _lines(result, boundary_curve)


def value_lines(result: PhaseResult) -> list[Line]:
    """The value over x, of each panel."""
    return _lines(result, value_curve)


def _lines(result: PhaseResult, curve_of) -> list[Line]:
    from matplotlib.colors import to_hex

    panels = panel_values(result)
    names = ["" if result.panel is None else f"{to_mathtext(result.panel.label)} = {tick_words(v)}" for v in panels]
    return [
        Line(name, panel, to_hex(look.colour), look.line, curve_of(result, panel))
        for name, panel, look in zip(names, panels, looks(len(panels)), strict=True)
    ]


def boundary_figure(result: PhaseResult) -> Figure:
    """The y at which the value crosses its level, over x; a line per panel value, shaded with its 95 % interval.

    A triangle at an end of y: no crossing within the values tried.
    """
    assert result.y is not None
    figure, (ax,) = panel_grid(1, 1, *SIZE)
    level = f"{to_mathtext(value_name(result))} = {tick_words(result.level or 0.0)}"
    dress(ax, f"Where {level}", to_mathtext(result.x.label), to_mathtext(result.y.label))
    lines = boundary_lines(result)
    ends = result.y.values[0], result.y.values[-1]
    for line in lines:
        draw_line(ax, line)
        for kind, end, marker in (("above", ends[1], "^"), ("below", ends[0], "v")):
            x = beside(line, lines, kind, result.x)
            if len(x):
                ax.plot(x, np.full(len(x), end), marker, color=line.colour, markersize=7, clip_on=False, zorder=5)
    _set_limits(ax, "x", result.x)
    _set_limits(ax, "y", result.y)
    if (result.x.label, result.y.label) == COUNTS:
        ax.plot(result.x.values, result.x.values, color=FAINT, linestyle=(0, (1, 2)), linewidth=1.1, zorder=1)
    _legend(ax, lines, _keys(result, lines))
    return figure


def beside(line: Line, lines: list[Line], kind: str, axis: Axis) -> np.ndarray:
    """x of the line's rows of this kind. Markers of several lines stand side by side, a marker's width apart."""
    x = line.curve.x[line.curve.kind == kind]
    like = [other.panel for other in lines if (other.curve.kind == kind).any()]
    i, n = (like.index(line.panel) if line.panel in like else 0), len(like)
    span = axis.values[-1] / axis.values[0] if axis.is_log else axis.values[-1] - axis.values[0]
    step = (i - (n - 1) / 2) * 0.016
    return x * span**step if axis.is_log else x + span * step


def _keys(result: PhaseResult, lines: list[Line]) -> list:
    """What the triangles and the diagonal mean, where there are any."""
    from matplotlib.lines import Line2D

    assert result.y is not None
    keys = []
    if (result.x.label, result.y.label) == COUNTS:
        keys.append(Line2D([], [], color=FAINT, linestyle=(0, (1, 2)), linewidth=1.1, label="$n_{s} = n_{r}$"))
    kinds = {kind for line in lines for kind in line.curve.kind}
    for kind, marker, words in (("above", "^", "never below the level"), ("below", "v", "always below the level")):
        if kind in kinds:
            keys.append(Line2D([], [], color=INK, marker=marker, linestyle="none", markersize=6, label=words))
    return keys


def lines_figure(result: PhaseResult) -> Figure:
    """The value over x, a line per panel value, shaded with its 95 % interval."""
    from matplotlib.lines import Line2D

    figure, (ax,) = panel_grid(1, 1, *SIZE)
    dress(ax, "", to_mathtext(result.x.label), to_mathtext(value_name(result)))
    lines, keys = value_lines(result), []
    for line in lines:
        draw_line(ax, line)
    if spans_decades(np.concatenate([line.curve.y for line in lines])):
        log_axis(ax, "y")
    _set_limits(ax, "x", result.x)
    if result.level is not None:
        ax.axhline(result.level, color=INK, linestyle=FLOOR_LINE, linewidth=1.1, zorder=1)
        words = f"{to_mathtext(value_name(result))} = {tick_words(result.level)}"
        keys.append(Line2D([], [], color=INK, linestyle=FLOOR_LINE, linewidth=1.1, label=words))
    _legend(ax, lines, keys)
    return figure


def baseline_figure(result: PhaseResult) -> Figure:
    """E[dist(G(n), P_r)] of models fitted on n real samples alone: what n_e is read from."""
    figure, (ax,) = panel_grid(1, 1, *SIZE)
    columns = (result.baseline[column].to_numpy(dtype=float) for column in ("n", "mean", "low", "high"))
    n, mean, low, high = columns
    dress(ax, "", "$n$ real samples alone", f"mean {label(result.metric)}")
    draw_line(ax, Line("", 0.0, PALETTE[0], "-", Curve(n, mean, low, high, np.full(len(n), ""))))
    for which, values in (("x", n), ("y", mean)):
        if spans_decades(values):
            log_axis(ax, which)  # type: ignore[arg-type]
    return figure


def draw_line(ax: Axes, line: Line) -> None:
    """Points joined up, and the band around them; gaps where there is no value."""
    curve = line.curve
    ax.fill_between(curve.x, curve.low, curve.high, color=line.colour, alpha=BAND_ALPHA, linewidth=0)
    ax.plot(curve.x, curve.y, color=line.colour, linestyle=line.style, linewidth=2, marker="o", markersize=MARKER_SIZE)


def _set_limits(ax: Axes, which: str, axis: Axis) -> None:
    """The whole axis, whether or not there are values along it, with a little room."""
    low, high = axis.values[0], axis.values[-1]
    room = (high - low) * 0.03
    limits = (low / ROOM, high * ROOM) if axis.is_log else (low - room, high + room)
    (ax.set_xlim if which == "x" else ax.set_ylim)(*limits)
    if axis.is_log:
        log_axis(ax, which)  # type: ignore[arg-type]


def _legend(ax: Axes, lines: list[Line], keys: list) -> None:
    """Beside the axes, in the order of the lines."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=line.colour, linestyle=line.style, linewidth=2, marker="o", markersize=4, label=line.name)
        for line in lines
        if line.name
    ]
    if handles or keys:
        ax.figure.legend(handles=[*reversed(handles), *keys], loc="outside right upper", frameon=False, fontsize=9)
