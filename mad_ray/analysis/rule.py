"""The rule behind a verdict, in words (RULE), in numbers (Evidence) and in code (decide). The rule is ours.

MAD: E[dist(G^t, P_r)] grows with t (Alemohammad et al. 2024, section 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mad_ray.analysis.curves import Curves
from mad_ray.analysis.limits import late_half
from mad_ray.analysis.trend import p_rising, prefix_p_rising, smallest_p, theil_sen

ALPHA = 0.05
RISE_WITHOUT_FLOOR = 0.5
LATE_SHARE = 0.1
COLLAPSED = 0.1

RULE = f"""\
A case has gone MAD at generation t if, there and at every later generation

(a) its distance to the real data has grown steadily since the first generation: a one-sided Mann-Kendall trend test
pooled over seeds gives p <= {ALPHA} (exact permutation distribution; ties count against a trend); and

(b) it has grown by more than the floor, the distance between two sets of real data of the same size, in the median over
seeds (without a floor: by more than {RISE_WITHOUT_FLOOR:.0%} of the first generation's distance); and

(c) it has not levelled off: over the second half of the generations the same test still finds a rise, worth at least
{LATE_SHARE:.0%} of the whole.

Where the second half is too short for that test, (a) and (b) decide, and we say so.

A loop that has collapsed (precision, recall, coverage, total or modal variance, modes or symbols alive, distinct pairs
or triples of tokens below {COLLAPSED:.0%} of the first generation's) has gone MAD by (b) alone: nothing is left that
could still get worse.

A case has settled if (b) holds and the rest does not: degraded, but no longer getting worse. It is stable if (b) does
not hold. It is undecided where so few generations and seeds could not show a trend at all.

Assumption: without a trend, the generations of one seed would be exchangeable. Successive generations of a loop
depend on each other, which makes these p-values somewhat too small: trust several seeds and a large rise more than one
small p.
"""


@dataclass(frozen=True)
class Evidence:
    """What the rule looks at. Arrays are over generations, [T].

    p: (a). grown: (b). collapsed: the exception. smallest_p: what so many generations and seeds could show at best.
    late_p, late_smallest_p, late_share: (c), over the second half; late_share is its part of the whole rise.
    """

    p: np.ndarray
    grown: np.ndarray
    collapsed: np.ndarray
    smallest_p: float
    late_p: float
    late_smallest_p: float
    late_share: float

    @property
    def is_levelled(self) -> bool | None:
        """(c) the other way round; None where the second half is too short to tell."""
        if self.late_smallest_p > ALPHA:
            return None
        return self.late_p > ALPHA or self.late_share < LATE_SHARE


def weigh(distance: Curves, signs: Sequence[Curves] = ()) -> Evidence:
    """All that the rule looks at; `signs` are metrics that near zero where a model has collapsed."""
    values, start = distance.values, distance.values[:, :1]
    threshold = RISE_WITHOUT_FLOOR * start if np.isnan(distance.floor) else np.full_like(start, distance.floor)
    late = late_half(distance)
    whole = median_over_seeds(values - start)[-1]
    late_rise = theil_sen(late.generations, late.values) * (late.generations[-1] - late.generations[0])
    return Evidence(
        p=prefix_p_rising(values),
        grown=median_over_seeds(values - start - threshold) > 0,
        collapsed=_collapsed(signs, distance.generations),
        smallest_p=smallest_p(values),
        late_p=p_rising(late.values),
        late_smallest_p=smallest_p(late.values),
        late_share=float(late_rise / whole) if whole > 0 else float("nan"),
    )


def decide(evidence: Evidence, generations: np.ndarray) -> tuple[str, int | None]:
    """The rule itself: Evidence -> (kind, generation at which it went MAD)."""
    if evidence.smallest_p > ALPHA:
        return "undecided", None
    if not evidence.grown[-1]:
        return "stable", None
    steady = (evidence.p <= ALPHA) & (not evidence.is_levelled)
    gone = evidence.grown & (steady | evidence.collapsed)
    if not gone[-1]:
        return "settled", None
    return "MAD", int(generations[_start_of_last_run(gone)])


def _start_of_last_run(holds: np.ndarray) -> int:
    """The first index from which on it holds throughout; holds[-1] is true."""
    return len(holds) - int(np.argmin(np.append(holds[::-1], False)))


def median_over_seeds(values: np.ndarray) -> np.ndarray:
    """[n_seeds, T] -> [T]; NaN where no seed has a value."""
    known = ~np.isnan(values).all(axis=0)
    out = np.full(values.shape[1], np.nan)
    out[known] = np.nanmedian(values[:, known], axis=0)
    return out


def _collapsed(signs: Sequence[Curves], generations: np.ndarray) -> np.ndarray:
    """[T]: has any of the signs fallen below COLLAPSED of its own first value?"""
    found = np.zeros(len(generations), bool)
    for curves in signs:
        median = median_over_seeds(curves.select(generations).values)
        found |= median < COLLAPSED * median[0]
    return found
