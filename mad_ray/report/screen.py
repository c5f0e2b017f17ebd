"""The verdicts as one plain-text table of at most 120 columns."""

from mad_ray.analysis.names import label
from mad_ray.analysis.study import CaseInfo, StudyResult
from mad_ray.analysis.verdict import Direction, Verdict, case_verdict
from mad_ray.analysis.wording import count, number

WIDTH = 120
MIN_CASE_WIDTH = 10
GAP = "  "
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


def shorten(text: str, width: int) -> str:
    """At most `width` characters, the loss marked."""
    return text if len(text) <= width else f"{text[: width - 3]}..."
