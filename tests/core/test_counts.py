"""Counts merge, count rows by weight, and follow the same law whether drawn or counted."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mad_ray.core.counts import (
    HEAD_SHARE,
    TAIL_SHARE,
    Counts,
    draw_counts,
    head_body_tail,
    symbol_rows,
    uniform_to_symbols,
)
from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.rows import CHUNK
from mad_ray.core.samples import Event, Samples
from mad_ray.ledger.tensors import decode_tensors, encode_tensors

V = 6
EVENT = Event((1,), "float64", V)
KEYS = Keys((0, 1, 2)).at("sample", 1)
P = np.array([0.5, 0.0, 0.25, 0.15, 0.1, 0.0])
EACH = np.stack([P, P[::-1], np.full(V, 1 / V)])
WHOLE = symbol_rows(EACH, 0, 3 * CHUNK, KEYS)
# Seeds are fixed, so nothing here fails by chance; a right implementation stays within at once.
MIN_P = 1e-3


def samples(seed: int, n: int = 40, b: int = 2) -> Samples:
    rng = np.random.default_rng(seed)
    return Samples.of(rng.integers(0, V, (b, n, 1)).astype(float), weight=rng.integers(0, 4, (b, n)))


@settings(max_examples=40)
@given(st.integers(0, 1000), st.lists(st.integers(0, 40), max_size=5))
def test_merging_any_split_is_counting_at_once(seed: int, cuts: list[int]) -> None:
    given_rows, edges = samples(seed), [0, *sorted(cuts), 40]
    parts = [Counts.of_rows(given_rows.rows(a, b), EVENT) for a, b in itertools.pairwise(edges)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    np.testing.assert_array_equal(merged.counts, Counts.of_rows(given_rows, EVENT).counts)


def test_a_weight_is_so_many_rows() -> None:
    weighted = samples(3)
    for b in range(2):
        repeated = np.repeat(weighted.x[b], weighted.weight[b].astype(int), axis=0)[None]
        alone = Counts.of_rows(Samples.of(repeated), EVENT)
        np.testing.assert_array_equal(Counts.of_rows(weighted, EVENT).counts[b], alone.counts[0])
        assert Counts.of_rows(weighted, EVENT).n[b] == repeated.shape[1]


def test_counts_survive_storage() -> None:
    counts = Counts.of_rows(samples(1), EVENT)
    stored = Counts.from_arrays(decode_tensors(encode_tensors(counts.arrays())))
    assert stored.counts.dtype == np.float64
    np.testing.assert_array_equal(stored.counts, counts.counts)


@pytest.mark.parametrize("symbol", [-1.0, float(V), 0.5, np.nan, np.inf])
def test_what_is_no_symbol_is_refused(symbol: float) -> None:
    with pytest.raises(InvalidInput, match=r"expected whole numbers 0\.\.5") as caught:
        Counts.of_rows(Samples.of(np.array([[[0.0], [symbol]]])), EVENT)
    assert "\n" not in str(caught.value)


@settings(max_examples=40)
@given(st.integers(0, 3 * CHUNK), st.integers(0, 3 * CHUNK))
def test_rows_are_addressed(a: int, b: int) -> None:
    start, stop = sorted((a, b))
    part = symbol_rows(EACH, start, stop, KEYS)
    assert part.x.tobytes() == WHOLE.x[:, start:stop].tobytes()
    assert part.label.tobytes() == WHOLE.label[:, start:stop].tobytes()


def test_a_trajectory_alone() -> None:
    for b in range(3):
        alone = symbol_rows(EACH[b : b + 1], 0, 2000, KEYS.row(b))
        assert alone.x.tobytes() == WHOLE.x[b, :2000].tobytes()
        drawn = draw_counts(EACH[b : b + 1], 7, 50, KEYS.row(b)).counts
        assert drawn.tobytes() == draw_counts(EACH, 7, 50, KEYS).counts[b].tobytes()


def test_a_piece_is_always_the_same_and_no_other() -> None:
    first = draw_counts(EACH, 0, 500, KEYS).counts
    np.testing.assert_array_equal(first, draw_counts(EACH, 0, 500, KEYS).counts)
    np.testing.assert_array_equal(first.sum(axis=1), 500)
    assert not np.array_equal(first, draw_counts(EACH, 500, 1000, KEYS).counts)
    assert not np.array_equal(first, draw_counts(EACH, 0, 500, KEYS.at("other")).counts)


def test_the_label_is_the_symbol() -> None:
    np.testing.assert_array_equal(WHOLE.x[..., 0], WHOLE.label)
    assert (WHOLE.x.dtype, WHOLE.label.dtype) == (np.float64, np.int32)


def test_nobody_draws_the_dead() -> None:
    """Not in rows either, where a rounded distribution function could end below 1; last symbols and first ones."""
    thirds = np.array([[0, 0.1, 0.2, 0.7, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
    rows, drawn = symbol_rows(thirds, 0, 20_000, KEYS), draw_counts(thirds, 0, 10**9, KEYS)
    for b, p in enumerate(thirds):
        assert set(rows.label[b]) == set(np.flatnonzero(p))
        np.testing.assert_array_equal(drawn.counts[b] > 0, p > 0)


@given(st.lists(st.sampled_from([0.0, 0.0, 1e-300, 1e-17, 0.1, 0.3, 1 / 3]), min_size=1, max_size=8).filter(any))
def test_no_uniform_number_meets_a_dead_symbol(weights: list[float]) -> None:
    """Not 0, not the largest below 1, and none that falls on an edge between two symbols."""
    p = np.array(weights) / sum(weights)
    edges = np.append(p.cumsum() / p.sum(), 0.0)
    uniform = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, 1)])
    uniform = uniform[uniform < 1]
    assert (p[uniform_to_symbols(np.append(uniform, np.nextafter(1, 0)), p)] > 0).all()


def tables(n: int, n_seeds: int) -> dict[str, np.ndarray]:
    """Counts [n_seeds, V] of n symbols, drawn and counted."""
    keys = Keys(tuple(range(n_seeds)))
    p = np.broadcast_to(P, (n_seeds, V))
    return {
        "drawn": draw_counts(p, 0, n, keys).counts,
        "counted": Counts.of_rows(symbol_rows(p, 0, n, keys), EVENT).counts,
    }


@pytest.mark.parametrize("way", ["drawn", "counted"])
def test_counts_are_multinomial(way: str) -> None:
    """Pooled over seeds they fit p (chi-square); over seeds each has the binomial's law (chi-square of its values)."""
    n, n_seeds = 12, 2000
    alive = P > 0
    counts = tables(n, n_seeds)[way]
    assert not counts[:, ~alive].any()
    assert stats.chisquare(counts[:, alive].sum(axis=0), n * n_seeds * P[alive]).pvalue > MIN_P
    for v in np.flatnonzero(alive):
        expected = n_seeds * stats.binom.pmf(np.arange(n + 1), n, P[v])
        found = np.bincount(counts[:, v].astype(int), minlength=n + 1)
        often = expected > 5
        cells = [np.append(of[often], of[~often].sum()) for of in (found, expected)]
        assert stats.chisquare(*cells).pvalue > MIN_P
    # Symbols crowd each other out: the covariance of two is -n p q, here to 5 standard errors.
    covariance = np.cov(counts[:, 0], counts[:, 2])[0, 1]
    error = n * np.sqrt((P[0] * (1 - P[0]) * P[2] * (1 - P[2]) + (P[0] * P[2]) ** 2) / n_seeds)
    assert abs(covariance + n * P[0] * P[2]) < 5 * error
    wrong = stats.chisquare(counts[:, alive].sum(axis=0), n * n_seeds * np.roll(P[alive], 1))
    assert wrong.pvalue < MIN_P, "the test can tell distributions apart"


def test_drawn_and_counted_supports_are_of_one_law() -> None:
    """Two-sample chi-square on how many symbols 12 samples hold: what no single symbol's law tells."""
    supports = [(counts > 0).sum(axis=1) for counts in tables(12, 2000).values()]
    table = np.stack([np.bincount(of, minlength=5)[2:5] for of in supports])
    assert stats.chi2_contingency(table).pvalue > MIN_P


@settings(max_examples=60)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(any))
def test_the_head_reaches_half_and_the_tail_a_tenth_with_no_symbol_too_many(weights: list[int]) -> None:
    p = np.array(weights) / sum(weights)
    bands = head_body_tail(p)
    head, body, tail = bands["head"], bands["body"], bands["tail"]
    for band, share, dearest in ((head, HEAD_SHARE, p[head].min()), (tail, TAIL_SHARE, p[tail].max())):
        assert p[band].sum() > share - 1e-9
        assert p[band].sum() - dearest < share
    assert p[head].min() >= p[~head].max(initial=0)
    assert p[tail].max() <= p[~tail & (p > 0)].min(initial=1)
    np.testing.assert_array_equal(head | body | tail, p > 0)
    assert not (body & (head | tail)).any()


def test_bands_of_a_known_distribution() -> None:
    found = head_body_tail(np.array([0.05, 0.3, 0.2, 0.05, 0.35, 0.05]))
    assert {name: np.flatnonzero(of).tolist() for name, of in found.items()} == {
        "head": [1, 4],
        "body": [0, 2],
        "tail": [3, 5],
    }
