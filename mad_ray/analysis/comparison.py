"""Interventions compared: each case against the one like it that intervenes in nothing, seed by seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mad_ray.analysis.curves import study_curves
from mad_ray.analysis.limits import Interval, mean_interval
from mad_ray.analysis.names import DISTANCES, DIVERSITY, QUALITY
from mad_ray.analysis.study import CaseInfo, StudyResult

TASKS = ("accuracy_published",)
"""What the samples are good for downstream."""
LOWER = frozenset(DISTANCES)
Effect = Literal["better", "worse", "no clear difference", "unknown"]


@dataclass(frozen=True)
class Measure:
    """One metric of one case at the last generation: its mean over seeds, and the mean of (it - the baseline's).

    Seeds are paired: those of one number have the same real data. Both with 95 % intervals by Student's t.
    """

    metric: str
    value: Interval
    difference: Interval
    baseline: float

    @property
    def effect(self) -> Effect:
        """What can be said of the difference: better or worse where its interval leaves out 0."""
        if not self.difference.is_known:
            return "unknown"
        if self.difference.low <= 0 <= self.difference.high:
            return "no clear difference"
        return "better" if (self.difference.centre < 0) == (self.metric in LOWER) else "worse"


@dataclass(frozen=True)
class Entry:
    """One case of a comparison. cost: seconds a generation over those of the baseline; NaN where nobody knows."""

    case: str
    interventions: tuple[str, ...]
    measures: tuple[Measure, ...]
    n_real: int
    seconds: float
    cost: float


@dataclass(frozen=True)
class Comparison:
    """Cases of one data set and family at their last common generation; the first entry is the baseline."""

    group: str
    generation: int
    metrics: tuple[str, ...]
    entries: tuple[Entry, ...] = field(default_factory=tuple)


def comparisons(result: StudyResult) -> list[Comparison]:
    """One per baseline that somebody is compared with. [] where no case intervenes, or every case does."""
    groups: dict[str, list[CaseInfo]] = {}
    for case in result.cases:
        groups.setdefault(case.group, []).append(case)
    return [found for group, cases in groups.items() for found in _of_group(result, group, cases)]


def _of_group(result: StudyResult, group: str, cases: list[CaseInfo]) -> list[Comparison]:
    """A case is compared with the first of its loop that intervenes in nothing; else with the first of all."""
    plain = [case for case in cases if not case.interventions]
    if not plain or len(plain) == len(cases):
        return []
    of: dict[str, list[CaseInfo]] = {}
    for case in cases:
        if case.interventions:
            baseline = next((other for other in plain if other.loop == case.loop), plain[0])
            of.setdefault(baseline.case, [baseline]).append(case)
    used = set(of)
    # Whoever is nobody's baseline is one more case beside the first.
    of.setdefault(plain[0].case, [plain[0]]).extend(case for case in plain[1:] if case.case not in used)
    found = (_comparison(result, group, compared) for compared in of.values() if len(compared) > 1)
    return [one for one in found if one is not None]


def _comparison(result: StudyResult, group: str, cases: list[CaseInfo]) -> Comparison | None:
    """The first against the others."""
    baseline = cases[0]
    wanted = (DISTANCES, QUALITY, DIVERSITY, TASKS)
    metrics = [m for names in wanted if (m := _first(result, baseline.case, names))]
    if not metrics:
        return None
    t = min(last for case in cases if (last := _last(result, case.case, metrics[0])))
    entries = [_entry(result, case, baseline, metrics, t) for case in cases]
    return Comparison(group, t, tuple(metrics), tuple(one for one in entries if one.measures))


def _first(result: StudyResult, case: str, metrics: Sequence[str]) -> str | None:
    return next((metric for metric in metrics if study_curves(result, case, metric) is not None), None)


def _last(result: StudyResult, case: str, metric: str) -> int:
    """The last generation that at least half of its seeds have reached; 0 where there is none."""
    curves = study_curves(result, case, metric)
    return 0 if curves is None else int(curves.shared().generations[-1])


def _entry(result: StudyResult, case: CaseInfo, baseline: CaseInfo, metrics: Sequence[str], t: int) -> Entry:
    measures = [_measure(result, case.case, baseline.case, metric, t) for metric in metrics]
    seconds, of_baseline = _seconds(case), _seconds(baseline)
    return Entry(
        case=case.case,
        interventions=case.interventions,
        measures=tuple(m for m in measures if m is not None),
        n_real=case.n_real,
        seconds=seconds,
        cost=seconds / of_baseline if of_baseline > 0 else float("nan"),
    )


def _seconds(case: CaseInfo) -> float:
    return sum(case.seconds.values()) / case.n_done if case.n_done else float("nan")


def _measure(result: StudyResult, case: str, baseline: str, metric: str, t: int) -> Measure | None:
    values, others = _by_seed(result, case, metric, t), _by_seed(result, baseline, metric, t)
    if not values:
        return None
    shared = sorted(values.keys() & others.keys())
    differences = np.array([values[seed] - others[seed] for seed in shared])
    of = mean_interval(np.array(list(values.values())))
    mean = float(np.mean(list(others.values()))) if others else float("nan")
    return Measure(metric, of, mean_interval(differences), mean)


def _by_seed(result: StudyResult, case: str, metric: str, t: int) -> dict[int, float]:
    table = result.table
    rows = table[(table["case"] == case) & (table["metric"] == metric) & (table["generation"] == t)]
    # Of several biases the published one.
    rows = rows.dropna(subset=["value"]).sort_values("bias").drop_duplicates("seed")
    return {int(seed): float(value) for seed, value in zip(rows["seed"], rows["value"], strict=True)}
