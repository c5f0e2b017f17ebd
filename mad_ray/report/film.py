"""The joint embedding of a trajectory: a panel per generation, and a film of all of them."""

from __future__ import annotations

import pathlib
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from mad_ray.analysis.study import Embedding
from mad_ray.analysis.trend import spread
from mad_ray.report.axes import PALETTE, dress, panel_grid
from mad_ray.report.scatter import limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 8
PER_ROW = 4
PANEL, FRAME = (2.6, 2.75), (4.6, 4.9)
"""Inches."""
FILM_DPI = 80
FRAMES_A_SECOND, LAST_FRAMES = 1, 3
REAL_COLOUR = "#c9ccd1"
MAX_LEGEND = 12
GREY_OF_TAB10 = 7


def embedding_figure(found: Embedding) -> Figure:
    """Generations, evenly thinned, first and last included: samples by class, real ones in grey beneath."""
    generations = sorted(found.places)
    kept = [generations[i] for i in spread(len(generations), MAX_PANELS)]
    figure, axes = panel_grid(len(kept), PER_ROW, *PANEL)
    figure.set_layout_engine("compressed")
    for ax, t in zip(axes, kept, strict=True):
        draw_generation(ax, found, t)
    if legend := class_handles(found):
        figure.legend(
            handles=legend, loc="outside lower center", ncols=len(legend), frameon=False, fontsize=9, handletextpad=0.1
        )
    return figure


def film_bytes(found: Embedding) -> bytes:
    """An animated GIF, a frame per generation, the same bytes for the same embedding; it rests on the last."""
    from matplotlib.animation import PillowWriter
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, (ax,) = panel_grid(1, 1, *FRAME)
    FigureCanvasAgg(figure)
    if legend := class_handles(found):
        columns = -(-len(legend) // 2)
        figure.legend(
            handles=legend, loc="outside lower center", ncols=columns, frameon=False, fontsize=8, handletextpad=0.1
        )
    writer, generations = PillowWriter(fps=FRAMES_A_SECOND), sorted(found.places)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "film.gif"
        with writer.saving(figure, str(file), FILM_DPI):
            for t in [*generations, *generations[-1:] * (LAST_FRAMES - 1)]:
                ax.clear()
                draw_generation(ax, found, t)
                writer.grab_frame()
        return file.read_bytes()


def draw_generation(ax: Axes, found: Embedding, t: int) -> None:
    """Real samples in grey, those of generation t above them, in the colour of their class."""
    dress(ax, f"t = {t:,}")
    ax.grid(visible=False)
    ax.set(xticks=[], yticks=[], aspect="equal")
    x, y = limits([("", found.real), *(("", places) for places in found.places.values())])
    ax.set(xlim=x, ylim=y)
    ax.spines[["top", "right"]].set_visible(True)
    ax.spines[:].set_color("#bbbbbb")
    ax.scatter(found.real[:, 0], found.real[:, 1], s=9, color=REAL_COLOUR, linewidths=0, rasterized=True)
    colours = [class_colour(c, n_classes_of(found)) for c in found.classes[t]]
    ax.scatter(
        found.places[t][:, 0], found.places[t][:, 1], s=8, color=colours, linewidths=0, alpha=0.85, rasterized=True
    )


def n_classes_of(found: Embedding) -> int:
    """Classes that appear, real or drawn: one more than the highest; 0 where none is known."""
    return 1 + max(int(np.max(of, initial=-1)) for of in (found.real_class, *found.classes.values()))


def class_colour(c: int, n_classes: int) -> Any:
    """Ten colours that differ, none of them grey; of more classes a scale."""
    if c < 0:
        return PALETTE[0]
    from matplotlib import colormaps

    if n_classes <= 10:
        return "#1a1a1a" if c == GREY_OF_TAB10 else colormaps["tab10"](int(c))
    return colormaps["turbo"](int(c) / (n_classes - 1))


def class_handles(found: Embedding) -> list[Any]:
    """What a legend shows: real samples, and classes where they are few."""
    from matplotlib.lines import Line2D

    def dot(colour: Any, label: str) -> Line2D:
        return Line2D([], [], marker="o", markersize=5, linestyle="none", color=colour, label=label)

    n = n_classes_of(found)
    handles = [dot(REAL_COLOUR, "real")]
    if n == 0:
        return [*handles, dot(class_colour(-1, 0), "drawn")]
    return handles + ([dot(class_colour(c, n), str(c)) for c in range(n)] if n <= MAX_LEGEND else [])
