"""The Zipf source: symbols by index, and counts of them without the rows."""

import numpy as np
import pytest
from scipy import stats

from mad_ray.core.counts import Counts
from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments
from mad_ray.data.zipf import Zipf
from mad_ray.ledger.shards import Origin, decode_shard, encode_shard

KEYS = Keys((0, 1)).at("real")
DATA = Zipf(n_symbols=20, exponent=1.2)


def test_probabilities_follow_zipf() -> None:
    p = DATA.law()["probabilities"]
    assert p.shape == (20,)
    assert p.sum() == pytest.approx(1, abs=1e-15)
    i = np.arange(1, 21)
    np.testing.assert_allclose(p / p[0], i**-1.2, rtol=1e-14)
    np.testing.assert_allclose(Zipf(7, exponent=0.0).law()["probabilities"], 1 / 7)


def test_rows_are_addressed_symbols_of_the_event() -> None:
    whole = DATA.rows(0, 5000, KEYS)
    assert whole.x.shape == (2, 5000, *DATA.event.shape)
    assert whole.x.dtype == DATA.event.dtype
    np.testing.assert_array_equal(DATA.rows(1000, 3000, KEYS).x, whole.x[:, 1000:3000])
    np.testing.assert_array_equal(DATA.rows(1000, 3000, KEYS.row(1)).x[0], whole.x[1, 1000:3000])
    assert not np.array_equal(whole.x[0], whole.x[1])
    assert set(whole.label.ravel()) == set(range(DATA.event.n_classes))


@pytest.mark.parametrize("way", ["rows", "held out", "draw"])
def test_symbols_are_as_common_as_stated(way: str) -> None:
    n = 20_000
    found = {
        "rows": lambda: Counts.of_rows(DATA.rows(0, n, KEYS.row(0)), DATA.event),
        "held out": lambda: Counts.of_rows(DATA.held_out(n), DATA.event),
        "draw": lambda: DATA.draw(Counts, 0, n, KEYS.row(0)),
    }[way]()
    assert stats.chisquare(found.counts[0], n * DATA.probabilities).pvalue > 1e-3
    flatter = Zipf(20, exponent=1.1).probabilities
    assert stats.chisquare(found.counts[0], n * flatter).pvalue < 1e-3, "the test can tell exponents apart"


def test_held_out_rows_are_not_training_rows() -> None:
    held = DATA.held_out(500).x[0]
    assert held.tobytes() == DATA.held_out(900).x[0, :500].tobytes()
    for seed in (0, 1):
        assert held.tobytes() != DATA.rows(0, 500, Keys((seed,)).at("real")).x[0].tobytes()


def test_it_draws_counts_and_nothing_else() -> None:
    assert DATA.draw(Counts, 5, 30, KEYS).counts.shape == (2, 20)
    assert DATA.draw(Moments, 5, 30, KEYS) is None
    assert DATA.moments() is None


def test_rows_never_run_out() -> None:
    assert DATA.n_rows is None
    assert DATA.rows(10**9, 10**9 + 3, KEYS).n == 3


def test_symbols_survive_a_shard() -> None:
    rows = DATA.rows(0, 30, KEYS)
    stored, start = decode_shard(encode_shard(rows, start=7, origin=Origin("c", 1, (0, 1), "m")))
    assert start == 7
    assert stored.x.tobytes() == rows.x.tobytes()
    assert stored.label.tobytes() == rows.label.tobytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_symbols": 1}, "data.n_symbols=1"),
        ({"exponent": -0.5}, "data.exponent=-0.5"),
        ({"exponent": 200.0}, "data.exponent=200.0"),
        ({"exponent": float("nan")}, "data.exponent=nan"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        Zipf(**settings)
    assert "\n" not in str(caught.value)


def test_the_steepest_law_admitted_has_no_impossible_symbol() -> None:
    assert (Zipf(n_symbols=1000, exponent=101.0).probabilities > 0).all()
