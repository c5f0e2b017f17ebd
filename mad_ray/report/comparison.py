"""The comparison of interventions on the page: a table with intervals and cost, a figure, and a file of the numbers."""

from __future__ import annotations

import csv
import io
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from mad_ray.analysis.comparison import Comparison, Entry, Measure, comparisons
from mad_ray.analysis.limits import Interval
from mad_ray.analysis.names import label
from mad_ray.analysis.study import StudyResult
from mad_ray.analysis.wording import number
from mad_ray.report.axes import FAINT, INK, PALETTE, dress, literal, panel_grid
from mad_ray.report.markup import table
from mad_ray.report.plates import Plates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILE = "comparison.csv"
COLUMNS = (
    "group", "generation", "case", "interventions", "metric", "mean", "low", "high", "difference", "difference_low",
    "difference_high", "effect", "n_seeds", "real_rows", "seconds_per_generation", "cost",
)  # fmt: skip
NOTE = (
    "Each case against the first that intervenes in nothing: mean over seeds with its 95 % interval "
    "(Student's t), and beneath it the mean difference to that case, seed by seed, which share their real data. Better "
    "or worse is said where the difference's interval leaves out 0; many comparisons are made, so that one in twenty "
    "of those without any effect will say so too. Cost: seconds of a generation, over the first case's. Real rows: all "
    "that the loop used up, and those that interventions learnt from."
)
PANEL, LETTER = 2.3, 0.07
"""Inches: a panel's width, and a letter's of the names beside the first."""
TITLE = 22
"""Letters that a panel has room for."""
COLOURS = {"better": PALETTE[2], "worse": PALETTE[1], "no clear difference": FAINT, "unknown": FAINT}


def comparison_section(result: StudyResult, figures: Plates) -> str:
    """A table and a figure per group, or "" where no case intervenes."""
    found = comparisons(result)
    if not found:
        return ""
    (figures.folder / FILE).write_text(to_csv(found), encoding="utf-8")
    groups = "".join(_of_group(one, figures) for one in found)
    return f'<h2>Interventions compared</h2>\n{groups}<p class="soft">{escape(NOTE)}</p>\n'


def _of_group(comparison: Comparison, figures: Plates) -> str:
    heads = ["case", *(label(metric) for metric in comparison.metrics), "cost", "real rows"]
    rows = [_row(comparison, entry, is_baseline=i == 0) for i, entry in enumerate(comparison.entries)]
    figure = figures.embed(effects_figure(comparison), f"comparison {comparison.entries[0].case}", data=[FILE])
    title = f"{comparison.group}, against {comparison.entries[0].case}, at generation {comparison.generation}"
    return f"<h3>{escape(title)}</h3>\n{table(heads, rows)}{figure}\n"


def _row(comparison: Comparison, entry: Entry, is_baseline: bool) -> list[str]:
    measures = {measure.metric: measure for measure in entry.measures}
    cells = [_cell(measures.get(metric), is_baseline) for metric in comparison.metrics]
    what = ", ".join(entry.interventions) or ("the baseline" if is_baseline else "no intervention")
    cost = "–" if np.isnan(entry.cost) else f"{entry.cost:.2f}<small>{entry.seconds:.1f} s</small>"
    return [f"{escape(entry.case)}<small>{escape(what)}</small>", *cells, cost, f"{entry.n_real:,}"]


def _cell(measure: Measure | None, is_baseline: bool) -> str:
    if measure is None:
        return "–"
    value = number(measure.value.centre) + _range(measure.value)
    if is_baseline:
        return value
    # Means of equal values may differ in the last bit.
    difference = f"{round(measure.difference.centre, 12):+.3g}{_range(measure.difference)}"
    return f"{value}<small>{difference}</small><small>{measure.effect}</small>"


def _range(interval: Interval) -> str:
    return f" [{number(interval.low)}, {number(interval.high)}]" if interval.is_known else ""


def effects_figure(comparison: Comparison) -> Figure:
    """Per metric a panel: each case's difference to the baseline, with its interval."""
    entries = comparison.entries[1:]
    n, height = len(comparison.metrics), 0.9 + 0.26 * len(entries)
    names = LETTER * max(len(entry.case) for entry in entries)
    figure, axes = panel_grid(n, n, PANEL + names / n, height)
    for i, (ax, metric) in enumerate(zip(axes, comparison.metrics, strict=True)):
        dress(ax, title="\n".join(wrap(label(metric), TITLE)), x="difference to the baseline")
        ax.axvline(0, color=INK, linewidth=0.8)
        for place, entry in enumerate(entries):
            _draw(ax, place, {m.metric: m for m in entry.measures}.get(metric))
        ax.set_yticks(range(len(entries)), [literal(entry.case) for entry in entries] if i == 0 else [])
        ax.set_ylim(len(entries) - 0.5, -0.5)
        ax.grid(axis="y", visible=False)
    return figure


def _draw(ax: Axes, place: int, measure: Measure | None) -> None:
    if measure is None or np.isnan(measure.difference.centre):
        return
    colour, difference = COLOURS[measure.effect], measure.difference
    if difference.is_known:
        ax.plot([difference.low, difference.high], [place, place], color=colour, linewidth=1.6, solid_capstyle="round")
    ax.plot([difference.centre], [place], marker="o", markersize=4.5, color=colour)


def to_csv(found: list[Comparison]) -> str:
    """A line per case and metric, COLUMNS."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for comparison in found:
        for entry in comparison.entries:
            writer.writerows(_line(comparison, entry, measure) for measure in entry.measures)
    return text.getvalue()


def _line(comparison: Comparison, entry: Entry, measure: Measure) -> list[object]:
    value, difference = measure.value, measure.difference
    return [
        comparison.group,
        comparison.generation,
        entry.case,
        " ".join(entry.interventions),
        measure.metric,
        *(value.centre, value.low, value.high),
        *(difference.centre, difference.low, difference.high),
        measure.effect,
        value.n,
        entry.n_real,
        round(entry.seconds, 3),
        round(entry.cost, 4),
    ]
