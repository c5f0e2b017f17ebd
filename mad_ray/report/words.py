"""What a map or a boundary found, in plain words: for the page's first line, its tables and the terminal."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mad_ray.analysis.phase import PhaseResult
from mad_ray.analysis.wording import count, number
from mad_ray.report.axes import tick_words
from mad_ray.report.cells import (
    Curve,
    at_panel,
    boundary_curve,
    grows_with_y,
    is_admission,
    is_over_pairs,
    panel_values,
    state_of,
    value_curve,
    value_name,
)

MAX_PANELS_TOLD = 3


@dataclass(frozen=True)
class Tally:
    """Cells by what was found. n_above: value >= level; n_surely: their whole interval too. n_void: no value.

    n_unknown: of these, those that may lie on either side.
    """

    n: int
    n_above: int
    n_surely: int
    n_below: int
    n_void: int
    n_unknown: int
    states: dict[str, int]


def tally(result: PhaseResult, panel: float | None = None) -> Tally:
    """Of one panel, or of all."""
    cells = result.cells if panel is None else at_panel(result.cells, panel)
    value, low, high = (cells[column].to_numpy(dtype=float) for column in ("value", "low", "high"))
    level = np.nan if result.level is None else result.level
    return Tally(
        n=len(cells),
        n_above=int((value >= level).sum()),
        n_surely=int((low >= level).sum()),
        n_below=int((value < level).sum()),
        n_void=int(np.isnan(value).sum()),
        n_unknown=int((np.isnan(value) & ~((low >= level) | (high < level))).sum()),
        states=dict(Counter(state_of(state) for state in cells["state"])),
    )


def level_words(result: PhaseResult, at_least: str = "≥") -> str:
    """ "n_e/n_r ≥ 1"."""
    return f"{value_name(result)} {at_least} {tick_words(result.level or 0.0)}"


def panel_words(result: PhaseResult, panel: float) -> str:
    """ "lambda = 0.85"; "" without a panel axis."""
    return "" if result.panel is None else f"{result.panel.label} = {tick_words(panel)}"


def interval_words(centre: float, low: float, high: float) -> str:
    """ "830 [790, 870]"."""
    return number(centre) + (f" [{number(low)}, {number(high)}]" if np.isfinite([low, high]).all() else "")


def boundary_words(result: PhaseResult, curve: Curve, i: int, up: bool | None = None) -> str:
    """One row of the boundary: "admissible up to n_s = 830 [790, 870]". up: does the value grow with y?"""
    assert result.y is not None
    up = grows_with_y(result) if up is None else up
    y, good = result.y.label, "admissible" if is_admission(result) else level_words(result)
    if curve.kind[i] == "crossing":
        at = interval_words(curve.y[i], curve.low[i], curve.high[i])
        return f"{good} {'from' if up else 'up to'} {y} = {at}{' on' if up else ''}"
    if curve.kind[i] == "above":
        end, ends = (result.y.values[0], "from") if up else (result.y.values[-1], "up to")
        return f"{good} {ends} {y} = {tick_words(end)}{' on' if up else ''} (no crossing)"
    return "none admissible" if is_admission(result) else f"nowhere {good}"


def progress_words(result: PhaseResult) -> str:
    """ "1,100 of 1,200 cells done."; "" when finished."""
    if result.n_done >= result.n_cells:
        return ""
    return f"{result.n_done:,} of {count(result.n_cells, 'cell')} done; the same command goes on from here."


def cost_words(result: PhaseResult) -> str:
    """What a boundary cost against the grid of its resolution; "" where there is nothing to compare."""
    if result.kind != "boundary" or not result.grid_cells:
        return ""
    times = result.grid_cells / max(1, result.n_done)
    saved = f", {times:.0f} times as many" if times >= 2 else ""
    return (
        f"Found with {count(result.n_done, 'cell')} where a grid of the same resolution has "
        f"{result.grid_cells:,}{saved}."
    )


def answer(result: PhaseResult) -> str:
    """The study in a sentence."""
    if not result.n_done or result.cells.empty:
        return "Nothing has been computed yet."
    if result.kind == "boundary":
        return _boundary_answer(result)
    return _map_answer(result) if result.level is not None and is_over_pairs(result) else _lines_answer(result)


def _map_answer(result: PhaseResult) -> str:
    found = tally(result)
    n = max(result.n_cells, found.n)
    n_void = n - found.n_above - found.n_below
    sure = f"; {found.n_surely:,} by the whole interval" if found.n_surely < found.n_above else ""
    if is_admission(result):
        words = f"{_are(found.n_above)} admissible ({level_words(result)}{sure}), {_are(found.n_below)} not"
    else:
        words = f"{_have(found.n_above)} a {level_words(result)}, {_have(found.n_below)} a lower one"
    return f"Of {count(n, 'cell')}, {words}{f', {_have(n_void)} no value' if n_void else ''}."


def _are(n: int) -> str:
    return f"{n:,} {'is' if n == 1 else 'are'}"


def _have(n: int) -> str:
    return f"{n:,} {'has' if n == 1 else 'have'}"


def _boundary_answer(result: PhaseResult) -> str:
    """Each panel (the first, the middle and the last of many) at its largest x that is known."""
    up, parts, places = grows_with_y(result), [], set()
    for panel in told_panels(result):
        curve = boundary_curve(result, panel)
        if len(curve.x):
            places.add(float(curve.x[-1]))
            at = f"{result.x.label} = {tick_words(curve.x[-1])}"
            parts.append((panel_words(result, panel), at, boundary_words(result, curve, len(curve.x) - 1, up)))
    if not parts:
        return "No place of the boundary is known yet."
    if len(places) == 1:
        told = "; ".join(words + (f" with {panel}" if panel else "") for panel, _, words in parts)
        return f"At {parts[0][1]}: {told}."
    told = "; ".join(", ".join(word for word in (panel, at) if word) + f": {words}" for panel, at, words in parts)
    return f"{told[:1].upper()}{told[1:]}."


def _lines_answer(result: PhaseResult) -> str:
    """From the smallest to the largest x, per panel."""
    parts = []
    for panel in told_panels(result):
        curve = value_curve(result, panel)
        known = np.flatnonzero(np.isfinite(curve.y))
        if len(known) and not is_over_pairs(result):
            ends = f"from {number(curve.y[known[0]])} to {number(curve.y[known[-1]])}"
            parts.append(f"{ends} at {panel_words(result, panel)}" if result.panel is not None else ends)
    if parts:
        first, last = (f"{result.x.label} = {tick_words(v)}" for v in (result.x.values[0], result.x.values[-1]))
        return f"Between {first} and {last}, {_the(result)} goes {'; '.join(parts)}."
    values = result.cells["value"].to_numpy(dtype=float)
    if not np.isfinite(values).any():
        return "No cell has a value yet."
    low, high = number(float(np.nanmin(values))), number(float(np.nanmax(values)))
    return f"Over {count(result.n_cells, 'cell')}, {_the(result)} lies between {low} and {high}."


def _the(result: PhaseResult) -> str:
    return value_name(result) if result.value.startswith("n_e") else f"the {value_name(result)}"


def told_panels(result: PhaseResult) -> Sequence[float]:
    """All, or the first, the middle and the last."""
    panels = panel_values(result)
    return panels if len(panels) <= MAX_PANELS_TOLD else [panels[0], panels[len(panels) // 2], panels[-1]]
