"""The tables of a phase study's page: boundaries, what has not settled, all values."""

from collections import Counter
from html import escape

import numpy as np

from mad_ray.analysis.names import label
from mad_ray.analysis.phase import BASELINE_COLUMNS, PhaseResult
from mad_ray.analysis.wording import number
from mad_ray.report.axes import tick_words
from mad_ray.report.cells import (
    STATES,
    at_panel,
    boundary_curve,
    cell_grid,
    grows_with_y,
    is_over_pairs,
    panel_values,
    state_of,
    value_name,
)
from mad_ray.report.markup import fold, table
from mad_ray.report.symbols import to_html, to_prose
from mad_ray.report.words import boundary_words, interval_words, level_words, panel_words

MAX_LISTED = 200
MAX_IN_SIGHT = 20
"""Rows of a table; a longer one is folded."""


def boundary_table(result: PhaseResult) -> str:
    """Per panel and x, where the value crosses its level."""
    if result.y is None or result.boundaries.empty:
        return ""
    rows, up = [], grows_with_y(result)
    for panel in panel_values(result):
        curve = boundary_curve(result, panel)
        for i, x in enumerate(curve.x):
            has = curve.kind[i] == "crossing"
            at = interval_words(curve.y[i], curve.low[i], curve.high[i]) if has else "–"
            share = f"{curve.y[i] / x:.3g}" if has and x > 0 else "–"
            words = boundary_words(result, curve, i, up)
            rows.append([to_prose(panel_words(result, panel)), to_prose(words), tick_words(x), at, share])
    head = ["", level_words(result), result.x.label, f"{result.y.label} at the boundary"]
    head.append(f"{result.y.label}/{result.x.label}")
    if result.panel is None:
        rows = [row[1:] for row in rows]
    made = table(head if result.panel is not None else head[1:], rows, n_left=2 if result.panel is not None else 1)
    shown = made if len(rows) <= MAX_IN_SIGHT else fold(f"{len(rows):,} places, with 95 % intervals", made)
    return f"<h2>The boundary in numbers</h2>\n{shown}"


def open_section(result: PhaseResult) -> str:
    """Cells by state, and those that have not settled one by one."""
    states = result.cells["state"].map(state_of)
    counts = Counter(states)
    n_missing = max(0, result.n_cells - len(result.cells))
    counts["not finished"] += n_missing
    order = [*STATES, *sorted(set(counts) - set(STATES))]
    lines = [f"<li>{counts[s]:,} {escape(STATES.get(s, s))}</li>\n" for s in order if counts[s]]
    rows = result.cells[(states != "settled").to_numpy()]
    listed = fold(f"The {len(rows):,} cells that have not settled", _listed(result, rows)) if len(rows) else ""
    return f"<h2>What has settled, and what has not</h2>\n<ul>\n{''.join(lines)}</ul>\n{listed}" if lines else ""


def _listed(result: PhaseResult, rows) -> str:
    """The first MAX_LISTED of them; cells.csv has all."""
    cells = [
        [
            escape(str(row.case)),
            escape(str(row.state)),
            interval_words(row.value, row.low, row.high),
            interval_words(row.limit, row.limit_low, row.limit_high),
            "–" if np.isnan(row.generations) else f"{row.generations:,.0f}",
        ]
        for row in rows.head(MAX_LISTED).itertuples(index=False)
    ]
    more = f"<p>{len(rows) - MAX_LISTED:,} more are in cells.csv.</p>" if len(rows) > MAX_LISTED else ""
    head = ["cell", "state", value_name(result), f"limit of {label(result.metric)}", "generations"]
    return table(head, cells, n_left=2) + more


def baseline_table(result: PhaseResult) -> str:
    """n, and the mean of the metric with its interval."""
    rows = [
        [tick_words(n), interval_words(mean, low, high), f"{n_seeds:,.0f}"]
        for n, mean, low, high, n_seeds in result.baseline[list(BASELINE_COLUMNS)].to_numpy(dtype=float).tolist()
    ]
    return table(["n", f"mean {label(result.metric)}", "seeds"], rows, n_left=0)


def values_tables(result: PhaseResult) -> str:
    """Every value, a folded table per panel: y downwards from its largest, or x downwards where there is no y."""
    if result.cells.empty or result.kind == "boundary":
        return ""
    note = f'<p class="soft">{escape(value_name(result))}; intervals, limits and states are in cells.csv.</p>\n'
    if not is_over_pairs(result):
        return f"<h2>All values</h2>\n{note}{fold('Values', _lines_table(result))}"
    folds = [fold(panel_words(result, panel) or "Values", _matrix(result, panel)) for panel in panel_values(result)]
    return f"<h2>All values</h2>\n{note}{''.join(folds)}"


def _matrix(result: PhaseResult, panel: float) -> str:
    assert result.y is not None
    grid = cell_grid(result, panel)
    rows = [
        [tick_words(y), *(number(value) for value in line)]
        for y, line in zip(reversed(result.y.values), grid[::-1], strict=True)
    ]
    corner = f"{to_html(result.y.label)} \\ {to_html(result.x.label)}"
    made = table(["", *(tick_words(x) for x in result.x.values)], rows, n_left=0)
    return made.replace('<th class="number"></th>', f'<th class="number">{corner}</th>', 1)


def _lines_table(result: PhaseResult) -> str:
    panels = panel_values(result)
    rows = []
    for x in result.x.values:
        cells = []
        for panel in panels:
            found = at_panel(result.cells, panel)
            found = found[np.isclose(found["x"], x, rtol=1e-9)]
            row = found[["value", "low", "high"]].to_numpy(dtype=float)
            cells.append(interval_words(*row[0]) if len(row) else "-")
        rows.append([tick_words(x), *cells])
    names = [panel_words(result, panel) or value_name(result) for panel in panels]
    return table([result.x.label, *names], rows, n_left=0)
