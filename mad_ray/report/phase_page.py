"""A map or a boundary as one self-contained HTML page, with its figures and tables beside it as files."""

import pathlib
from html import escape

import numpy as np

from mad_ray.analysis.names import label
from mad_ray.analysis.phase import BASELINE_COLUMNS, BOUNDARY_COLUMNS, CELL_COLUMNS, PhaseResult
from mad_ray.analysis.wording import count
from mad_ray.report.boundary import baseline_figure, boundary_figure, lines_figure
from mad_ray.report.cells import is_over_pairs, state_of, value_name
from mad_ray.report.live import scripts
from mad_ray.report.live_boundary import live_boundary, live_lines
from mad_ray.report.live_maps import live_map
from mad_ray.report.maps import map_figure
from mad_ray.report.markup import document, fold, paragraphs
from mad_ray.report.phase_tables import baseline_table, boundary_table, open_section, values_tables
from mad_ray.report.plates import Plates
from mad_ray.report.sections import origin_section
from mad_ray.report.symbols import to_prose
from mad_ray.report.words import answer, cost_words, level_words, progress_words

EFFECTIVE = (
    "n_e, the effective sample size, is how many real samples alone would give a model as good as the loop's limit; "
    "n_e/n_r at or above 1 means that the synthetic samples helped, below 1 that they hurt."
)
SIGNS = (
    ("drifting", "dots", "converging still"),
    ("noisy", "dashes", "interval wider than asked"),
    ("failed", "crosses", "failed"),
    ("no model", "grey", "no model"),
    ("not finished", "hatched", "not finished"),
)
LINES = "Line: the limit's mean over seeds and late generations. Shaded: its 95 % interval."


def write_phase_report(result: PhaseResult, folder: pathlib.Path) -> pathlib.Path:
    """Write index.html, cells.csv, boundaries.csv, baseline.csv and the figures as PNG and PDF; return the page's path.

    The page needs no other file and no network, and works with whatever part of the study exists.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = ((result.cells, CELL_COLUMNS), (result.boundaries, BOUNDARY_COLUMNS), (result.baseline, BASELINE_COLUMNS))
    for (frame, columns), name in zip(tables, ("cells", "boundaries", "baseline"), strict=True):
        frame.to_csv(folder / f"{name}.csv", index=False, columns=list(columns))
    page = folder / "index.html"
    page.write_text(render(result, Plates(folder)), encoding="utf-8")
    return page


def render(result: PhaseResult, figures: Plates) -> str:
    """The whole page."""
    body = "".join(
        [
            f"<h1>{escape(result.name)}</h1>\n",
            f'<p class="soft">{escape(result.title)}</p>\n' if result.title else "",
            f'<p class="lead">{to_prose(answer(result))}</p>\n',
            progress_section(result),
            figures_section(result, figures),
            boundary_table(result),
            open_section(result),
            rule_section(result),
            baseline_section(result, figures),
            values_tables(result),
            origin_section(result),
        ]
    )
    return document(result.name, body, scripts(figures.items))


def progress_section(result: PhaseResult) -> str:
    """How far the study is, and what a search has saved."""
    kinds = ((progress_words(result), "part"), (cost_words(result), "soft"))
    return "".join(f'<p><span class="{kind}">{escape(words)}</span></p>\n' for words, kind in kinds if words)


def figures_section(result: PhaseResult, figures: Plates) -> str:
    """Of a boundary its curves, then the cells that were looked at; of a map the map, then its boundary; or lines."""
    parts: list[str] = []
    if not np.isfinite(result.cells["value"].to_numpy(dtype=float)).any():
        return ""
    if not is_over_pairs(result):
        parts.append(figures.embed(lines_figure(result), "lines", LINES, live_lines(result), ["cells.csv"]))
    else:
        name = "cells looked at" if result.kind == "boundary" else "map"
        parts.append(figures.embed(map_figure(result), name, _map_caption(result), live_map(result), ["cells.csv"]))
        if (result.boundaries["kind"] == "crossing").any():
            caption = _boundary_caption(result)
            drawn = figures.embed(
                boundary_figure(result), "boundary", caption, live_boundary(result), ["boundaries.csv"]
            )
            parts.insert(0 if result.kind == "boundary" else 1, drawn)
    meaning = f'<p class="soft">{to_prose(EFFECTIVE)}</p>\n' if result.value.startswith("n_e") else ""
    return f"<h2>What was found</h2>\n{''.join(parts)}{meaning}"


def _map_caption(result: PhaseResult) -> str:
    what = "Each point: a cell that the search looked at." if result.kind == "boundary" else ""
    level = ""
    if result.level is not None:
        level = f"Colours part at {level_words(result, '=')}. Black line: where it is crossed; shaded: 95 % interval."
    states = set(result.cells["state"].map(state_of))
    signs = "; ".join(f"{sign}: {words}" for state, sign, words in SIGNS if state in states)
    signs = f"{signs[:1].upper()}{signs[1:]}{'.' if signs else ''}"
    return " ".join(text for text in (what, f"Colour: {value_name(result)}.", level, signs) if text)


def _boundary_caption(result: PhaseResult) -> str:
    assert result.y is not None
    return (
        f"Line: the {result.y.label} at which {value_name(result)} crosses {result.level:g}; shaded: 95 % interval. "
        f"Triangles: no crossing within the {result.y.label} tried."
    )


def rule_section(result: PhaseResult) -> str:
    """When a cell was stopped, and what then counts as its value."""
    if not result.rule:
        return ""
    return f'<h2>When a cell has settled</h2>\n<div class="rule">{paragraphs(result.rule)}</div>\n'


def baseline_section(result: PhaseResult, figures: Plates) -> str:
    """What n_e was read from."""
    if result.baseline.empty:
        return ""
    caption = "Line: mean over seeds; shaded: 95 % interval."
    drawn = figures.embed(baseline_figure(result), "baseline", caption, data=["baseline.csv"])
    title = f"Baseline: {label(result.metric)} of a model fitted on n real samples alone"
    sizes = count(len(result.baseline), "size")
    return f"<h2>Baseline</h2>\n{fold(f'{title}, {sizes}', drawn + baseline_table(result))}"
