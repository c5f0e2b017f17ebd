"""Every verdict on sequences made for it, and how often it errs without a trend."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mad_ray.analysis.curves import Curves
from mad_ray.analysis.rule import ALPHA, RULE, weigh
from mad_ray.analysis.study import FLOOR_COLUMNS, TABLE_COLUMNS, CaseInfo, StudyResult
from mad_ray.analysis.verdict import case_verdict, judge
from mad_ray.core.keys import Keys

KEYS = Keys((0,), ("test_verdict",))
NAN = float("nan")


def curves(mean, n_seeds: int = 3, noise: float = 0.0, floor: float = NAN, metric: str = "frechet") -> Curves:
    mean = np.asarray(mean, float)
    values = mean * (1 + noise * KEYS.generator(0, "noise", n_seeds).normal(size=(n_seeds, len(mean))))
    return Curves(metric, np.arange(1, len(mean) + 1), values, floor)


DIGITS = [34, 87, 153, 229, 318]


def test_a_distance_that_keeps_growing_is_mad():
    verdict = judge(curves(DIGITS, noise=0.01, floor=10.6))
    assert (verdict.kind, verdict.generation, verdict.metric) == ("MAD", 3, "frechet")
    assert verdict.p_value < 1e-4
    assert verdict.slope == pytest.approx(71, rel=0.1)
    assert verdict.sentence.startswith("Gone MAD at generation 3: FID rose from 33.9 to 318")


def test_more_seeds_tell_sooner():
    onsets = [judge(curves(DIGITS, n_seeds, floor=10.6)).generation for n_seeds in (1, 2, 5)]
    assert onsets == [4, 3, 2]


def test_a_loop_that_rises_and_then_rests_has_settled():
    resting = [34, 50, 55, 56, 55.5, 56, 55.8, 55.9, 56, 55.7]
    verdict = judge(curves(resting, noise=0.02, floor=10.6))
    assert (verdict.kind, verdict.generation) == ("settled", None)
    assert verdict.limit == pytest.approx(55.8, rel=0.02)


def test_a_jump_at_once_without_any_trend_has_settled():
    assert judge(curves([10, 60, 59, 58, 57, 56, 55, 54], floor=5)).kind == "settled"


def test_a_tail_that_only_creeps_has_settled():
    """Still rising, by the test; but by less than a tenth of the whole rise."""
    t = np.arange(1, 21)
    creeping = curves(50 - 40 * np.exp(-(t - 1.0)) + 0.01 * t, n_seeds=4, floor=5)
    assert weigh(creeping).late_p <= ALPHA
    assert judge(creeping).kind == "settled"


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_slow_and_fast_growth_are_both_mad(power):
    assert judge(curves(10 * np.arange(1, 13) ** power, floor=5)).kind == "MAD"


def test_a_rise_within_the_floor_is_stable():
    verdict = judge(curves([34, 35, 36, 37, 38, 39], floor=10.6))
    assert verdict.kind == "stable"
    assert verdict.p_value < ALPHA
    assert "less than the floor of 10.6" in verdict.sentence


def test_an_improving_loop_is_stable():
    assert judge(curves([31.8, 25, 18, 14, 12.5, 12.3, 12.4], floor=1)).kind == "stable"


def test_without_a_floor_half_again_is_the_threshold():
    assert judge(curves(np.linspace(10, 14.9, 6))).kind == "stable"
    assert judge(curves(np.linspace(10, 15.1, 6))).kind == "MAD"
    assert "no floor was measured" in judge(curves(np.linspace(10, 15.1, 6))).confidence


@pytest.mark.parametrize(("n_seeds", "n_generations"), [(1, 1), (1, 2), (1, 3), (2, 2), (4, 2), (9, 1)])
def test_too_little_to_tell_is_undecided_and_says_what_would_do(n_seeds, n_generations):
    verdict = judge(curves(DIGITS[:n_generations], n_seeds, floor=10.6))
    assert (verdict.kind, verdict.generation) == ("undecided", None)
    enough = {1: 4, 2: 3, 4: 3, 9: 2}[n_seeds]
    assert f"run at least {enough} generations" in verdict.confidence
    assert judge(curves(DIGITS[:enough], n_seeds, floor=10.6)).kind == "MAD"


def test_a_second_half_too_short_to_test_is_said():
    verdict = judge(curves(DIGITS, n_seeds=1, floor=10.6))
    assert verdict.kind == "MAD"
    assert "too few to tell whether it levels off" in verdict.confidence
    assert "one seed" in verdict.confidence
    assert "too few" not in judge(curves([*DIGITS, 400, 500], n_seeds=1, floor=10.6)).confidence


def test_a_collapsed_loop_that_cannot_get_worse_is_mad():
    flat = curves([30, 150, 210, 212, 211, 212, 210, 211, 212, 211], floor=10)
    recall = curves([0.9, 0.3, 0.05, 0, 0, 0, 0, 0, 0, 0], metric="recall")
    assert judge(flat).kind == "settled"
    assert (judge(flat, [recall]).kind, judge(flat, [recall]).generation) == ("MAD", 3)


def test_mad_must_hold_to_the_end():
    """A loop that recovers is not MAD, whatever it was on the way."""
    assert judge(curves([10, 20, 30, 40, 30, 20, 11, 10], floor=5)).kind == "stable"


def test_the_unit_of_the_distance_changes_no_verdict():
    for mean in (DIGITS, [34, 50, 55, 56, 55.5, 56, 55.8], [34, 35, 36, 37, 38]):
        one = judge(curves(mean, noise=0.02, floor=10.6))
        other = judge(curves(1000 * np.array(mean), noise=0.02, floor=10_600))
        assert (one.kind, one.generation, one.p_value) == (other.kind, other.generation, other.p_value)


def test_a_lone_seed_that_ran_ahead_does_not_decide():
    values = np.full((4, 8), NAN)
    values[:, :4] = [34, 34.1, 33.9, 34]
    values[0, 4:] = [100, 200, 300, 400]
    verdict = judge(Curves("frechet", np.arange(1, 9), values, 10.6))
    assert (verdict.kind, verdict.n_generations) == ("stable", 4)


def test_without_a_trend_mad_is_rarer_than_alpha():
    """1,500 exchangeable studies with nearly no floor: MAD within the 99.9 % binomial bound of alpha."""
    n_studies = 1_500
    kinds = [
        judge(Curves("frechet", np.arange(1, 7), KEYS.generator(0, "null", i).exponential(size=(3, 6)), 1e-9)).kind
        for i in range(n_studies)
    ]
    assert kinds.count("MAD") <= stats.binom.ppf(0.999, n_studies, ALPHA)
    assert "undecided" not in kinds


def test_the_rule_states_its_assumption():
    assert "exchangeable" in RULE
    assert judge(curves(DIGITS)).rule == RULE


@pytest.mark.parametrize("metric", ["support", "modes_alive", "modal_variance"])
def test_dying_at_once_is_collapse_too(metric):
    """One symbol left since the fifth generation: no trend any more, and no diversity either."""
    left = np.array([333, 60, 12, 3, *[1] * 40])
    rows = [
        {"case": "c", "cohort": "x", "seed": s, "generation": t + 1, "metric": name, "bias": 1.0, "value": float(value)}
        for s in range(3)
        for t, few in enumerate(left)
        for name, value in ((metric, few), ("total_variation", 0.87 - 0.6 * few / 333))
    ]
    case = CaseInfo("c", "g", "d", len(left), 3, 3 * len(left))
    table, floors = pd.DataFrame(rows, columns=list(TABLE_COLUMNS)), pd.DataFrame(columns=list(FLOOR_COLUMNS))
    verdict = case_verdict(StudyResult("s", {}, table, floors, [case], {}), "c")
    assert verdict.kind == "MAD"
    if metric != "modal_variance":
        assert verdict.diversity is not None
        assert verdict.diversity.kind == "falls"
