"""How long a study will take, and how sure that is: at the pace of its ledgers, or of a short calibration."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mad_ray.core.fingerprint import canonical_json, identity
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.calibrate import NOISE, calibrate, units
from mad_ray.engine.plan import Progress, effort
from mad_ray.ledger.store import Store

START_S, TRIAL_S = 8.0, 1.5
"""Ray's start and report; a trial's own start (benchmarks/overhead.py)."""
Z95 = 1.96
MAX_KINDS = 8
"""Kinds of work that are calibrated; of more, the others are taken for the nearest of the same family."""


@dataclass
class Estimate:
    """Seconds of work of each cohort, one after the other, with the variance of errors that they do not share."""

    seconds: dict[str, float] = field(default_factory=dict)
    variance: float = 0.0
    by_stage: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    once_s: float = 0.0
    basis: str = ""

    def wall_s(self, at_once: int) -> float:
        """Of all of it, so many at once; no less than the longest cohort alone."""
        if not self.seconds:
            return self.once_s
        n = min(at_once, len(self.seconds))
        share = sum(self.seconds.values()) / n
        return max(share, max(self.seconds.values())) + self.once_s + START_S + TRIAL_S * len(self.seconds) / n

    @property
    def error(self) -> float:
        """Relative standard error of the sum."""
        total = sum(self.seconds.values())
        return math.sqrt(self.variance) / total if total else 0.0

    def line(self, at_once: int) -> str:
        """About how long, the 95 % interval, where it goes, and what it rests on."""
        wall = self.wall_s(at_once)
        low, high = wall * math.exp(-Z95 * self.error), wall * math.exp(Z95 * self.error)
        total = sum(self.by_stage.values())
        stages = ", ".join(f"{stage} {spent / total:.0%}" for stage, spent in self.by_stage.items() if spent > 0)
        where = f" ({stages})" if stages else ""
        return f"about {duration(wall)} [{duration(low)}, {duration(high)}]{where}; {self.basis}"


def at_the_pace_so_far(
    cohorts: Sequence[Cohort], unfinished: Sequence[Cohort], found: Mapping[str, Progress]
) -> Estimate | None:
    """From what the ledgers hold: seconds of a family per unit of effort. None if they hold nothing of some family."""
    spent: defaultdict[str, float] = defaultdict(float)
    made: defaultdict[str, float] = defaultdict(float)
    for cohort in cohorts:
        progress, family = found[cohort.id], cohort.head.family.name
        if progress.seconds is not None:
            spent[family] += progress.seconds * progress.n_done
            made[family] += effort(cohort) * (1.0 if progress.is_finished else progress.n_done / cohort.n_generations)
    estimate = Estimate(basis="at the pace so far")
    for cohort in unfinished:
        family = cohort.head.family.name
        if not made[family]:
            return None
        left = 1.0 - found[cohort.id].n_done / cohort.n_generations
        estimate.seconds[cohort.id] = effort(cohort) * left * spent[family] / made[family]
    # Loops of one family differ in their sizes, which this pace does not know.
    estimate.variance = (2 * NOISE * sum(estimate.seconds.values())) ** 2
    return estimate


def calibrated(unfinished: Sequence[Cohort], found: Mapping[str, Progress], store: Store) -> Estimate:
    """From some seconds of each kind of work: data, family, metrics and bias; tells what it does as it goes."""
    # What the pool takes, the measuring of some samples, is lost in the noise of its members.
    estimate = Estimate(seconds={cohort.id: 0.0 for cohort in unfinished if cohort.head.is_pool})
    kinds = _kinds([cohort for cohort in unfinished if not cohort.head.is_pool])
    for alike in kinds:
        middle = sorted(alike, key=units)[len(alike) // 2]
        head = middle.head
        print(f"calibrating {head.family.name} on {head.data.name} ({middle.case})", flush=True)
        pace = calibrate(middle, store)
        estimate.once_s += pace.once_s
        before = sum(estimate.seconds.values())
        for cohort in alike:
            by_stage = pace.seconds(cohort, found[cohort.id].n_done + 1)
            estimate.seconds[cohort.id] = sum(by_stage.values())
            for stage, seconds in by_stage.items():
                estimate.by_stage[stage] += seconds
        # Cohorts of one kind err together, kinds apart.
        estimate.variance += ((sum(estimate.seconds.values()) - before) * pace.error) ** 2
    n = len(kinds)
    estimate.basis = f"95 % interval, from a calibration of {n} kind{'s' * (n > 1)} of work on this machine"
    return estimate


def _kinds(cohorts: Sequence[Cohort]) -> list[list[Cohort]]:
    """Cohorts alike in data, family, metrics and bias; of too many kinds, the last ones join one of their family."""
    kinds: dict[bytes, list[Cohort]] = {}
    for cohort in cohorts:
        head = cohort.head
        kind = canonical_json([identity(head.data), identity(head.family), identity(head.metrics), head.loop.bias])
        if kind not in kinds and len(kinds) >= MAX_KINDS:
            kind = next((k for k, alike in kinds.items() if alike[0].head.family == head.family), kind)
        kinds.setdefault(kind, []).append(cohort)
    return list(kinds.values())


def duration(seconds: float) -> str:
    """42 s, 7 min, 3.2 h, 4 days."""
    for limit, unit, size in ((90, "s", 1), (90 * 60, "min", 60), (48 * 3600, "h", 3600)):
        if seconds < limit:
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 10 and size > 1 else f"{value:.0f} {unit}"
    return f"{seconds / 86400:.1f} days"
