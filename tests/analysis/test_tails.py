"""Closed forms of tails, against brute force, against each other, and against known limits."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from mad_ray.analysis.tails import (
    alive_by_decade,
    branching_survival,
    death_generations,
    effective_size,
    expected_heterozygosity,
    expected_missing_mass,
    expected_support,
    laws_of_counts,
    median_mass,
    rarest_first,
    rarity_of_dead,
    survival,
)
from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop, fresh_data, fully_synthetic, synthetic_augmentation
from mad_ray.data.zipf import Zipf

P = np.array([0.6, 0.3, 0.1])
ZIPF = Zipf(100).probabilities
DIVERSITY = 1 - (ZIPF**2).sum()
# Sums of a few thousand float64 terms.
RELATIVE = 1e-11


def enumerated(p: np.ndarray, n: int) -> dict[tuple[int, ...], float]:
    """Every table of counts of n samples, with its probability."""
    tables = [of for of in itertools.product(range(n + 1), repeat=len(p)) if sum(of) == n]
    return {of: float(stats.multinomial.pmf(of, n, p)) for of in tables}


def enumerated_loop(loop: Loop, n_generations: int) -> list[dict[tuple[int, ...], float]]:
    """The law of D^t's counts, over all tables at once: no symbol is looked at alone."""
    laws = [enumerated(P, loop.n_initial)]
    fresh = enumerated(P, loop.n_fresh)
    for _ in range(2, n_generations + 1):
        law: dict[tuple[int, ...], float] = {}
        for counts, chance in laws[-1].items():
            for drawn, chance_drawn in enumerated(np.array(counts) / sum(counts), loop.n_synthetic).items():
                for new, chance_new in fresh.items():
                    table = tuple(a + b for a, b in zip(drawn, new, strict=True))
                    law[table] = law.get(table, 0.0) + chance * chance_drawn * chance_new
        laws.append(law)
    return laws


SMALL = {
    "fully synthetic": fully_synthetic(n_initial=3),
    "sizes differ": fully_synthetic(n_initial=4, n_synthetic=2),
    "fresh data": fresh_data(n_initial=3, n_fresh=1, n_synthetic=2),
}


@pytest.mark.parametrize("name", SMALL)
def test_survival_and_diversity_are_those_of_the_enumerated_loop(name: str) -> None:
    loop = SMALL[name]
    laws = enumerated_loop(loop, 4)
    alive, left = survival(P, loop, 4), expected_heterozygosity(P, loop, 4)
    for t, law in enumerate(laws):
        tables, chances = np.array(list(law)), np.array(list(law.values()))
        np.testing.assert_allclose(alive[t], chances @ (tables > 0), rtol=RELATIVE)
        shares = tables / tables.sum(axis=1, keepdims=True)
        assert left[t] == pytest.approx(chances @ (1 - (shares**2).sum(axis=1)), rel=RELATIVE)


def test_one_fit_by_enumeration() -> None:
    law = enumerated(P, 5)
    seen = {table: sum(count > 0 for count in table) for table in law}
    missed = {table: sum(p for p, count in zip(P, table, strict=True) if count == 0) for table in law}
    assert expected_support(P, 5) == pytest.approx(sum(law[of] * seen[of] for of in law), rel=RELATIVE)
    assert expected_missing_mass(P, 5) == pytest.approx(sum(law[of] * missed[of] for of in law), rel=RELATIVE)
    assert expected_support(np.array([1.0, 0.0]), 5) == 1


def test_the_first_generation_is_one_fit() -> None:
    for loop in (fully_synthetic(n_initial=50), fresh_data(n_initial=50, n_fresh=20, n_synthetic=7)):
        assert survival(ZIPF, loop, 1).sum() == pytest.approx(expected_support(ZIPF, 50), rel=RELATIVE)


@pytest.mark.parametrize("loop", [fully_synthetic(n_initial=30, n_synthetic=40), fully_synthetic(n_initial=40)])
def test_forwards_and_backwards_agree(loop: Loop) -> None:
    forwards = np.stack([1 - law[:, 0] for law in laws_of_counts(ZIPF, loop, 8)])
    np.testing.assert_allclose(survival(ZIPF, loop, 8), forwards, rtol=1e-9)


@pytest.mark.parametrize(
    "loop",
    [
        fully_synthetic(n_initial=30, n_synthetic=20),
        fresh_data(n_initial=25, n_fresh=10, n_synthetic=30),
        fresh_data(n_fresh=10, n_synthetic=5),
    ],
)
def test_laws_of_counts_keep_their_mean_and_have_the_stated_diversity(loop: Loop) -> None:
    """E[p_t] = p: a martingale, fresh data or not; and the recursion of second moments is that of the whole laws."""
    expected = expected_heterozygosity(ZIPF, loop, 6)
    for t, law in enumerate(laws_of_counts(ZIPF, loop, 6)):
        share = np.arange(law.shape[1]) / (law.shape[1] - 1)
        np.testing.assert_allclose(law.sum(axis=1), 1, rtol=RELATIVE)
        np.testing.assert_allclose(law @ share, ZIPF, rtol=RELATIVE)
        assert 1 - (law @ share**2).sum() == pytest.approx(expected[t], rel=RELATIVE)


def test_diversity_of_the_fully_synthetic_loop_decays_geometrically() -> None:
    t = np.arange(1, 31)
    found = expected_heterozygosity(ZIPF, fully_synthetic(n_initial=20), 30)
    np.testing.assert_allclose(found, (1 - 1 / 20) ** t * DIVERSITY, rtol=RELATIVE)
    unlike = expected_heterozygosity(ZIPF, fully_synthetic(n_initial=50, n_synthetic=20), 30)
    np.testing.assert_allclose(unlike, (1 - 1 / 50) * (1 - 1 / 20) ** (t - 1) * DIVERSITY, rtol=RELATIVE)


def test_diversity_of_a_growing_pool_stays() -> None:
    """prod (1 - 1/(n j^2)) -> sin(pi/sqrt n)/(pi/sqrt n): the Gaussian's law of accumulation, for symbols."""
    n, far = 9, 4000
    found = expected_heterozygosity(ZIPF, synthetic_augmentation(n_initial=n, accumulate=True), far) / DIVERSITY
    product = np.cumprod(1 - 1 / (n * np.arange(1, far + 1) ** 2.0))
    np.testing.assert_allclose(found, product, rtol=1e-9)
    # What is left of the product beyond `far` is 1 - 1/(n far) to first order.
    limit = math.sin(math.pi / 3) / (math.pi / 3)
    assert found[-1] * (1 - 1 / (n * far)) == pytest.approx(limit, rel=1e-7)


def test_real_data_alone_are_one_fit_for_ever() -> None:
    fixed = expected_heterozygosity(ZIPF, Loop(n_initial=12, n_fixed=12), 3)
    fresh = expected_heterozygosity(ZIPF, Loop(n_initial=12, n_fresh=12), 3)
    np.testing.assert_allclose([fixed, fresh], (1 - 1 / 12) * DIVERSITY, rtol=RELATIVE)


@pytest.mark.parametrize(("n_fresh", "n_synthetic"), [(50, 200), (10, 1), (7, 0), (1, 30)])
def test_the_effective_size_is_where_the_fresh_data_loop_settles(n_fresh: int, n_synthetic: int) -> None:
    loop = fresh_data(n_initial=3, n_fresh=n_fresh, n_synthetic=n_synthetic)
    settled = expected_heterozygosity(ZIPF, loop, 2000)[-1]
    alone = (1 - 1 / effective_size(n_fresh, n_synthetic)) * DIVERSITY
    assert settled == pytest.approx(alone, rel=1e-9, abs=1e-15)


def test_the_effective_size_of_much_data_is_the_gaussians() -> None:
    for r in (0.1, 1, 9):
        assert effective_size(10**6, int(r * 10**6)) / 10**6 == pytest.approx((1 + 2 * r) / (1 + r), rel=1e-5)
    assert effective_size(100, 10**9) == pytest.approx(2 * 100 + 1, rel=1e-6)


def test_branching_comes_near_as_the_loop_grows() -> None:
    """Error of survival over t = 20 generations, for symbols of n p = 0.1 .. 10: below t/(5 n), and of order 1/n."""
    errors = []
    for n in (100, 200, 400):
        p, loop = np.geomspace(0.1, 10, 9) / n, fully_synthetic(n_initial=n)
        errors.append(np.abs(branching_survival(p, loop, 20) - survival(p, loop, 20)).max())
    assert errors[0] < 20 / 100 / 5
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.15)
    assert errors[2] == pytest.approx(errors[1] / 2, rel=0.15)


def test_branching_knows_unequal_sizes() -> None:
    p, loop = np.array([1e-3, 1e-2]), fully_synthetic(n_initial=1000, n_synthetic=300)
    np.testing.assert_allclose(branching_survival(p, loop, 6), survival(p, loop, 6), atol=0.006)


def test_lines_last_as_the_rule_of_thumb_says() -> None:
    """1 - exp(-2 n p / t): to 6 % at t = 100 (the next term is of order log(t)/t)."""
    n, t = 10**6, 100
    p = np.array([1, 10, 100]) / n
    found = branching_survival(p, fully_synthetic(n_initial=n), t)[-1]
    np.testing.assert_allclose(found, 1 - np.exp(-2 * n * p / t), rtol=0.06)


def test_the_median_of_a_tail_falls_to_nothing_while_its_mean_stays() -> None:
    median = median_mass(0.1, fully_synthetic(n_initial=100), 60)
    assert (np.diff(median) <= 0).all()
    assert (median[0], median[-1]) == (0.1, 0.0)
    kept = median_mass(0.1, fresh_data(n_fresh=50, n_synthetic=50), 60)
    assert kept[-1] == pytest.approx(0.1, abs=0.011)


@pytest.mark.parametrize(
    "loop",
    [
        fully_synthetic(n_initial=9, bias=0.9),
        fully_synthetic(n_initial=9, memory=2),
        synthetic_augmentation(n_initial=9),
        synthetic_augmentation(n_initial=9, accumulate=True, n_fixed=0),
    ],
)
def test_what_has_no_closed_form_is_refused(loop: Loop) -> None:
    for form in (survival, branching_survival, lambda *given: list(laws_of_counts(*given))):
        with pytest.raises(InvalidInput, match="no closed form") as caught:
            form(ZIPF, loop, 3)
        assert "\n" not in str(caught.value)
    if loop.bias < 1 or loop.memory > 1:
        with pytest.raises(InvalidInput, match="no closed form"):
            expected_heterozygosity(ZIPF, loop, 3)


def test_branching_refuses_fresh_data() -> None:
    with pytest.raises(InvalidInput, match=r"loop\.n_fresh=2"):
        branching_survival(ZIPF, fresh_data(n_fresh=2, n_synthetic=2), 3)


# One trajectory, three generations, symbols from common to rare; the last dies first.
ALIVE = np.array([[[1, 1, 1, 0]], [[1, 1, 0, 0]], [[1, 1, 0, 0]]], bool)
FOUR = np.array([0.4, 0.3, 0.2, 0.1])


def test_deaths_are_dated() -> None:
    np.testing.assert_array_equal(death_generations(ALIVE), [[np.inf, np.inf, 2, 1]])


def test_the_dead_have_a_rarity() -> None:
    np.testing.assert_array_equal(rarity_of_dead(ALIVE[0], FOUR), [7 / 8])
    np.testing.assert_array_equal(rarity_of_dead(ALIVE[2], FOUR), [6 / 8])
    assert rarity_of_dead(~np.ones((1, 4), bool), FOUR) == 0.5
    assert np.isnan(rarity_of_dead(np.ones((1, 4), bool), FOUR)[0])


def test_rarest_first_is_spearmans_correlation() -> None:
    deaths = np.random.default_rng(0).integers(1, 9, (5, 30)).astype(float)
    deaths[deaths > 6] = np.inf
    p = np.sort(np.random.default_rng(1).random(30))
    expected = [stats.spearmanr(np.minimum(of, 99), p).statistic for of in deaths]
    np.testing.assert_allclose(rarest_first(deaths, p), expected, rtol=1e-12)
    assert rarest_first(np.array([[4.0, 3, 2, 1]]), FOUR)[0] == pytest.approx(1)
    assert rarest_first(np.array([[1.0, 2, 3, 4]]), FOUR)[0] == pytest.approx(-1)
    assert np.isnan(rarest_first(np.full((1, 4), np.inf), FOUR)[0])


def test_decades_of_probability() -> None:
    p = np.array([0.9, 0.1, 0.09, 0.001, 0.00999])
    alive = np.array([[1, 1, 0, 0, 1], [1, 0, 0, 0, 0]], bool)
    decades, share = alive_by_decade(alive, p)
    np.testing.assert_array_equal(decades, [-3, -2, -1])
    np.testing.assert_array_equal(share, [[0.5, 0, 1], [0, 0, 0.5]])


def test_rarer_decades_die_first() -> None:
    _, share = alive_by_decade(survival(ZIPF, fully_synthetic(n_initial=100), 20), ZIPF)
    assert (np.diff(share, axis=1) > 0).all()
    assert (np.diff(share, axis=0) < 0).all()
