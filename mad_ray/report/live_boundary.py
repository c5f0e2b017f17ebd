"""The interactive twins of boundary.py: points to read off, lines to take away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mad_ray.analysis.phase import Axis, PhaseResult
from mad_ray.report.axes import FAINT, INK, spans_decades, tick_words
from mad_ray.report.boundary import BAND_ALPHA, COUNTS, ROOM, Line, beside, boundary_lines, value_lines
from mad_ray.report.cells import at_panel, grows_with_y, value_name
from mad_ray.report.live import dash, draw_band, hover, legend_row, level_line, plot, span, spread_ticks, stack
from mad_ray.report.live_maps import cell_columns
from mad_ray.report.symbols import to_unicode, to_unicode_words
from mad_ray.report.words import boundary_words, panel_words

if TYPE_CHECKING:
    from bokeh.models import LayoutDOM
    from bokeh.plotting import figure as Plot

FRAME = (620, 380)
LEGEND_WIDTH = 700
"""Pixels."""


def live_boundary(result: PhaseResult) -> LayoutDOM:
    """boundary_figure, to read off."""
    assert result.y is not None
    title = f"Where {to_unicode(value_name(result))} = {tick_words(result.level or 0.0)}"
    made = _curves_plot(title, result.x, result.y, to_unicode(result.y.label))
    lines = boundary_lines(result)
    entries, points, up = [], [], grows_with_y(result)
    for line in lines:
        words = [boundary_words(result, line.curve, k, up) for k in range(len(line.curve.x))]
        drawn, point = _draw_line(made, result, line, words)
        for kind, end, marker in (("above", -1, "triangle"), ("below", 0, "inverted_triangle")):
            rows = np.flatnonzero(line.curve.kind == kind)
            data = _line_data(result, line, rows, [words[k] for k in rows.tolist()])
            data |= {"x": beside(line, lines, kind, result.x)}
            data |= {"y": np.full(len(rows), result.y.values[end])}
            drawn.append(_scatter(made, data, line.colour, marker, 10))
            points.append(drawn[-1])
        entries.append((_line_name(result, line), line.colour, line.style, drawn))
        points.append(point)
    if (result.x.label, result.y.label) == COUNTS:
        diagonal = made.line(list(result.x.values), list(result.x.values), line_color=FAINT, line_dash="dotted")
        entries.append(("nₛ = nᵣ", FAINT, (0, (1, 1.5)), [diagonal]))
    hover(made, points, _line_rows(result, "found"))
    return _with_legend(made, entries)


def live_lines(result: PhaseResult) -> LayoutDOM:
    """lines_figure, to read off."""
    lines = value_lines(result)
    values = np.concatenate([line.curve.y for line in lines])
    made = _curves_plot("", result.x, values, to_unicode(value_name(result)))
    entries, points = [], []
    for line in lines:
        cells = at_panel(result.cells, line.panel).sort_values("x", kind="stable")
        told = cell_columns(result, cells)
        words = [f"{value}; {state}" for value, state in zip(told["in_value"], told["in_state"], strict=True)]
        drawn, point = _draw_line(made, result, line, words)
        entries.append((_line_name(result, line), line.colour, line.style, drawn))
        points.append(point)
    if result.level is not None:
        level_line(made, result.level, INK)
    hover(made, points, _line_rows(result, to_unicode(value_name(result))))
    return _with_legend(made, entries)


def _curves_plot(title: str, x: Axis, y: Axis | np.ndarray, name: str) -> Plot:
    """One large plot; y's axis as given, or as its values ask for."""
    ends: list[Any] = []
    for axis in (x, y):
        low, high = (axis.values[0], axis.values[-1]) if isinstance(axis, Axis) else (0.0, 0.0)
        is_log, room = isinstance(axis, Axis) and axis.is_log, (high - low) * 0.03
        ends.append(span(low / ROOM, high * ROOM) if is_log else span(low - room, high + room))
    is_log_y = y.is_log if isinstance(y, Axis) else spans_decades(y)
    y_range = ends[1] if isinstance(y, Axis) else None
    logs = (x.is_log, is_log_y)
    made = plot(title, to_unicode(x.label), name, is_log=logs, size=FRAME, x_range=ends[0], y_range=y_range)
    if x.is_log:
        spread_ticks(made.xaxis[0], x.values[0], x.values[-1])
    if is_log_y:
        known = np.array(y.values) if isinstance(y, Axis) else y[np.isfinite(y)]
        spread_ticks(made.yaxis[0], float(known.min()), float(known.max()))
    return made


def _line_name(result: PhaseResult, line: Line) -> str:
    return to_unicode_words(panel_words(result, line.panel)) or to_unicode(value_name(result))


def _line_data(result: PhaseResult, line: Line, rows: np.ndarray, words: Sequence[str]) -> dict[str, Any]:
    x, y = line.curve.x[rows], line.curve.y[rows]
    name = [_line_name(result, line)] * len(rows)
    return {"x": x, "y": y, "in_x": [tick_words(v) for v in x], "in_line": name, "in_words": list(words)}


def _line_rows(result: PhaseResult, what: str) -> list[tuple[str, str]]:
    line = [("", "in_line")] if result.panel is not None else []
    return [*line, (to_unicode(result.x.label), "in_x"), (what, "in_words")]


def _draw_line(made: Plot, result: PhaseResult, line: Line, words: Sequence[str]) -> tuple[list[Any], Any]:
    curve = line.curve
    drawn: list[Any] = [*draw_band(made, curve.x, curve.low, curve.high, line.colour, BAND_ALPHA)]
    drawn.append(made.line(curve.x, curve.y, line_color=line.colour, line_dash=dash(line.style), line_width=2))
    known = np.flatnonzero(np.isfinite(curve.y))
    data = _line_data(result, line, known, [words[k] for k in known.tolist()])
    drawn.append(_scatter(made, data, line.colour, "circle", 7))
    return drawn, drawn[-1]


def _scatter(made: Plot, data: dict[str, Any], colour: str, marker: Any, size: int) -> Any:
    from bokeh.models import ColumnDataSource

    return made.scatter("x", "y", source=ColumnDataSource(data), color=colour, marker=marker, size=size)


def _with_legend(made: Plot, entries: Sequence[tuple[str, str, Any, Sequence[Any]]]) -> LayoutDOM:
    from bokeh.layouts import column

    panels = stack([[made]])
    return column(panels, legend_row(LEGEND_WIDTH, entries)) if len(entries) > 1 else panels
