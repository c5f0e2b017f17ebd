"""Tests whose false-alarm rate is set: their thresholds are quantiles of the statistic on real rows, not guesses."""

from math import ceil, floor

import numpy as np

from mad_ray.core.errors import InvalidInput


def conformal_threshold(scores: np.ndarray, false_alarm: float) -> np.ndarray:
    """scores [B, m] of m real rows -> the value [B] above which a new real row lies at most so often.

    The ceil((m + 1)(1 - false_alarm))-th smallest (Vovk et al. 2005; split conformal, Papadopoulos et al. 2002): if the
    new row is exchangeable with these m, and the statistic was chosen without them, P(score > threshold) <= false_alarm
    whatever their distribution and for every finite m. Given these m rows the rate is beta distributed around it.
    """
    m = scores.shape[1]
    n_above = _n_above(m, false_alarm)
    if n_above < 1:
        raise ValueError(f"{m} scores cannot tell a rate of {false_alarm}")
    return np.sort(scores, axis=1)[:, m - n_above]


def halves(n: int) -> tuple[int, int]:
    """Of n real rows: how many choose the statistic, and how many others calibrate it."""
    return n // 2, n - n // 2


def check_calibration(name: str, false_alarm: float, n_real: int) -> None:
    """InvalidInput, a line on interventions.NAME, unless n_real real rows can calibrate a test of that rate."""
    if not 0 < false_alarm < 1:
        raise InvalidInput(
            f"interventions.{name}.false_alarm={false_alarm} is outside (0, 1); 0.01 flags 1 in 100 real rows"
        )
    if n_real < 4 or _n_above(halves(n_real)[1], false_alarm) < 1:
        least = max(4, 2 * ceil(1 / false_alarm - 1 - _ROUNDING) - 1)
        raise InvalidInput(
            f"interventions.{name}.n_real={n_real}: half of them calibrate, and a false_alarm of {false_alarm} needs "
            f"n_real={least:,} at least; raise n_real or false_alarm"
        )


def _n_above(m: int, false_alarm: float) -> int:
    return floor((m + 1) * false_alarm + _ROUNDING)


# 100 * 0.01 shall be 1.
_ROUNDING = 1e-9
