"""The table of a chaos run, and its place in the documentation."""

import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.chaos.outcome import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "RELIABILITY.md"
BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"
HEAD = ("what was killed", "faults", "recovered in, median", "max", "redone at most", "differences", "lost")


def rows_of(outcomes: Iterable[Outcome]) -> list[tuple[str, ...]]:
    """A row for each kind, and their sum."""
    kinds: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        kinds.setdefault(outcome.kind, []).append(outcome)
    rows = [_row(kind, of) for kind, of in kinds.items()]
    return [*rows, _row("all", [outcome for of in kinds.values() for outcome in of])] if rows else []


def _row(kind: str, of: Sequence[Outcome]) -> tuple[str, ...]:
    seconds = [outcome.recovered_s for outcome in of]
    steps = max(outcome.steps for outcome in of)
    spans = max(outcome.generations for outcome in of)
    redone = f"{spans} span{'s' * (spans != 1)}" + (f"; {steps} steps of a fit" if steps else "")
    return (
        kind,
        str(sum(outcome.kills for outcome in of)),
        f"{statistics.median(seconds):.1f} s",
        f"{max(seconds):.1f} s",
        redone,
        str(sum(len(outcome.differences) for outcome in of)),
        str(sum(len(outcome.lost) for outcome in of)),
    )


def table_of(outcomes: Sequence[Outcome]) -> str:
    """Markdown that reads well on a screen, too."""
    rows = [HEAD, *rows_of(outcomes)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def caption(outcomes: Sequence[Outcome], command: str) -> str:
    """When, with which seeds, by which command."""
    days = [time.strftime("%Y-%m-%d %H:%M", time.gmtime(when_s)) for when_s in _span(outcomes)]
    seeds = ", ".join(map(str, sorted({outcome.seed for outcome in outcomes if outcome.seed is not None})))
    return f"`{command}`, {days[0]} to {days[1]} UTC, seed {seeds or 'none: every point enumerated'}."


def write_page(outcomes: Sequence[Outcome], command: str, page: Path = PAGE) -> None:
    """Put the table between its markers; the rest of the page is left as it is. ValueError without markers."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: has no place for the table ({BEGIN} ... {END})")
    page.write_text(f"{before}{BEGIN}\n\n{caption(outcomes, command)}\n\n{table_of(outcomes)}\n\n{END}{after}")


def _span(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    return min(outcome.when_s for outcome in outcomes), max(outcome.when_s for outcome in outcomes)
