"""Axes that look alike in every figure: plain numbers, faint grids, no box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008, told apart with any colour vision; their yellow is left out, too faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", (0, (5, 2)), (0, (1, 1.5)))
FLOOR_LINE = (0, (4, 3))
INK, FAINT, GRID, PAPER = "#333333", "#8a8a8a", "#e6e6e6", "#ffffff"
LOG_FROM = 10.0
"""Positive values that span more than this factor get a log axis."""
PLAIN_BELOW = 1e6


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


def panel_grid(n: int, per_row: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of n panels, so many a row, each of this size in inches."""
    from matplotlib.figure import Figure

    n_columns, n_rows = min(n, per_row), -(-n // per_row)
    figure = Figure(figsize=(width * n_columns, height * n_rows), layout="constrained", facecolor=PAPER)
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax in grid[n:]:
        ax.set_visible(False)
    return figure, list(grid[:n])


def dress(ax: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Title at the left, small labels, lines of the grid behind the data, no frame at the top and right."""
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    ax.set_xlabel(x, fontsize=9, color=INK)
    ax.set_ylabel(y, fontsize=9, color=INK)
    ax.tick_params(labelsize=8, colors=INK, length=3)
    ax.tick_params(which="minor", length=1.5, color="#bbbbbb")
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#bbbbbb")


def log_axis(ax: Axes, which: Literal["x", "y"], dense_below: float = 3) -> None:
    """Plain numbers at the powers of ten; at 1, 2, 5 times these where fewer than `dense_below` decades are shown."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    low, high = ax.get_xlim() if which == "x" else ax.get_ylim()
    axis = ax.xaxis if which == "x" else ax.yaxis
    decades = float(np.log10(high / low))
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < dense_below else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_words(value)))
    axis.set_minor_formatter(NullFormatter())


def tick_words(value: float) -> str:
    """ "0.85", "1,000", "2e+06"."""
    return f"{value:,.12g}" if abs(value) < PLAIN_BELOW else f"{value:.0e}"


def spans_decades(values: np.ndarray) -> bool:
    """Are they positive, and is the largest far more than the smallest?"""
    finite = values[np.isfinite(values)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > LOG_FROM * finite.min())


def literal(text: str) -> str:
    """The text without its dollar signs being read as mathematics, nor a leading underscore as "leave out"."""
    escaped = text.replace("$", r"\$")
    return f"\u200b{escaped}" if escaped.startswith("_") else escaped
