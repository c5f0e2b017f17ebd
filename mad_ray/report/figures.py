"""Curves over generations: a panel per metric, a colour per case, every seed's uncertainty in sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mad_ray.analysis.curves import Curves, metrics_of, study_curves
from mad_ray.analysis.limits import seed_band
from mad_ray.analysis.names import DISTANCES, LOG_METRICS, PANELS, SHARES, has_a_section, label
from mad_ray.analysis.study import StudyResult
from mad_ray.analysis.verdict import Verdict
from mad_ray.report.axes import (
    FAINT,
    FLOOR_LINE,
    INK,
    Look,
    dress,
    literal,
    log_axis,
    looks,
    panel_grid,
    spans_decades,
)
from mad_ray.report.screen import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_MARKERS = 40
PER_ROW = 3
PANEL, LONE_PANEL = (3.9, 3.1), (5.8, 3.9)
"""Inches."""
LOG_TIME_FROM = 100
LEGEND_WIDTH = 60
LEGEND_LINE = 0.23
"""Inches."""


def main_metrics(result: StudyResult, cases: Sequence[str]) -> list[str]:
    """The panels at first sight: those of a model whose modes or symbols die, as figure 15 has them; of any other the
    distance of the verdict, precision, recall; others where these are missing.
    """
    found = [metric for metric in metrics_of(result, cases) if not has_a_section(metric)]
    wanted = next(([m for m in panels if m in found] for signature, panels in PANELS if signature in found), [])
    if not wanted:
        wanted = [metric for metric in DISTANCES if metric in found][:1]
        wanted += [metric for metric in ("precision", "recall") if metric in found]
    return (wanted + [metric for metric in found if metric not in wanted])[:PER_ROW]


def curves_figure(
    result: StudyResult, cases: Sequence[str], metrics: Sequence[str], verdicts: dict[str, Verdict]
) -> Figure:
    """One panel per metric, one look per case. A ring marks the generation at which a case went MAD."""
    figure, axes = panel_grid(len(metrics), PER_ROW, *(PANEL if len(metrics) > 1 else LONE_PANEL))
    styles = dict(zip(cases, looks(len(cases)), strict=True))
    n_floors = 0
    for ax, metric in zip(axes, metrics, strict=True):
        found = {case: curves for case in cases if (curves := study_curves(result, case, metric)) is not None}
        for case, curves in found.items():
            draw_case(ax, curves, styles[case], verdicts.get(case))
        _dress(ax, metric, list(found.values()))
        n_floors += _draw_floors(ax, found, styles)
    has_ring = any(v.generation is not None and v.metric in metrics for c, v in verdicts.items() if c in styles)
    _legend(figure, styles, has_ring, has_floor=n_floors > 0)
    return figure


@dataclass(frozen=True)
class Trace:
    """What is drawn of one case's metric: median and band over seeds, [T]; rows: each seed, [n, T], of two to five."""

    t: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rows: np.ndarray
    has_interval: bool
    """Is the band the median's 95 % interval, rather than the range of the seeds?"""


def trace_of(curves: Curves) -> Trace:
    """The band where there are two seeds or more; a thin line for each of two to five."""
    bands = [seed_band(column) for column in curves.values.T]
    low, high = (np.array([getattr(band, side) for band in bands]) for side in ("low", "high"))
    rows = curves.values if 2 <= curves.n_seeds <= 5 else curves.values[:0]
    return Trace(curves.generations, curves.median, low, high, rows, has_interval=curves.n_seeds > 5)


def ring_of(curves: Curves, verdict: Verdict | None) -> np.ndarray:
    """Which of the generations is the one at which it went MAD, in the panel of the verdict's metric."""
    if verdict is None or verdict.generation is None or verdict.metric != curves.metric:
        return np.array([], dtype=int)
    return np.flatnonzero(curves.generations == verdict.generation)


def draw_case(ax: Axes, curves: Curves, look: Look, verdict: Verdict | None = None) -> None:
    """Median line, band, thin lines, ring."""
    trace = trace_of(curves)
    for row in trace.rows:
        ax.plot(trace.t, row, color=look.colour, linewidth=0.6, alpha=0.45)
    ax.fill_between(trace.t, trace.low, trace.high, color=look.colour, alpha=0.16, linewidth=0)
    marker = "o" if len(trace.t) <= MAX_MARKERS else ""
    ax.plot(trace.t, trace.median, color=look.colour, linestyle=look.line, linewidth=2, marker=marker, markersize=4)
    at = ring_of(curves, verdict)
    if len(at):
        ring = dict(s=110, facecolors="none", edgecolors=look.colour, linewidths=1.8, zorder=5)  # noqa: C408
        ax.scatter(trace.t[at], trace.median[at], **ring)


def _draw_floors(ax: Axes, found: dict[str, Curves], styles: dict[str, Look]) -> int:
    """How many floors there are: one grey line where all floors agree, otherwise one per case in its colour."""
    floors = {case: curves.floor for case, curves in found.items() if np.isfinite(curves.floor)}
    shared = len(set(floors.values())) == 1
    for case, floor in list(floors.items())[: 1 if shared else None]:
        ax.axhline(floor, color=FAINT if shared else styles[case].colour, linestyle=FLOOR_LINE, linewidth=1.1, zorder=1)
    return len(floors)


def _dress(ax: Axes, metric: str, found: Sequence[Curves]) -> None:
    from matplotlib.ticker import MaxNLocator

    dress(ax, label(metric), "generation")
    if is_log_time(found):
        log_axis(ax, "x", dense_below=1.3)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    if metric in SHARES:
        ax.set_ylim(-0.03, 1.03)
    elif is_log_value(metric, found):
        log_axis(ax, "y")
    elif all((curves.values[np.isfinite(curves.values)] >= 0).all() for curves in found):
        ax.set_ylim(bottom=0)


def is_log_time(found: Sequence[Curves]) -> bool:
    """More than two decades of generations, of which fewer than half were measured: the early ones need the room."""
    t = np.unique(np.concatenate([curves.generations for curves in found] or [np.array([1])]))
    return bool(t[0] > 0 and t[-1] > LOG_TIME_FROM * t[0] and len(t) < (t[-1] - t[0] + 1) / 2)


def is_log_value(metric: str, found: Sequence[Curves]) -> bool:
    """Positive values over a decade or more; and always where the paper has it so."""
    values = np.concatenate([curves.values.ravel() for curves in found])
    return spans_decades(values) or (metric in LOG_METRICS and bool((values[np.isfinite(values)] > 0).all()))


def _legend(figure: Figure, styles: dict[str, Look], has_ring: bool, has_floor: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look.colour, linestyle=look.line, linewidth=2, label=literal(shorten(case, LEGEND_WIDTH)))
        for case, look in styles.items()
    ]
    if has_floor:
        handles.append(Line2D([], [], color=FAINT, linestyle=FLOOR_LINE, linewidth=1.1, label="real against real"))
    if has_ring:
        ring = Line2D([], [], marker="o", markersize=9, markerfacecolor="none", markeredgecolor=INK, linestyle="none")
        ring.set_label("gone MAD")
        handles.append(ring)
    longest = max(len(str(handle.get_label())) for handle in handles)
    n_columns = max(1, min(len(handles), int(15 * figure.get_figwidth() // (longest + 8))))
    # Room of its own, so that a long legend does not squeeze the panels.
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * (-(-len(handles) // n_columns) - 1))
    figure.legend(handles=handles, loc="outside lower center", ncols=n_columns, frameon=False, fontsize=9)
