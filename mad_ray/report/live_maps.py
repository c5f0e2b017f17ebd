"""The interactive twin of maps.py: every cell tells its numbers under the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mad_ray.analysis.names import label
from mad_ray.analysis.phase import PhaseResult
from mad_ray.report.axes import INK, tick_words
from mad_ray.report.cells import (
    FAILED,
    at_panel,
    border,
    boundary_curve,
    edges,
    index_in,
    level_path,
    panel_values,
    state_of,
    value_name,
)
from mad_ray.report.colours import ColourScale, colour_scale
from mad_ray.report.live import FONT, draw_band, hover, plot, span, spread_ticks, stack
from mad_ray.report.maps import BLANK, BLANK_LINES, DENSE_DECADES, LEVEL_ALPHA, PER_ROW, VOID, colour_ticks
from mad_ray.report.symbols import to_unicode, to_unicode_words
from mad_ray.report.words import interval_words, panel_words

if TYPE_CHECKING:
    from bokeh.models import LayoutDOM
    from bokeh.plotting import figure as Plot

FRAMES = {1: (440, 420), 2: (380, 365)}
FRAME = (252, 245)
"""Pixels."""
SIGNS = {"drifting": "circle", "noisy": "dash", FAILED: "x"}


def live_map(result: PhaseResult) -> LayoutDOM:
    """The panels of map_figure."""
    panels, scale = panel_values(result), colour_scale(result)
    size = FRAMES.get(min(len(panels), PER_ROW), FRAME)
    made: list[Plot] = []
    for i, panel in enumerate(panels):
        first = made[0] if made else None
        one = _map_panel(result, panel, size, first, is_left=i % PER_ROW == 0)
        drawn = (_draw_cells if result.kind == "grid" else _draw_points)(one, result, panel, scale)
        _draw_level(one, result, panel)
        hover(one, [drawn], _cell_rows(result))
        made.append(one)
    made[min(len(made), PER_ROW) - 1].add_layout(_colour_bar(result, scale), "right")
    return stack([made[i : i + PER_ROW] for i in range(0, len(made), PER_ROW)])


def _map_panel(result: PhaseResult, panel: float, size: tuple[int, int], first: Plot | None, is_left: bool) -> Plot:
    assert result.y is not None
    x, y = border(result, result.x), border(result, result.y)
    made = plot(
        to_unicode_words(panel_words(result, panel)),
        to_unicode(result.x.label),
        to_unicode(result.y.label) if is_left else "",
        is_log=(result.x.is_log, result.y.is_log),
        size=size,
        x_range=first.x_range if first else span(*x),
        y_range=first.y_range if first else span(*y),
    )
    made.grid.grid_line_color = None
    made.outline_line_color = "#bbbbbb"
    for axis, shown, ends in ((result.x, made.xaxis[0], x), (result.y, made.yaxis[0], y)):
        if axis.is_log:
            spread_ticks(shown, *ends, DENSE_DECADES)
    return made


def _cell_rows(result: PhaseResult) -> list[tuple[str, str]]:
    y = [(to_unicode(result.y.label), "in_y")] if result.y is not None else []
    rows = [(to_unicode(result.x.label), "in_x"), *y, (to_unicode(value_name(result)), "in_value")]
    if result.value.startswith("n_e"):
        rows.append((f"limit of {label(result.metric)}", "in_limit"))
    return [*rows, ("state", "in_state"), ("", "in_work")]


def _draw_cells(made: Plot, result: PhaseResult, panel: float, scale: ColourScale) -> Any:
    """A rectangle per cell of the grid, hatched where there is no value."""
    from bokeh.models import ColumnDataSource

    assert result.y is not None
    x, y = edges(result.x), edges(result.y)
    cells = at_panel(result.cells, panel)
    i, j = index_in(result.x, cells["x"].to_numpy()), index_in(result.y, cells["y"].to_numpy())
    made.quad([x[0]], [x[-1]], [y[-1]], [y[0]], fill_color=BLANK, line_color=None, hatch_pattern="/",
              hatch_color=BLANK_LINES, hatch_scale=8)  # fmt: skip
    value = cells["value"].to_numpy(dtype=float)
    known = np.isfinite(value)
    colours = np.full(len(cells), "#00000000", dtype=object)
    colours[known] = scale.hexes(value[known])
    colours[(cells["state"] == "no model").to_numpy()] = VOID
    data = {"left": x[i], "right": x[i + 1], "bottom": y[j], "top": y[j + 1], "colour": list(colours)}
    source = ColumnDataSource({**data, **cell_columns(result, cells)})
    drawn = made.quad("left", "right", "top", "bottom", source=source, fill_color="colour", line_color="colour")
    _draw_signs(made, cells)
    return drawn


def _draw_points(made: Plot, result: PhaseResult, panel: float, scale: ColourScale) -> Any:
    """A dot per cell that a search looked at."""
    from bokeh.models import ColumnDataSource

    cells = at_panel(result.cells, panel)
    cells = cells[np.isfinite(cells["value"].to_numpy(dtype=float))]
    data = {"x": cells["x"].to_numpy(float), "y": cells["y"].to_numpy(float)}
    data["colour"] = scale.hexes(cells["value"].to_numpy(dtype=float))
    source = ColumnDataSource({**data, **cell_columns(result, cells)})
    drawn = made.scatter("x", "y", source=source, size=8, fill_color="colour", line_color=INK, line_width=0.6)
    _draw_signs(made, cells)
    return drawn


def _draw_signs(made: Plot, cells: pd.DataFrame) -> None:
    states = cells["state"].map(state_of)
    for state, sign in SIGNS.items():
        rows = cells[states == state]
        if len(rows):
            x, y = rows["x"].to_numpy(float), rows["y"].to_numpy(float)
            made.scatter(x, y, marker=sign, size=4 if sign == "circle" else 7, color=INK)


def _draw_level(made: Plot, result: PhaseResult, panel: float) -> None:
    curve = boundary_curve(result, panel)
    if not (curve.kind == "crossing").any():
        return
    line = level_path(result, curve)
    draw_band(made, curve.x, curve.low, curve.high, INK, LEVEL_ALPHA)
    made.line(curve.x, line, line_color="white", line_width=4)
    made.line(curve.x, line, line_color="black", line_width=2)


def _colour_bar(result: PhaseResult, scale: ColourScale) -> Any:
    from bokeh.models import FixedTicker, LinearColorMapper, LogColorMapper
    from bokeh.models.annotations.legends import ColorBar

    mapper = (LogColorMapper if scale.is_log else LinearColorMapper)(
        palette=scale.palette(), low=scale.low, high=scale.high
    )
    ticks = [float(tick) for tick in colour_ticks(scale, result.level)]
    return ColorBar(
        color_mapper=mapper,
        ticker=FixedTicker(ticks=ticks),
        major_label_overrides={tick: f"{tick:.3g}" for tick in ticks},
        width=14,
        major_label_text_font=FONT,
        major_label_text_font_size="11px",
        bar_line_color="#bbbbbb",
    )


def cell_columns(result: PhaseResult, cells: pd.DataFrame) -> dict[str, list[str]]:
    """What the mouse is told of each cell, in words."""
    return {
        "in_x": [tick_words(x) for x in cells["x"]],
        "in_y": [
            "" if np.isnan(y) else f"{y:,.4g}" if result.kind == "boundary" else tick_words(y) for y in cells["y"]
        ],
        "in_value": [interval_words(*row) for row in _numbers(cells, ("value", "low", "high"))],
        "in_limit": [interval_words(*row) for row in _numbers(cells, ("limit", "limit_low", "limit_high"))],
        "in_state": [str(state) for state in cells["state"]],
        "in_work": [_work(*row) for row in _numbers(cells, ("generations", "n_seeds"))],
    }


def _numbers(cells: pd.DataFrame, columns: Sequence[str]) -> list[list[float]]:
    return cells[list(columns)].to_numpy(dtype=float).tolist()


def _work(generations: float, n_seeds: float) -> str:
    return "-" if np.isnan([generations, n_seeds]).any() else f"{generations:,.0f} generations, {n_seeds:,.0f} seeds"
