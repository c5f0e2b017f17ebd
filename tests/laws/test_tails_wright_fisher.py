"""Loops of symbols, held to population genetics: what dies, when, and how much of it; drawn and row by row.

A z-score is a mean's distance from its expectation in standard errors. Seeds are fixed, so nothing here fails by
chance; the bounds are what a right implementation stays within at once, and notice the nearest wrong formula.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pytest
from scipy import stats

from mad_ray.analysis.tails import (
    death_generations,
    expected_heterozygosity,
    median_mass,
    rarest_first,
    rarity_of_dead,
    survival,
)
from mad_ray.core.counts import Counts
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop, Slice, compose, fresh_data, fully_synthetic, pieces, synthetic_augmentation
from mad_ray.core.moments import merge_all
from mad_ray.core.samples import Samples
from mad_ray.data.zipf import Zipf
from mad_ray.families.categorical import Categorical
from tests.engine.made_up import models_of, run, study

DATA = Zipf(n_symbols=40)
REAL = DATA.probabilities
N = 40
MAX_Z = 4.0
MIN_P = 1e-3

FAMILY = Categorical()
ROW_BY_ROW = Categorical(draws="rows")
FULLY = fully_synthetic(n_initial=N)
LOOPS = {
    "fully synthetic": FULLY,
    "sizes differ": fully_synthetic(n_initial=60, n_synthetic=25),
    "fresh data": fresh_data(n_initial=N, n_fresh=15, n_synthetic=25),
    "augmentation": synthetic_augmentation(n_initial=N),
    "growing pool": synthetic_augmentation(n_initial=N, accumulate=True),
    "all at once": Loop(n_initial=N, n_fixed=10, n_fresh=10, n_synthetic=20),
    "all at once, kept": Loop(n_initial=N, n_fixed=10, n_fresh=10, n_synthetic=20, accumulate=True),
}


@dataclass(frozen=True)
class TrainingSet:
    """D^t of the loop, drawn as counts piece by piece, or read row by row."""

    family: Categorical
    loop: Loop
    t: int
    models: list[dict[str, np.ndarray]]
    keys: Keys

    event = DATA.event

    @property
    def n(self) -> int:
        return sum(part.n for part in compose(self.loop, self.t))

    def summary(self, kind: type[Counts]) -> Counts:
        of = self._draw if self.family.draws == "summaries" else self._count
        parts = [piece for part in compose(self.loop, self.t) for piece in pieces(self.loop, part)]
        return merge_all(of(kind, part) for part in parts)

    def _draw(self, kind: type[Counts], part: Slice) -> Counts:
        if part.is_real:
            return DATA.draw(kind, part.start, part.stop, self.keys.at("real"))
        return self.family.draw(*self._published(part))

    def _count(self, kind: type[Counts], part: Slice) -> Counts:
        if part.is_real:
            rows = DATA.rows(part.start, part.stop, self.keys.at("real"))
        else:
            rows = self.family.sample(*self._published(part))
        return kind.of_rows(rows, self.event)

    def _published(self, part: Slice):
        keys = self.keys.at("sample", part.generation)
        return self.models[part.generation - 1], part.start, part.stop, self.loop.bias, keys

    def batches(self, size: int) -> Iterator[Samples]:
        raise AssertionError("a categorical reads no rows that it can have summed up")


@lru_cache
def models(
    loop: Loop = FULLY, n_generations: int = 6, n_seeds: int = 1500, family: Categorical = FAMILY, first: int = 0
) -> list[dict[str, np.ndarray]]:
    """G^1 .. G^T of seeds first .. first + n_seeds."""
    keys, found = Keys(tuple(range(first, first + n_seeds))), []
    for t in range(1, n_generations + 1):
        data = TrainingSet(family, loop, t, found, keys)
        found.append(family.fit(data, keys.at("fit", t), lambda share: None))
    return found


def measured(name: str, *of, family: Categorical = FAMILY, **settings) -> np.ndarray:
    """One measure [T, B]."""
    law = DATA.law()
    return np.stack([family.measure(m, law, [name])[name] for m in models(*of, family=family, **settings)])


def z_score(x: np.ndarray, expected: float) -> float:
    return abs(x.mean() - expected) / (x.std(ddof=1) / np.sqrt(len(x)))


def shares(*of, **settings) -> np.ndarray:
    """Probabilities [T, B, V]."""
    return np.stack([FAMILY.probabilities(model) for model in models(*of, **settings)])


@pytest.mark.parametrize("name", LOOPS)
def test_probabilities_are_a_martingale(name: str) -> None:
    """E[p_t] = p_0 for common, middling and rare symbols, though most rare ones are dead."""
    p = shares(LOOPS[name])
    for t in range(6):
        for v in (0, 5, 39):
            assert z_score(p[t, :, v], REAL[v]) < MAX_Z
    assert z_score(p[5, :, 0], REAL[0] * 1.2) > MAX_Z, "20 % off would show"


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("family", [FAMILY, ROW_BY_ROW], ids=["drawn", "row by row"])
def test_diversity_is_as_the_closed_form_says(name: str, family: Categorical) -> None:
    loop = LOOPS[name]
    found = measured("heterozygosity", loop, 6, 600, family=family)
    expected = expected_heterozygosity(REAL, loop, 6)
    for t in range(6):
        assert z_score(found[t], expected[t]) < MAX_Z


def test_diversity_tells_generations_apart() -> None:
    """The same with one generation too few is far off; so is the model of another size, n - 1 for n."""
    found, diversity = measured("heterozygosity", FULLY)[-1], 1 - (REAL**2).sum()
    assert z_score(found, diversity * (1 - 1 / N) ** 5) > MAX_Z
    assert z_score(found, diversity * (1 - 1 / N) ** 6) < MAX_Z


@pytest.mark.parametrize("name", ["fully synthetic", "sizes differ", "fresh data"])
@pytest.mark.parametrize("family", [FAMILY, ROW_BY_ROW], ids=["drawn", "row by row"])
def test_support_and_missing_mass_are_those_of_the_exact_chain(name: str, family: Categorical) -> None:
    loop = LOOPS[name]
    alive = survival(REAL, loop, 6)
    support = measured("support", loop, 6, 600, family=family)
    missing = measured("missing_mass", loop, 6, 600, family=family)
    for t in range(6):
        assert z_score(support[t], alive[t].sum()) < MAX_Z
        assert z_score(missing[t], REAL @ (1 - alive[t])) < MAX_Z
    assert z_score(support[1], alive[0].sum()) > MAX_Z, "a generation too few would show"


def test_each_symbol_survives_as_often_as_the_exact_chain_says() -> None:
    """Chi-square over all symbols, in generation 5, of trajectories alive against expected."""
    alive, expected = shares()[4] > 0, survival(REAL, FULLY, 5)[4]
    n = len(alive)
    z = (alive.sum(axis=0) - n * expected) / np.sqrt(n * expected * (1 - expected))
    # Neighbours compete, ever so weakly (correlations of about -1/n): the chi-square's law holds to that.
    assert stats.chi2.sf((z[5:] ** 2).sum(), len(z[5:])) > MIN_P


def test_drawn_and_counted_loops_are_of_one_law() -> None:
    """Kolmogorov-Smirnov on missing mass, whose whole distribution no closed form here covers; biased loops too."""
    for loop in (FULLY, replace(LOOPS["fresh data"], bias=0.8), LOOPS["all at once, kept"]):
        drawn, counted = (
            measured("missing_mass", loop, 6, 600, family=family, first=first)
            for family, first in ((FAMILY, 0), (ROW_BY_ROW, 10_000))
        )
        for t in (0, 2, 5):
            assert stats.ks_2samp(drawn[t], counted[t]).pvalue > MIN_P
        assert stats.ks_2samp(drawn[5], drawn[2]).pvalue < MIN_P, "the test can tell distributions apart"


@pytest.mark.parametrize("bias", [1.0, 0.7])
@pytest.mark.parametrize("family", [FAMILY, ROW_BY_ROW], ids=["drawn", "row by row"])
def test_what_is_dead_stays_dead_in_the_fully_synthetic_loop(bias: float, family: Categorical) -> None:
    p = shares(fully_synthetic(n_initial=N, bias=bias), 6, 300, family=family)
    assert not (p[1:][p[:-1] == 0] > 0).any()
    assert (p[:-1][p[1:] == 0] > 0).any(), "some died on the way"


def test_rare_symbols_die_first() -> None:
    """Sign tests over trajectories: the dead are rarer than those alive, and died the sooner the rarer they were."""
    alive = shares(FULLY, 30, 300) > 0
    for t in (0, 5, 29):
        n_rare = int((rarity_of_dead(alive[t], REAL) > 0.5).sum())
        assert stats.binomtest(n_rare, alive.shape[1], alternative="greater").pvalue < 1e-6
    correlation = rarest_first(death_generations(alive), REAL)
    assert stats.binomtest(int((correlation > 0).sum()), len(correlation), alternative="greater").pvalue < 1e-6
    assert correlation.mean() > 0.5


def test_death_is_blind_where_all_are_equally_rare() -> None:
    """The same tests see nothing where there is nothing: ranks by index of a uniform distribution."""
    data = Zipf(40, exponent=0.0)
    drawn = data.draw(Counts, 0, 30, Keys(tuple(range(400)))).counts
    dead_rank = rarity_of_dead(drawn > 0, REAL)
    assert z_score(dead_rank, 0.5) < MAX_Z
    assert np.isfinite(dead_rank).all(), "30 rows leave 10 of 40 symbols dead at least"


def test_the_head_outlives_the_body_and_the_body_the_tail() -> None:
    head, body, tail = (measured(f"{band}_alive", FULLY, 6).mean(axis=1) for band in ("head", "body", "tail"))
    assert (head > body).all()
    assert (body > tail).all()
    assert (np.diff(tail) < 0).all()
    for band, members in (("head", slice(0, 5)), ("tail", slice(25, 40))):
        expected = survival(REAL, FULLY, 6)[:, members].mean(axis=1)
        for t in range(6):
            assert z_score(measured(f"{band}_alive", FULLY)[t], expected[t]) < MAX_Z


def test_the_tails_mass_keeps_its_mean_and_loses_its_median() -> None:
    """The exact median, so at most half of the trajectories lie below it and at most half above, to 4 errors."""
    mass = measured("tail_mass", FULLY, 30, 300)
    expected = REAL[25:].sum()
    medians = median_mass(expected, FULLY, 30)
    for t in (0, 5, 29):
        assert z_score(mass[t], expected) < MAX_Z
        for beyond in (mass[t] < medians[t] - 1e-9, mass[t] > medians[t] + 1e-9):
            assert beyond.mean() < 0.5 + MAX_Z * 0.5 / np.sqrt(mass.shape[1])
    assert medians[-1] < 0.1 * expected


def test_sharper_temperatures_lose_more() -> None:
    """Four lambdas, from one set of seeds: support, diversity and tail fall, missing mass and distance rise."""
    means = {
        name: [measured(name, fully_synthetic(n_initial=N, bias=bias), 6, 200)[3].mean() for bias in (0.4, 0.7, 0.9, 1)]
        for name in ("support", "heterozygosity", "entropy", "tail_mass", "missing_mass", "total_variation")
    }
    for name, of in means.items():
        falling = name in ("missing_mass", "total_variation")
        assert (np.diff(of) < 0).all() if falling else (np.diff(of) > 0).all(), name


def test_temperature_zero_is_left_with_one_mode_at_once() -> None:
    support = measured("support", fully_synthetic(n_initial=1000, bias=0.0), 3, 50)
    np.testing.assert_array_equal(support[1:], 1)


def test_fresh_fixed_and_kept_samples_keep_symbols_alive() -> None:
    support = {name: measured("support", loop, 20, 100)[-1] for name, loop in LOOPS.items()}
    for name in ("fresh data", "augmentation", "growing pool", "all at once"):
        assert stats.mannwhitneyu(support[name], support["fully synthetic"], alternative="greater").pvalue < 1e-6
    # Nothing that a fixed or kept sample holds can die.
    first = shares(LOOPS["growing pool"], 20, 100) > 0
    np.testing.assert_array_equal(first, np.broadcast_to(first[0], first.shape))


def test_smoothing_lets_nothing_die_and_pulls_towards_the_uniform() -> None:
    """E[p_t] = w E[p_{t-1}] + (1 - w)/V, w = n/(n + alpha V): mutation, in the words of population genetics."""
    family = Categorical(smoothing=0.5)
    assert (measured("support", FULLY, 6, 600, family=family) == 40).all()
    w, expected = N / (N + 0.5 * 40), REAL
    for model in models(FULLY, 6, 600, family):
        expected = w * expected + (1 - w) / 40
        for v in (0, 5, 39):
            assert z_score(family.probabilities(model)[:, v], expected[v]) < MAX_Z


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("family", [FAMILY, ROW_BY_ROW], ids=["drawn", "row by row"])
def test_a_trajectory_is_the_same_in_any_cohort(name: str, family: Categorical) -> None:
    loop = replace(LOOPS[name], bias=0.9)
    whole = models(loop, 6, 12, family)
    for first, n in ((0, 5), (5, 7), (11, 1)):
        part = models(loop, 6, n, family, first)
        for t in range(6):
            assert part[t]["counts"].tobytes() == whole[t]["counts"][first : first + n].tobytes()


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("family", [FAMILY, ROW_BY_ROW], ids=["drawn", "row by row"])
def test_the_engine_runs_the_very_same_loop(name: str, family: Categorical) -> None:
    """Bit for bit, so that all laws of this file are the engine's too. (Models nobody needs again are not kept.)"""
    loop = replace(LOOPS[name], bias=0.9)
    found = models_of(run(study(DATA, family, loop, 6, seeds=range(12))))
    expected = models(loop, 6, 12, family)
    assert found[6]
    for t, model in found.items():
        assert not model or model["counts"].tobytes() == expected[t - 1]["counts"].tobytes()


def test_a_longer_run_begins_as_the_shorter() -> None:
    for short, long in zip(models(FULLY, 3, 12), models(FULLY, 6, 12), strict=False):
        assert short["counts"].tobytes() == long["counts"].tobytes()
