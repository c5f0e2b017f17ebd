"""What was found as a plain-text table of at most 120 columns: verdicts of curves, lines of a map or a boundary."""

import textwrap

import numpy as np

from mad_ray.analysis.names import label
from mad_ray.analysis.phase import PhaseResult
from mad_ray.analysis.study import CaseInfo, StudyResult
from mad_ray.analysis.trend import spread
from mad_ray.analysis.verdict import Direction, Verdict, case_verdict
from mad_ray.analysis.wording import count, number
from mad_ray.report.axes import tick_words
from mad_ray.report.cells import at_panel, boundary_curve, grows_with_y, is_over_pairs, panel_values, value_curve
from mad_ray.report.words import (
    answer,
    boundary_words,
    cost_words,
    interval_words,
    level_words,
    progress_words,
    tally,
)

WIDTH = 120
MIN_CASE_WIDTH = 10
GAP = "  "
MAX_PLACES = 30
HEAD = ("case", "generations", "distance (floor)", "precision", "recall", "verdict")


def verdict_table(result: StudyResult) -> str:
    """One line per case, from the first generation to the last, then the failures. No trailing newline."""
    rows = [HEAD, *(_cells(result, case) for case in result.cases)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    left = WIDTH - sum(widths[1:]) - len(GAP) * (len(HEAD) - 1)
    widths[0] = min(widths[0], max(MIN_CASE_WIDTH, left))
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, GAP.join("-" * width for width in widths))
    lines += [f"{case.case} failed: {' '.join(case.failure.split())}" for case in result.cases if case.failure]
    return "\n".join(shorten(line, WIDTH) for line in lines)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [shorten(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)]
    return GAP.join(cells).rstrip()


def _cells(result: StudyResult, case: CaseInfo) -> tuple[str, ...]:
    verdict = case_verdict(result, case.case)
    return (
        " ".join(case.case.split()),
        progress(case),
        _distance(verdict),
        _ends(verdict.quality, "precision"),
        _ends(verdict.diversity, "recall"),
        short_verdict(verdict) + (" (failed)" if case.failure else ""),
    )


def progress(case: CaseInfo) -> str:
    """ "6 x 3 seeds" when finished, "11 of 18" until then."""
    total = case.n_generations * case.n_seeds
    if case.n_done < total:
        return f"{case.n_done:,} of {total:,}"
    return f"{case.n_generations:,}" if case.n_seeds == 1 else f"{case.n_generations:,} x {count(case.n_seeds, 'seed')}"


def short_verdict(verdict: Verdict) -> str:
    """The kind, and when: "MAD at t=3"."""
    return verdict.kind if verdict.generation is None else f"{verdict.kind} at t={verdict.generation}"


def _distance(verdict: Verdict) -> str:
    if not verdict.metric:
        return "-"
    return f"{label(verdict.metric)} {number(verdict.first)} -> {number(verdict.last)} ({number(verdict.floor)})"


def _ends(direction: Direction | None, metric: str) -> str:
    """ "0.93 -> 0.23"; density and coverage, the stand-ins for precision and recall, are on the page only."""
    if direction is None or direction.metric != metric:
        return "-"
    return f"{number(direction.first)} -> {number(direction.last)}"


def phase_table(result: PhaseResult) -> str:
    """The answer, a line per panel of a map or per place of a boundary, how to read it. No trailing newline."""
    found = [line for line in (answer(result), progress_words(result), cost_words(result)) if line]
    lines = [wrapped for line in found for wrapped in textwrap.wrap(line, WIDTH)]
    rows = _boundary_rows(result) if result.kind == "boundary" else _panel_rows(result)
    if len(rows) > 1:
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        widths[-1] = max(MIN_CASE_WIDTH, WIDTH - sum(widths[:-1]) - len(GAP) * (len(widths) - 1))
        lines += ["", *(_line(row, widths) for row in rows)]
    lines += ["", *textwrap.wrap(_hint(result), WIDTH)]
    return "\n".join(shorten(line.replace("≥", ">="), WIDTH) for line in lines)


def _panel_rows(result: PhaseResult) -> list[tuple[str, ...]]:
    """A head, and a line per panel."""
    head = "" if result.panel is None else result.panel.label
    is_map = result.level is not None and is_over_pairs(result)
    rows: list[tuple[str, ...]]
    rows = [(head, level_words(result, ">="), "settled", "boundary")] if is_map else [(head, "settled", result.value)]
    for panel in panel_values(result):
        found = tally(result, panel)
        name = "" if result.panel is None else tick_words(panel)
        settled = f"{found.states.get('settled', 0):,} of {found.n:,}"
        if is_map:
            known = found.n_above + found.n_below
            share = f"{found.n_above:,} of {known:,} ({found.n_above / known:.0%})" if known else "-"
            rows.append((name, share, settled, _boundary_ends(result, panel)))
        else:
            rows.append((name, settled, _value_ends(result, panel)))
    return rows


def _boundary_ends(result: PhaseResult, panel: float) -> str:
    """Where the boundary runs, from the smallest x to the largest."""
    curve = boundary_curve(result, panel)
    if result.y is None or not len(curve.x):
        return "-"
    found = tally(result, panel)
    where = "wherever it is known" if found.n_unknown else "everywhere"
    if set(curve.kind) == {"above"} and not found.n_below:
        return f"none: {level_words(result, '>=')} {where}"
    if set(curve.kind) == {"below"} and not found.n_above:
        return f"none: {level_words(result, '<')} {where}"
    at = np.flatnonzero(curve.kind == "crossing")
    if not len(at):
        return "none within the map"
    ends = [f"{number(curve.y[i])} at {result.x.label} = {tick_words(curve.x[i])}" for i in dict.fromkeys(at[[0, -1]])]
    return f"{result.y.label} = {' to '.join(ends)}"


def _value_ends(result: PhaseResult, panel: float) -> str:
    """The value from the smallest x that has one to the largest."""
    if is_over_pairs(result):
        values = at_panel(result.cells, panel)["value"].to_numpy(dtype=float)
        known = values[np.isfinite(values)]
        return f"{number(known.min())} to {number(known.max())}" if len(known) else "-"
    curve = value_curve(result, panel)
    known = np.flatnonzero(np.isfinite(curve.y))
    ends = [
        f"{interval_words(curve.y[i], curve.low[i], curve.high[i])} at {result.x.label} = {tick_words(curve.x[i])}"
        for i in dict.fromkeys(known[[0, -1]] if len(known) else known)
    ]
    return ", ".join(ends) or "-"


def _boundary_rows(result: PhaseResult) -> list[tuple[str, ...]]:
    """A head, and a line per panel and x; of many, evenly spaced ones."""
    up = grows_with_y(result)
    rows: list[tuple[str, ...]] = []
    for panel in panel_values(result):
        curve = boundary_curve(result, panel)
        name = "" if result.panel is None else tick_words(panel)
        rows += [(name, tick_words(x), boundary_words(result, curve, i, up)) for i, x in enumerate(curve.x)]
    head = ("" if result.panel is None else result.panel.label, result.x.label, level_words(result, ">="))
    kept = [rows[i] for i in spread(len(rows), MAX_PLACES)] if rows else []
    left = [("", "", f"{len(rows) - len(kept):,} more in the report")] if len(kept) < len(rows) else []
    return [head, *kept, *left]


def _hint(result: PhaseResult) -> str:
    """How to read the numbers."""
    meaning = (
        "n_e: how many real samples alone would do as well as the loop's limit; n_e/n_r >= 1: synthetic data helps. "
        if result.value.startswith("n_e")
        else ""
    )
    return f"{meaning}[...]: 95 % intervals."


def shorten(text: str, width: int) -> str:
    """At most `width` characters, the loss marked."""
    return text if len(text) <= width else f"{text[: width - 3]}..."
