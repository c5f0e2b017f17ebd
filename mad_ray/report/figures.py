"""Curves over generations: a panel per metric, a colour per case, every seed's uncertainty in sight."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mad_ray.analysis.curves import Curves, metrics_of, study_curves
from mad_ray.analysis.limits import seed_band
from mad_ray.analysis.names import DISTANCES, SHARES, label
from mad_ray.analysis.study import StudyResult
from mad_ray.analysis.verdict import Verdict
from mad_ray.report.screen import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008, told apart with any colour vision; their yellow is left out, too faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FLOOR_LINE = (0, (4, 3))
LINES = ("-", (0, (5, 2)), (0, (1, 1.5)))
INK, FAINT, PAPER = "#333333", "#8a8a8a", "#ffffff"
DPI = 144
LOG_FROM = 10.0
MAX_MARKERS = 40
PER_ROW = 3
LEGEND_WIDTH = 60
LEGEND_LINE = 0.23
"""Inches."""


@dataclass(frozen=True)
class Look:
    """How one case is drawn, the same in every panel."""

    colour: Any
    line: Any


def looks(n: int) -> list[Look]:
    """n looks that differ: colours first, then line styles; a colour scale where both run out."""
    if n <= len(PALETTE) * len(LINES):
        return [Look(PALETTE[i % len(PALETTE)], LINES[i // len(PALETTE)]) for i in range(n)]
    from matplotlib import colormaps

    return [Look(colormaps["viridis"](i / (n - 1)), "-") for i in range(n)]


def main_metrics(result: StudyResult, cases: Sequence[str]) -> list[str]:
    """The panels at first sight: the distance of the verdict, precision, recall; others where these are missing."""
    found = metrics_of(result, cases)
    distance = [metric for metric in DISTANCES if metric in found][:1]
    wanted = distance + [metric for metric in ("precision", "recall") if metric in found]
    return (wanted + [metric for metric in found if metric not in wanted])[:PER_ROW]


def curves_figure(
    result: StudyResult, cases: Sequence[str], metrics: Sequence[str], verdicts: dict[str, Verdict]
) -> Figure:
    """One panel per metric, one look per case. A ring marks the generation at which a case went MAD."""
    figure, axes = _panels(len(metrics))
    styles = dict(zip(cases, looks(len(cases)), strict=True))
    n_floors = 0
    for ax, metric in zip(axes, metrics, strict=True):
        found = {case: curves for case in cases if (curves := study_curves(result, case, metric)) is not None}
        for case, curves in found.items():
            draw_case(ax, curves, styles[case], verdicts.get(case))
        _dress(ax, metric, list(found.values()))
        n_floors += _draw_floors(ax, found, styles)
    _legend(figure, styles, verdicts, has_floor=n_floors > 0)
    return figure


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    n_rows = -(-n // PER_ROW)
    figure = Figure(figsize=(3.9 * min(n, PER_ROW), 3.1 * n_rows), layout="constrained", facecolor=PAPER)
    grid = figure.subplots(n_rows, min(n, PER_ROW), squeeze=False).ravel()
    for ax in grid[n:]:
        ax.set_visible(False)
    return figure, list(grid[:n])


def draw_case(ax: Axes, curves: Curves, look: Look, verdict: Verdict | None = None) -> None:
    """Median line; the seeds' band where there are two or more; each seed thinly where there are two to five."""
    t = curves.generations
    bands = [seed_band(column) for column in curves.values.T]
    if 2 <= curves.n_seeds <= 5:
        for row in curves.values:
            ax.plot(t, row, color=look.colour, linewidth=0.6, alpha=0.45)
    low, high = (np.array([getattr(band, side) for band in bands]) for side in ("low", "high"))
    ax.fill_between(t, low, high, color=look.colour, alpha=0.16, linewidth=0)
    marker = "o" if len(t) <= MAX_MARKERS else ""
    ax.plot(t, curves.median, color=look.colour, linestyle=look.line, linewidth=2, marker=marker, markersize=4)
    if verdict is not None and verdict.generation is not None and verdict.metric == curves.metric:
        at = np.flatnonzero(t == verdict.generation)
        ring = dict(s=110, facecolors="none", edgecolors=look.colour, linewidths=1.8, zorder=5)  # noqa: C408
        ax.scatter(t[at], curves.median[at], **ring)


def _draw_floors(ax: Axes, found: dict[str, Curves], styles: dict[str, Look]) -> int:
    """How many floors there are: one grey line where all floors agree, otherwise one per case in its colour."""
    floors = {case: curves.floor for case, curves in found.items() if np.isfinite(curves.floor)}
    shared = len(set(floors.values())) == 1
    for case, floor in list(floors.items())[: 1 if shared else None]:
        ax.axhline(floor, color=FAINT if shared else styles[case].colour, linestyle=FLOOR_LINE, linewidth=1.1, zorder=1)
    return len(floors)


def _dress(ax: Axes, metric: str, found: Sequence[Curves]) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_title(label(metric), loc="left", fontsize=11, fontweight="bold", color=INK)
    ax.set_xlabel("generation", fontsize=9, color=INK)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    ax.tick_params(labelsize=8, colors=INK, length=3)
    ax.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#bbbbbb")
    if metric in SHARES:
        ax.set_ylim(-0.03, 1.03)
    elif _spans_decades(found):
        _log_axis(ax)
    elif all((curves.values[np.isfinite(curves.values)] >= 0).all() for curves in found):
        ax.set_ylim(bottom=0)


def _spans_decades(found: Sequence[Curves]) -> bool:
    values = np.concatenate([curves.values.ravel() for curves in found])
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > LOG_FROM * values.min())


def _log_axis(ax: Axes) -> None:
    """Plain numbers at 1, 2, 5 times the powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if _n_decades(ax) < 3 else (1.0,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}" if value < 1e6 else f"{value:.0e}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _n_decades(ax: Axes) -> float:
    low, high = ax.get_ylim()
    return float(np.log10(high / low))


def _legend(figure: Figure, styles: dict[str, Look], verdicts: dict[str, Verdict], has_floor: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look.colour, linestyle=look.line, linewidth=2, label=literal(shorten(case, LEGEND_WIDTH)))
        for case, look in styles.items()
    ]
    if has_floor:
        handles.append(Line2D([], [], color=FAINT, linestyle=FLOOR_LINE, linewidth=1.1, label="real against real"))
    if any(verdicts[case].generation is not None for case in styles if case in verdicts):
        ring = Line2D([], [], marker="o", markersize=9, markerfacecolor="none", markeredgecolor=INK, linestyle="none")
        ring.set_label("gone MAD")
        handles.append(ring)
    longest = max(len(str(handle.get_label())) for handle in handles)
    n_columns = max(1, min(len(handles), int(15 * figure.get_figwidth() // (longest + 8))))
    # Room of its own, so that a long legend does not squeeze the panels.
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * (-(-len(handles) // n_columns) - 1))
    figure.legend(handles=handles, loc="outside lower center", ncols=n_columns, frameon=False, fontsize=9)


def literal(text: str) -> str:
    """The text without its dollar signs being read as mathematics, nor a leading underscore as "leave out"."""
    escaped = text.replace("$", r"\$")
    return f"\u200b{escaped}" if escaped.startswith("_") else escaped


def figure_to_png(figure: Figure) -> bytes:
    """The same bytes for the same figure: nothing of the time or the machine goes in."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor=PAPER, metadata={"Software": None})
    return buffer.getvalue()
