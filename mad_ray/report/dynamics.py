"""Sections of the page: what a loop does downstream, to classifiers, and what becomes of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from mad_ray.analysis.curves import metrics_of
from mad_ray.analysis.dynamics import ClassTable, class_table
from mad_ray.analysis.names import CLASS_DYNAMICS, DOWNSTREAM, label
from mad_ray.analysis.study import CaseInfo, Embedding, StudyResult
from mad_ray.analysis.trend import spread
from mad_ray.report.axes import INK, PAPER, dress
from mad_ray.report.figures import PER_ROW, curves_figure
from mad_ray.report.film import embedding_figure, film_bytes
from mad_ray.report.live_curves import live_curves
from mad_ray.report.markup import fold
from mad_ray.report.plates import Plates
from mad_ray.report.sections import Verdicts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

DOWNSTREAM_NOTE = (
    "One and the same classifier, trained on as many rows each time and tested on held-out real data: trained on what "
    "generation t published (Classification Accuracy Score, Ravuri and Vinyals 2019), and on D^t. Dashed: trained on "
    "as many real rows. Calibration error: Guo et al. 2017, 15 bins; 0 is calibrated."
)
MODES_NOTE = (
    "Classes alive: those that hold a tenth, at least, of the share that they have of real samples, as a classifier "
    "trained on real data sees them. Distance to D^t: the median distance of samples to their nearest row of D^t, over "
    "that of held-out real samples: 0 are copies, 1 is fresh. Authenticity: Alaa et al. 2022. Of D^t as many rows are "
    "looked at as samples are measured."
)
EMBEDDING_NOTE = (
    "One t-SNE of real held-out samples (grey) and of samples of all generations: places are the same in every panel. "
    "Distances between far groups mean little."
)
CLASS_NOTE = "Rows: classes. Columns: real data on the left where it is known, then generations. Medians over seeds."
MAX_COLUMNS = 12
MAX_NUMBERED = 40
"""Classes whose cells tell their numbers."""
CELL = (0.44, 0.29)
"""Inches."""
VOID = "#d8dade"


def downstream_section(result: StudyResult, verdicts: Verdicts, figures: Plates) -> str:
    """Accuracy over the generations, calibration and log loss, and the accuracy of each class."""
    curves = _curves(result, DOWNSTREAM, verdicts, "downstream", figures)
    classes = _class_figures(result, ("accuracy_published", "accuracy_training"), "accuracy of classes", figures)
    if not curves + classes:
        return ""
    return f'<h2>Downstream</h2>\n<p class="soft">{escape(DOWNSTREAM_NOTE)}</p>\n{curves}{classes}'


def modes_section(result: StudyResult, verdicts: Verdicts, figures: Plates) -> str:
    """Classes alive, copies, precision and recall of each class, the embedding and its film."""
    curves = _curves(result, CLASS_DYNAMICS, verdicts, "mode dynamics", figures)
    classes = _class_figures(result, ("precision", "recall"), "precision and recall of classes", figures)
    maps = "".join(_embeddings(case, figures) for case in result.cases)
    if not curves + classes + maps:
        return ""
    note = f'<p class="soft">{escape(MODES_NOTE)}</p>\n' if curves else ""
    told = f'<p class="soft">{escape(EMBEDDING_NOTE)}</p>\n' if maps else ""
    return f"<h2>Mode dynamics</h2>\n{note}{curves}{classes}{told}{maps}"


def _curves(result: StudyResult, metrics: Sequence[str], verdicts: Verdicts, name: str, figures: Plates) -> str:
    """A figure per group of cases; what does not fit one row of panels is folded."""
    parts = []
    for group in dict.fromkeys(case.group for case in result.cases):
        cases = [case.case for case in result.cases if case.group == group]
        found = [metric for metric in metrics if metric in metrics_of(result, cases)]
        for i in range(0, len(found), PER_ROW):
            shown, title = found[i : i + PER_ROW], f"{name} {group}" + (" more" if i else "")
            still = curves_figure(result, cases, shown, dict(verdicts))
            plate = figures.embed(
                still, title, live=live_curves(result, cases, shown, dict(verdicts)), data=["table.csv"]
            )
            parts.append(fold("More metrics", plate) if i else f"<h3>{escape(group)}</h3>\n{plate}")
    return "".join(parts)


def _class_figures(result: StudyResult, metrics: Sequence[str], name: str, figures: Plates) -> str:
    """A figure per case; the first in sight, the others folded together."""
    parts = []
    for case in result.cases:
        tables = [found for metric in metrics if (found := class_table(result, case.case, metric)) is not None]
        if tables:
            plate = figures.embed(class_figure(tables), f"{name} {case.case}", case.case, data=["table.csv"])
            parts.append(plate)
    if not parts:
        return ""
    rest = fold(f"{len(parts) - 1} more case{'s' if len(parts) > 2 else ''}", "".join(parts[1:])) if parts[1:] else ""
    return f'<h3>{escape(name[0].upper() + name[1:])}</h3>\n<p class="soft">{escape(CLASS_NOTE)}</p>\n{parts[0]}{rest}'


def class_figure(tables: Sequence[ClassTable]) -> Figure:
    """A heat map per metric, between 0 and 1."""
    from matplotlib.figure import Figure

    widths = [len(_columns(table)[0]) for table in tables]
    n_rows = max(len(table.classes) for table in tables)
    width = sum(CELL[0] * n for n in widths) + 0.7 * len(tables) + 0.9
    height = min(CELL[1] * n_rows, 9.0) + 0.85
    figure = Figure(figsize=(max(width, 4.0), height), layout="constrained", facecolor=PAPER)
    grid = figure.subplots(1, len(tables), squeeze=False, width_ratios=widths).ravel()
    for ax, table in zip(grid, tables, strict=True):
        mesh = _draw_classes(ax, table)
    bar = figure.colorbar(mesh, ax=list(grid), shrink=0.9, pad=0.02)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)
    return figure


def _columns(table: ClassTable) -> tuple[list[str], np.ndarray]:
    """(names, values [columns, classes]): real, then generations, evenly thinned."""
    kept = spread(len(table.generations), MAX_COLUMNS)
    names, values = [f"{table.generations[i]:,}" for i in kept], table.values[kept]
    if not np.isfinite(table.floor).any():
        return names, values
    return ["real", *names], np.concatenate([table.floor[None], values])


def _draw_classes(ax: Axes, table: ClassTable) -> AxesImage:
    from matplotlib import colormaps

    names, values = _columns(table)
    title = {"accuracy_published": "trained on samples", "accuracy_training": "trained on D^t"}.get(table.metric)
    dress(ax, title or label(table.metric), "generation", "class")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_facecolor(VOID)
    mesh = ax.imshow(np.ma.masked_invalid(values.T), cmap=colormaps["viridis"], vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(names)), names)
    if len(table.classes) <= MAX_NUMBERED:
        ax.set_yticks(range(len(table.classes)), [str(c) for c in table.classes])
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "#ffffff" if value < 0.6 else "#111111"
                ax.text(i, j, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)
    if names[0] == "real":
        ax.axvline(0.5, color=PAPER, linewidth=3)
    return mesh


def _embeddings(case: CaseInfo, figures: Plates) -> str:
    """The first in sight, the others folded together."""
    if not case.embeddings:
        return ""
    first, *rest = (_embedding(case.case, found, figures) for found in case.embeddings)
    more = fold(f"{len(rest)} more seed{'s' if len(rest) > 1 else ''}", "".join(rest)) if rest else ""
    return f"<h3>{escape(case.case)}</h3>\n{first}{more}"


def _embedding(case: str, found: Embedding, figures: Plates) -> str:
    plate = figures.embed(embedding_figure(found), f"embedding {case}", f"seed {found.seed}")
    if len(found.places) < 2:
        return plate
    return plate + figures.film(film_bytes(found), f"film {case}", f"seed {found.seed}, generation by generation.")
