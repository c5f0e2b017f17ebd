"""When has a loop settled? A stopping rule for E[metric] at t -> infinity. Pure: it looks at numbers, not at loops.

A loop forgets its start at a known rate: of D^t's rows the share s = n_s / (n_fixed + n_r + n_s) descends from G^{t-1},
so what t generations ago was different counts s^t. That rate says how much a change over the last doubling of T leaves
to come, which the trajectory alone cannot say (a slow loop looks flat for as long as one likes).
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop
from mad_ray.core.settings import STRICT

State = Literal["settled", "drifting", "noisy", "too short"]
NAN = float("nan")
CONFIDENCE = 0.95
SHRINK_UNKNOWN = 0.5
"""Where a loop's memory is unknown, a doubling of T is taken to halve the change, as in a relaxation like 1/t."""
SHRINK_LEAST = 0.15
"""A doubling is never trusted to leave less of a change: a family may forget more slowly than its training sets."""


@dataclass(frozen=True)
class Limit:
    """Where a study's loops are stopped: as soon as E[metric] has settled and is known well enough."""

    __pydantic_config__ = STRICT

    metric: str
    """The metric whose limit is sought: w2_squared, frechet, ..."""
    half_width: float = 0.03
    """Half-width asked of the limit's 95 % interval, relative to the limit."""
    drift: float = 0.01
    """Change still to come that counts as none, relative to the limit: its whole 95 % interval must be smaller."""
    min_generations: int = 16
    """The first generation at which a loop may be found settled; a power of two, at least 8."""
    scale: float = 0.0
    """The least size that half_width and drift are relative to, for metrics that may end at zero (recall: 0.01)."""

    def __post_init__(self) -> None:
        for name in ("half_width", "drift"):
            if not 0 < getattr(self, name) < 1:
                raise InvalidInput(f"limit.{name}={getattr(self, name)}; a share between 0 and 1, such as 0.03")
        if self.min_generations < 8 or self.min_generations & (self.min_generations - 1):
            raise InvalidInput(f"limit.min_generations={self.min_generations}; give a power of two, 8 or more")
        if not 0 <= self.scale < math.inf:
            raise InvalidInput(f"limit.scale={self.scale}; give a size of the metric, 0 or more")


@dataclass(frozen=True)
class Judgement:
    """What T generations say about the limit.

    state: "settled"; "drifting" (changes still to come are larger than allowed, or cannot be bounded); "noisy" (the
    limit's or the drift's interval is too wide to tell); "too short" (nothing can be said yet).
    mean [low, high]: mean over seeds of their time averages over burn_in..n_generations, averages [B]. The interval is
    Student's t, widened by the most that the drift may be; NaN for a single seed, or where nothing bounds the drift.
    drift [drift_low, drift_high]: the change still to come, relative to the mean; infinite where nothing bounds it.
    """

    state: State
    n_generations: int
    n_seeds: int
    burn_in: int
    mean: float = NAN
    low: float = NAN
    high: float = NAN
    drift: float = NAN
    drift_low: float = NAN
    drift_high: float = NAN
    averages: tuple[float, ...] = ()

    @property
    def is_settled(self) -> bool:
        return self.state == "settled"


def checkpoints(n_generations: int, limit: Limit) -> tuple[int, ...]:
    """The generations at which a trajectory of n_generations is judged: powers of two, and the last one."""
    powers = [limit.min_generations << k for k in range(max(0, n_generations.bit_length()))]
    return (*(t for t in powers if t < n_generations), n_generations)


def is_checkpoint(t: int, n_generations: int, limit: Limit) -> bool:
    """Whether a trajectory is judged once generation t is there."""
    return t == n_generations or (limit.min_generations <= t < n_generations and t & (t - 1) == 0)


def loop_memory(loop: Loop, contraction: float = 1.0) -> float | None:
    """The generations in which the influence of what was falls to 1/e; None where it falls by no such law.

    With memory K: tau = 1 / ln(1 / rho), where 1 = (s / K) sum_{a=1..K} rho^-a. 0 without synthetic rows, infinite
    without real ones, None for `accumulate`, whose influences fade like powers of t. contraction: what a family's
    sampling bias alone does to a deviation per generation, where that is known (a Gaussian's covariance: lambda).
    """
    if loop.accumulate and loop.n_synthetic:
        return None
    share = contraction * loop.n_synthetic / (loop.n_fixed + loop.n_fresh + loop.n_synthetic)
    if share in (0.0, 1.0):
        return 0.0 if share == 0.0 else math.inf
    return 1.0 / _fading(share, loop.memory)


def _fading(share: float, memory: int) -> float:
    """k = ln(1 / rho) > 0 with share * mean over a = 1..K of e^(k a) = 1; by bisection, the left side rises with k."""
    ages = np.arange(1, memory + 1)
    low, high = 0.0, -math.log(share)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if share * np.exp(middle * ages).mean() < 1 else (low, middle)
    return (low + high) / 2


def judge(generations: np.ndarray, values: np.ndarray, limit: Limit, memory: float | None = None) -> Judgement:
    """generations [T'], ascending, and values [B, T'] measured there -> what they say about the limit.

    memory: the loop's, from `loop_memory`. Values that are not finite have not converged.
    """
    last = int(generations[-1]) if len(generations) else 0
    found = Judgement("too short", last, len(values), burn_in=last // 2 + 1)
    spans = [_span(generations, values, last / 2 ** (k + 1), last / 2**k) for k in range(3)]
    if last < limit.min_generations or min(span.shape[1] for span in spans) == 0:
        return found
    half, quarter, eighth = (span.mean(axis=1) for span in spans)
    found = replace(found, state="drifting", averages=tuple(half.tolist()))
    if not np.isfinite([half, quarter, eighth]).all():
        return found
    mean, error = _interval(half)
    size = max(abs(mean), limit.scale) or 1.0
    found = replace(found, mean=mean)
    shrink = _shrink(last, memory)
    if shrink == 1:
        return replace(found, drift=math.inf)
    coming = (_interval(change / size) for change in _coming(half, quarter, eighth, shrink))
    drift, spread = max(coming, key=lambda centre_and_error: sum(map(abs, centre_and_error)))
    error = math.hypot(error, (abs(drift) + spread) * size)
    found = replace(found, low=mean - error, high=mean + error)
    found = replace(found, drift=drift, drift_low=drift - spread, drift_high=drift + spread)
    return replace(found, state=_state(found, error / size, limit))


def _span(generations: np.ndarray, values: np.ndarray, after: float, until: float) -> np.ndarray:
    return values[:, (generations > after) & (generations <= until)]


def _shrink(n_generations: int, memory: float | None) -> float:
    """s: what a relaxation at rate 1/memory leaves of a deviation's time average when T doubles.

    The average of e^{-t/memory} over (T/2, T] is s = (e^-u + e^-2u)/2 of that over (T/4, T/2], u = T/(4 memory).
    """
    if memory is None:
        return SHRINK_UNKNOWN
    u = n_generations / (4 * memory) if memory else math.inf
    return max(SHRINK_LEAST, (math.exp(-u) + math.exp(-2 * u)) / 2)


def _coming(half: np.ndarray, quarter: np.ndarray, eighth: np.ndarray, s: float) -> tuple[np.ndarray, np.ndarray]:
    """The change still to come, [B], extrapolated from each of the last two doublings; both hold for a relaxation.

    Two, since at a turning point of a trajectory one of them vanishes.
    """
    return s / (1 - s) * (half - quarter), s**2 / (1 - s) * (quarter - eighth)


def _state(found: Judgement, error: float, limit: Limit) -> State:
    if not abs(found.drift) <= limit.drift:
        return "drifting"
    is_still = -limit.drift <= found.drift_low and found.drift_high <= limit.drift
    return "settled" if is_still and error <= limit.half_width else "noisy"


def _interval(x: np.ndarray) -> tuple[float, float]:
    """Mean of x [B] and the half-width of Student's t interval; NaN for one seed."""
    if len(x) < 2:
        return float(x.mean()), NAN
    from scipy.special import stdtrit  # here: settings are read without scipy

    quantile = float(stdtrit(len(x) - 1, 0.5 + CONFIDENCE / 2))
    return float(x.mean()), quantile * float(x.std(ddof=1)) / math.sqrt(len(x))


def rule_in_words(limit: Limit) -> str:
    """The stopping rule for a reader of the report."""
    first, drift = limit.min_generations, f"{limit.drift:.1%}"
    return (
        f"A loop is judged at generations T = {first}, {2 * first}, {4 * first}, ... and at its last one. Generations "
        "1..T/2 are burn-in; the limit is the mean over independent seeds of "
        f"{limit.metric} averaged over T/2..T, with Student's 95 % interval widened by the most that the drift may be. "
        "The drift is the change still to come: what the last two doublings of T changed, paired per seed and "
        "extrapolated at the rate at which the loop forgets (the synthetic share of D^t per generation). The loop has "
        f"settled when the drift's whole 95 % interval lies within {drift} of the limit and the limit's half-width is "
        f"at most {limit.half_width:.1%}. It is drifting while more than {drift} is still to come, or nobody knows how "
        "much (no real data: nothing is forgotten), and noisy while an interval is too wide."
    )
