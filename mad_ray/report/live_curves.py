"""The interactive twin of figures.py: curves over generations, to read off, zoom into, and take lines away from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mad_ray.analysis.curves import Curves, study_curves
from mad_ray.analysis.names import SHARES, label
from mad_ray.analysis.study import StudyResult
from mad_ray.analysis.trend import spread
from mad_ray.analysis.verdict import Verdict
from mad_ray.analysis.wording import number
from mad_ray.report.axes import FAINT, FLOOR_LINE, Look, looks
from mad_ray.report.figures import MAX_MARKERS, PER_ROW, is_log_time, is_log_value, ring_of, trace_of
from mad_ray.report.live import dash, draw_band, hover, legend_row, level_line, plot, span, spread_ticks, stack, text
from mad_ray.report.screen import shorten
from mad_ray.report.words import interval_words

if TYPE_CHECKING:
    from bokeh.models import LayoutDOM
    from bokeh.plotting import figure as Plot

FRAME, LONE_FRAME = (290, 230), (500, 300)
"""Pixels."""
MAX_DRAWN = 1000
MAX_POINTS = 300
"""Points of a line that are drawn, and those that answer to the mouse."""
NAME_WIDTH = 60
LEGEND_WIDTH = 1000


def live_curves(
    result: StudyResult, cases: Sequence[str], metrics: Sequence[str], verdicts: dict[str, Verdict]
) -> LayoutDOM:
    """The panels of curves_figure. A click on a name in the legend hides that case in every panel."""
    from matplotlib.colors import to_hex

    styles = dict(zip(cases, looks(len(cases)), strict=True))
    drawn: dict[str, list[Any]] = {case: [] for case in cases}
    panels: list[Plot] = []
    has_floor = False
    for metric in metrics:
        found = {case: curves for case in cases if (curves := study_curves(result, case, metric)) is not None}
        panel = _panel(metric, list(found.values()), panels[0] if panels else None, len(metrics) == 1)
        points = []
        for case, curves in found.items():
            renderers, point = _draw(panel, case, curves, styles[case], verdicts.get(case))
            drawn[case] += renderers
            points.append(point)
        hover(panel, points, [("case", "case"), ("generation", "t"), (label(metric), "words")])
        floors = {case: curves.floor for case, curves in found.items() if np.isfinite(curves.floor)}
        for case, floor in floors.items():
            level_line(panel, floor, FAINT if len(set(floors.values())) == 1 else to_hex(styles[case].colour))
        has_floor = has_floor or bool(floors)
        panels.append(panel)
    rows = [panels[i : i + PER_ROW] for i in range(0, len(panels), PER_ROW)]
    return _with_legend(stack(rows), styles, drawn, len(rows[0]), has_floor)


def _panel(metric: str, found: Sequence[Curves], first: Plot | None, is_alone: bool) -> Plot:
    from bokeh.models import DataRange1d

    is_log = is_log_time(found), is_log_value(metric, found) and metric not in SHARES
    values = np.concatenate([curves.values.ravel() for curves in found])
    values = values[np.isfinite(values)]
    y_range: Any = DataRange1d(range_padding=0.05)
    if metric in SHARES:
        y_range = span(-0.03, 1.03)
    elif not is_log[1] and len(values) and values.min() >= 0:
        y_range = DataRange1d(start=0)
    x_range, size = first.x_range if first else None, LONE_FRAME if is_alone else FRAME
    made = plot(label(metric), "generation", "", is_log=is_log, size=size, x_range=x_range, y_range=y_range)
    if is_log[0]:
        spread_ticks(made.xaxis[0], 1, max(int(curves.generations[-1]) for curves in found), dense_below=1.3)
    if is_log[1] and len(values):
        spread_ticks(made.yaxis[0], float(values.min()), float(values.max()))
    return made


def _draw(panel: Plot, case: str, curves: Curves, look: Look, verdict: Verdict | None) -> tuple[list[Any], Any]:
    """All that is drawn of a case, and which of it answers to the mouse. A long curve is thinned to MAX_DRAWN."""
    from bokeh.models import ColumnDataSource
    from matplotlib.colors import to_hex

    trace, colour = trace_of(curves), to_hex(look.colour)
    some = spread(len(trace.t), MAX_DRAWN)
    t, median = trace.t[some], trace.median[some]
    drawn: list[Any] = [
        panel.line(t, row[some], line_color=colour, line_width=0.7, line_alpha=0.45) for row in trace.rows
    ]
    drawn += draw_band(panel, t, trace.low[some], trace.high[some], colour, 0.16)
    drawn.append(panel.line(t, median, line_color=colour, line_dash=dash(look.line), line_width=2))
    kept = spread(len(trace.t), MAX_POINTS)
    data = {
        "t": trace.t[kept],
        "y": trace.median[kept],
        "case": [shorten(case, NAME_WIDTH)] * len(kept),
        "words": [_words(trace.median[i], trace.low[i], trace.high[i], trace.has_interval) for i in kept],
    }
    is_seen = len(trace.t) <= MAX_MARKERS
    point = panel.scatter(
        "t", "y", source=ColumnDataSource(data), size=6 if is_seen else 10, color=colour, alpha=1 if is_seen else 0
    )
    drawn.append(point)
    at = ring_of(curves, verdict)
    if len(at):
        ring = panel.scatter(trace.t[at], trace.median[at], size=15, line_color=colour, line_width=2, fill_alpha=0)
        drawn.append(ring)
    return drawn, point


def _words(median: float, low: float, high: float, has_interval: bool) -> str:
    """ "12.3 [11.9, 12.8]"; of two to five seeds "12.3, seeds 11.9 … 12.8"."""
    if has_interval or not np.isfinite(low):
        return interval_words(median, low, high)
    return f"{number(median)}, seeds {number(low)} … {number(high)}"


def _with_legend(
    panels: LayoutDOM, styles: dict[str, Look], drawn: dict[str, list[Any]], n_columns: int, has_floor: bool
) -> LayoutDOM:
    from bokeh.layouts import column
    from matplotlib.colors import to_hex

    width = LEGEND_WIDTH * max(2, n_columns) // PER_ROW - (100 if n_columns == 1 else 0)
    entries = [
        (text(shorten(case, NAME_WIDTH)), to_hex(look.colour), look.line, drawn[case]) for case, look in styles.items()
    ]
    if has_floor:
        entries.append(("real against real", FAINT, FLOOR_LINE, []))
    return column(panels, legend_row(width, entries))
