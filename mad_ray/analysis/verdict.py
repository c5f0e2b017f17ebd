"""Has it gone MAD? One verdict per case, with the numbers behind it and in words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mad_ray.analysis.curves import Curves, first_curves, study_curves
from mad_ray.analysis.limits import limit_interval
from mad_ray.analysis.names import COLLAPSES, DISTANCES, DIVERSITY, QUALITY
from mad_ray.analysis.rule import ALPHA, COLLAPSED, RULE, decide, weigh
from mad_ray.analysis.study import StudyResult
from mad_ray.analysis.trend import p_falling, p_rising, theil_sen
from mad_ray.analysis.wording import confidence, sentence

NAN = float("nan")


@dataclass(frozen=True)
class Direction:
    """Where quality or diversity goes: kind is "falls", "rises" or "holds", by a one-sided trend test each.

    What has collapsed has fallen, though it rests since, and ties count against a trend.

    first, last: medians over seeds at the first and the last generation.
    """

    metric: str
    kind: str
    p_falls: float
    p_rises: float
    first: float
    last: float


@dataclass(frozen=True)
class Verdict:
    """Whether, and when, a case has gone MAD.

    kind: "MAD", "settled", "stable" or "undecided". generation: when it went MAD, else None.
    first, last: median distance over seeds at the first and the last generation; limit: where a settled loop rests.
    p_value: of the trend over all generations. slope: Theil-Sen, per generation.
    confidence: what so many generations and seeds could show, in words. rule: the rule applied, in words.
    """

    kind: str
    generation: int | None = None
    metric: str = ""
    p_value: float = NAN
    slope: float = NAN
    first: float = NAN
    last: float = NAN
    floor: float = NAN
    limit: float = NAN
    n_seeds: int = 0
    n_generations: int = 0
    quality: Direction | None = None
    diversity: Direction | None = None
    rule: str = RULE
    confidence: str = ""
    sentence: str = ""


def case_verdict(result: StudyResult, case: str) -> Verdict:
    """The verdict on one case, from whatever was measured so far."""
    distance = first_curves(result, case, DISTANCES)
    signs = [curves for metric in COLLAPSES if (curves := study_curves(result, case, metric)) is not None]
    verdict = Verdict("undecided") if distance is None else judge(distance, signs)
    verdict = replace(
        verdict,
        quality=_direction(first_curves(result, case, QUALITY)),
        diversity=_direction(first_curves(result, case, DIVERSITY)),
    )
    return replace(verdict, sentence=sentence(verdict))


def judge(distance: Curves, signs: Sequence[Curves] = ()) -> Verdict:
    """The verdict on a distance alone; `signs` are metrics that near zero where a model has collapsed."""
    distance = distance.shared()
    evidence = weigh(distance, signs)
    kind, generation = decide(evidence, distance.generations)
    median = distance.median
    verdict = Verdict(
        kind=kind,
        generation=generation,
        metric=distance.metric,
        p_value=float(evidence.p[-1]),
        slope=theil_sen(distance.generations, distance.values),
        first=float(median[0]),
        last=float(median[-1]),
        floor=distance.floor,
        limit=limit_interval(distance).centre if kind == "settled" else NAN,
        n_seeds=distance.n_seeds,
        n_generations=distance.n_generations,
        confidence=confidence(evidence, distance, kind),
    )
    return replace(verdict, sentence=sentence(verdict))


def _direction(curves: Curves | None) -> Direction | None:
    if curves is None:
        return None
    curves = curves.shared()
    falls, rises = p_falling(curves.values), p_rising(curves.values)
    median = curves.median
    has_fallen = falls <= ALPHA or median[-1] < COLLAPSED * median[0]
    kind = "falls" if has_fallen else "rises" if rises <= ALPHA else "holds"
    return Direction(curves.metric, kind, falls, rises, float(median[0]), float(median[-1]))
