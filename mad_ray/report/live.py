"""Interactive twins of the figures: Bokeh, embedded in the page once, that never asks a network for anything.

Bokeh 3.9 rather than Plotly 7.1: 1.3 MB in the page instead of 4.8 MB, with all that these figures need.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mad_ray.report.axes import FAINT, GRID, INK, tick_words
from mad_ray.report.cells import runs

if TYPE_CHECKING:
    from bokeh.models import LayoutDOM
    from bokeh.plotting import figure as Plot

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "form-action 'none'; base-uri 'none'"
)
"""The page's Content-Security-Policy: a browser that reads it fetches nothing, whatever a library may want."""
FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
DASHES = {"-": "solid", (0, (5, 2)): [8, 4], (0, (1, 1.5)): [2, 4], (0, (4, 3)): [6, 5]}
"""matplotlib's line styles (report/axes.py) as Bokeh wants them told."""
LEGEND_ROW, LEGEND_SPACING = 22, 12
"""Pixels."""
MAX_LEGEND_COLUMNS = 6

LOADER = """\
(() => {
  const wake = (figure) => {
    const stage = figure.querySelector(".live");
    figure.classList.add("awake");
    Bokeh.embed.embed_item(JSON.parse(document.getElementById(stage.dataset.item).textContent), stage.id)
      .catch((error) => { figure.classList.remove("awake"); console.error(error); });
  };
  const seen = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting)
    .forEach((entry) => { seen.unobserve(entry.target); wake(entry.target); }), { rootMargin: "600px" });
  document.querySelectorAll(".live").forEach((stage) => seen.observe(stage.parentElement));
})();
"""
"""Each picture gives way to its interactive twin as it comes near the window; without scripts the pictures stay."""


def scripts(items: Sequence[str]) -> str:
    """What ends the page: the library once, the figures' data, the loader. Nothing without figures."""
    if not items:
        return ""
    data = "\n".join(
        f'<script type="application/json" id="data-{i}">{item}</script>' for i, item in enumerate(items, 1)
    )
    return f"{data}\n<script>{library()}</script>\n<script>{LOADER}</script>\n"


def library() -> str:
    """Bokeh's script as its package carries it, BSD 3-clause."""
    import bokeh

    path = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
    return path.read_text(encoding="utf-8").replace("</script", r"<\/script").replace("//# sourceMappingURL", "// map")


def to_item(model: LayoutDOM, key: str) -> str:
    """JSON for Bokeh.embed.embed_item, safe within a script tag; the same text for the same figure.

    Bokeh counts its ids over the whole process; ours count from one in each figure.
    """
    from bokeh.embed import json_item

    ids: dict[str, str] = {}
    found = _rename(json_item(model), ids, key)
    found["root_id"] = ids[found["root_id"]]
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _rename(value: Any, ids: dict[str, str], key: str) -> Any:
    if isinstance(value, dict):
        return {
            name: ids.setdefault(inner, f"{key}-{len(ids)}") if name == "id" else _rename(inner, ids, key)
            for name, inner in value.items()
        }
    return [_rename(inner, ids, key) for inner in value] if isinstance(value, (list, tuple)) else value


def text(words: str) -> str:
    """Words that a canvas shall not read as TeX, for which Bokeh would look for MathJax on the network."""
    return words.replace("$$", "$\u200b$").replace(r"\(", "\\\u200b(").replace(r"\[", "\\\u200b[")


def plot(
    title: str, x: str, y: str, *, is_log: tuple[bool, bool], size: tuple[int, int], x_range=None, y_range=None
) -> Plot:
    """An empty plot that looks like the printed figures. size: of the frame, in pixels."""
    from bokeh.plotting import figure

    shared = {name: given for name, given in (("x_range", x_range), ("y_range", y_range)) if given is not None}
    made = figure(
        frame_width=size[0],
        frame_height=size[1],
        title=text(title),
        x_axis_label=text(x) or None,
        y_axis_label=text(y) or None,
        x_axis_type="log" if is_log[0] else "linear",
        y_axis_type="log" if is_log[1] else "linear",
        tools="pan,box_zoom,wheel_zoom,reset",
        active_drag="box_zoom",
        **shared,
    )
    _dress(made)
    return made


def _dress(made: Plot) -> None:
    from bokeh.models import LogTicker, NumeralTickFormatter

    made.toolbar.logo = None
    made.outline_line_color = None
    made.background_fill_color = made.border_fill_color = "white"
    title: Any = made.title
    title.text_font, title.text_font_size, title.text_color = FONT, "14px", INK
    made.xgrid.grid_line_color = None
    made.ygrid.grid_line_color = GRID
    for axis in made.axis:
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_style, axis.axis_label_text_font_size = "normal", "13px"
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.major_label_text_font_size = "11px"
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = "#bbbbbb"
        axis.major_tick_in = 0
        if isinstance(axis.ticker, LogTicker):
            axis.formatter = NumeralTickFormatter(format="0,0.[000000]")


def spread_ticks(axis: Any, low: float, high: float, dense_below: float = 3) -> None:
    """The printed figures' ticks on a log axis: 1, 2, 5 times the powers of ten where few decades are shown."""
    from bokeh.models import FixedTicker

    exponents = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    steps = (1, 2, 5) if np.log10(high / low) < dense_below else (1,)
    ticks = [float(f"{step}e{k}") for k in exponents for step in steps]
    axis.ticker = FixedTicker(
        ticks=ticks, minor_ticks=[float(f"{step}e{k}") for k in exponents for step in range(1, 10)]
    )
    axis.major_label_overrides = {tick: tick_words(tick) for tick in ticks}


def span(low: float, high: float) -> Any:
    """A range of an axis."""
    from bokeh.models import Range1d

    return Range1d(start=float(low), end=float(high))


def hover(made: Plot, renderers: Sequence[Any], rows: Sequence[tuple[str, str]]) -> None:
    """Tooltips over these; rows: (what, column). Bokeh escapes the columns' text."""
    from bokeh.models import HoverTool

    made.add_tools(HoverTool(renderers=list(renderers), tooltips=[(name, f"@{{{column}}}") for name, column in rows]))


def legend_row(width: int, entries: Sequence[tuple[str, str, Any, Sequence[Any]]]) -> Plot:
    """A legend for several plots: (name, colour, line style, all that a click on it shows or hides)."""
    from bokeh.models.annotations.legends import Legend, LegendItem
    from bokeh.plotting import figure

    n_columns = max(1, min(len(entries), MAX_LEGEND_COLUMNS, width // (7 * max(len(e[0]) for e in entries) + 60)))
    n_rows = -(-len(entries) // n_columns)
    row = figure(width=width, height=(LEGEND_ROW + LEGEND_SPACING) * n_rows + 10, tools="", toolbar_location=None)
    row.axis.visible = row.grid.visible = False
    row.outline_line_color = None
    row.x_range, row.y_range = span(0, 1), span(0, 1)
    items = []
    for name, colour, style, renderers in entries:
        sample: Any = row.line([2, 3], [2, 3], line_color=colour, line_dash=dash(style), line_width=2)
        items.append(LegendItem(label=text(name), renderers=[sample, *renderers]))
    legend: Any = Legend(items=items, click_policy="hide", ncols=n_columns, location="center", border_line_color=None)
    legend.label_text_font, legend.label_text_font_size, legend.label_text_color = FONT, "12px", INK
    legend.margin = legend.padding = 2
    legend.spacing = LEGEND_SPACING
    row.add_layout(legend, "center")
    return row


def dash(style: Any) -> Any:
    return DASHES.get(style, "solid")


def stack(rows: Sequence[Sequence[LayoutDOM]]) -> LayoutDOM:
    """Rows of plots with one tool bar for all."""
    from bokeh.layouts import gridplot

    return gridplot([list(row) for row in rows], merge_tools=True, toolbar_location="right")


def draw_band(made: Plot, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, alpha: float) -> list[Any]:
    """Bokeh would join an area across a gap; so, one for each stretch without."""
    return [made.varea(x[run], low[run], high[run], fill_color=colour, fill_alpha=alpha) for run in runs(low, high)]


def level_line(made: Plot, level: float, colour: str = FAINT, style: Any = (0, (4, 3))) -> Any:
    """A horizontal line across the plot."""
    from bokeh.models.annotations.geometry import Span

    line = Span(location=level, dimension="width", line_color=colour, line_dash=dash(style), line_width=1.2)
    made.add_layout(line)
    return line
