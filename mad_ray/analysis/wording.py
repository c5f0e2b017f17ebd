"""Numbers and verdicts in words."""

from __future__ import annotations

from math import factorial, isfinite, isnan
from typing import TYPE_CHECKING

from mad_ray.analysis.curves import Curves
from mad_ray.analysis.names import label

if TYPE_CHECKING:
    from mad_ray.analysis.rule import Evidence
    from mad_ray.analysis.verdict import Verdict


def number(value: float) -> str:
    """Three significant digits, no exponent between 0.001 and a million; "-" where there is no value."""
    if isnan(value):
        return "-"
    if not isfinite(value):
        return "inf" if value > 0 else "-inf"
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}"
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 3 if size >= 0.01 else 4
    return f"{value:,.{decimals}f}"


def p_words(p: float) -> str:
    """ "p = 0.0014"; below 0.0001 only that."""
    return "p unknown" if isnan(p) else "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def count(n: int, noun: str) -> str:
    """ "1 seed", "3 seeds"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def sentence(verdict: Verdict) -> str:
    """The verdict in a sentence or two."""
    if not verdict.metric:
        return "Undecided: no distance to the real data has been measured."
    v, name = verdict, label(verdict.metric)
    change = f"from {number(v.first)} to {number(v.last)}"
    words = {
        "MAD": f"Gone MAD at generation {v.generation}: {name} rose {change}{_times(v)} ({p_words(v.p_value)}).",
        "settled": f"Degraded, then settled: {name} went {change} and rests near {number(v.limit)}.",
        "stable": f"Stable: {name} went {change}, {_within(v)}.",
        "undecided": f"Undecided: {name} {_so_far(v)}; too little to show a trend.",
    }[v.kind]
    return f"{words} {_directions(v)}".strip()


def _times(v: Verdict) -> str:
    return f", {number(v.last / v.first)} times as far" if v.first > 0 and v.last / v.first >= 1.5 else ""


def _within(v: Verdict) -> str:
    if v.last < v.first:
        return "no rise"
    return "a rise of less than half" if isnan(v.floor) else f"less than the floor of {number(v.floor)}"


def _so_far(v: Verdict) -> str:
    if v.n_generations == 1:
        return f"is {number(v.first)} after the only generation measured"
    return f"went from {number(v.first)} to {number(v.last)} in {v.n_generations} generations"


def _directions(v: Verdict) -> str:
    """ "Quality falls, diversity falls." where a trend was found."""
    named = (("quality", v.quality), ("diversity", v.diversity))
    found = [f"{noun} {direction.kind}" for noun, direction in named if direction is not None]
    return f"{', '.join(found).capitalize()}." if found else ""


def confidence(evidence: Evidence, distance: Curves, kind: str) -> str:
    """What so many generations and seeds could show, and what they could not."""
    size = f"{count(distance.n_generations, 'generation')} of {count(distance.n_seeds, 'seed')}"
    if kind == "undecided":
        return f"{size}: {_remedy(evidence, distance)}"
    parts = [f"{size}: trend {p_words(float(evidence.p[-1]))}"]
    if evidence.is_levelled is None:
        parts.append("too few to tell whether it levels off in the second half: run longer, or more seeds, to know")
    else:
        parts.append(f"second half alone {p_words(evidence.late_p)}{_share_words(evidence, kind)}")
    if distance.n_seeds == 1:
        parts.append("one seed, so no interval, and another seed may differ")
    if isnan(distance.floor):
        parts.append("no floor was measured")
    return "; ".join(parts) + "."


def _share_words(evidence: Evidence, kind: str) -> str:
    if kind == "stable" or isnan(evidence.late_share):
        return ""
    return f", {max(0.0, evidence.late_share):.0%} of the rise"


def _remedy(evidence: Evidence, distance: Curves) -> str:
    """How many generations would do."""
    enough = next(n for n in range(2, 5) if factorial(n) ** distance.n_seeds >= 20)
    return (
        f"even a rise at every step would only give {p_words(evidence.smallest_p)}. "
        f"With {count(distance.n_seeds, 'seed')}, run at least {enough} generations."
    )
