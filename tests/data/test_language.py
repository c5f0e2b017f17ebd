"""The generated language: rules as frequent as stated, read off any sentence, and exact probabilities."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.pairs import neighbours_of, pair_codes
from mad_ray.core.samples import Samples
from mad_ray.data.language import Language

KEYS = Keys((0, 1)).at("real")
DATA = Language(n_words=20, n_rules=5, length=6)
TINY = Language(n_words=4, n_rules=2, length=3, exponent=1.0)


def test_sentences_are_addressed_tokens_of_the_event() -> None:
    whole = DATA.rows(0, 3000, KEYS)
    assert whole.x.shape == (2, 3000, *DATA.event.shape)
    assert whole.x.dtype == DATA.event.dtype
    assert (whole.x.min(), whole.x.max()) == (0, DATA.event.n_symbols - 1)
    np.testing.assert_array_equal(DATA.rows(1000, 2500, KEYS).x, whole.x[:, 1000:2500])
    np.testing.assert_array_equal(DATA.rows(1000, 2500, KEYS.row(1)).x[0], whole.x[1, 1000:2500])
    assert not np.array_equal(whole.x[0], whole.x[1])
    assert DATA.n_rows is None
    assert DATA.rows(10**9, 10**9 + 3, KEYS).n == 3


def test_held_out_sentences_are_no_training_sentences() -> None:
    held = DATA.held_out(500).x[0]
    assert held.tobytes() == DATA.held_out(900).x[0, :500].tobytes()
    for seed in (0, 1):
        assert held.tobytes() != DATA.rows(0, 500, Keys((seed,)).at("real")).x[0].tobytes()


def uses(samples: Samples) -> np.ndarray:
    """How often each rule was used in each sentence, [n, m]."""
    codes, rules = neighbours_of(samples.x[0]), pair_codes(DATA.law()["rules"])
    order = np.argsort(rules)
    place = order[np.searchsorted(rules[order], codes)]
    assert np.array_equal(rules[place], codes), "every pair of neighbours is a rule"
    counts = np.zeros((len(codes), len(rules)))
    np.add.at(counts, (np.arange(len(codes))[:, None], place), 1)
    return counts


@pytest.mark.parametrize("way", ["rows", "held out"])
def test_rules_are_used_as_often_as_stated(way: str) -> None:
    """Sentence by sentence, since its places depend on each other: 100 z-scores of means over 20,000 sentences."""
    n = 20_000
    counts = uses(DATA.rows(0, n, KEYS.row(0)) if way == "rows" else DATA.held_out(n))
    expected = DATA.law()["share"] * (DATA.length - 1)
    z = (counts.mean(axis=0) - expected) / (counts.std(axis=0) / np.sqrt(n))
    assert len(z) == 100
    assert np.abs(z).max() < 4.5
    assert 0.8 < z.std() < 1.2


def test_first_words_are_as_common_as_stated() -> None:
    first = np.bincount(DATA.rows(0, 20_000, KEYS.row(0)).x[0, :, 0], minlength=20)
    assert stats.chisquare(first, 20_000 * DATA.initial).pvalue > 1e-3


def test_probabilities_add_up_over_all_sentences() -> None:
    """All 4^3 of a tiny language: broken ones have none, the others the product of their rules."""
    everything = np.array(list(itertools.product(range(4), repeat=3)), np.int32)
    p = np.exp(TINY.log_probability(everything))
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert np.count_nonzero(p) == 4 * 2 * 2
    a, b = 2, TINY.successors[2, 1]
    found = TINY.log_probability(np.array([[a, b, TINY.successors[b, 0]]], np.int32))
    harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4
    assert np.exp(found[0]) == pytest.approx(1 / 3 / harmonic * (1 / 3) * (2 / 3))
    assert TINY.entropy == pytest.approx(-(p[p > 0] * np.log(p[p > 0])).sum() / 3)


def test_shares_are_those_of_all_sentences() -> None:
    everything = np.array(list(itertools.product(range(4), repeat=3)), np.int32)
    p = np.exp(TINY.log_probability(everything))
    rules, share = TINY.rules()
    codes = neighbours_of(everything)
    for rule, stated in zip(pair_codes(rules), share, strict=True):
        assert stated == pytest.approx((p[:, None] * (codes == rule)).sum() / 2)


def test_the_rare_rules_make_up_a_tenth() -> None:
    law = Language().law()
    is_rare = np.isin(pair_codes(law["rules"]), pair_codes(law["rare"]))
    assert law["share"][is_rare].sum() == pytest.approx(0.1, abs=0.01)
    assert law["share"][is_rare].max() <= law["share"][~is_rare].min()
    assert is_rare.mean() > 0.3, "many, and rarely used"


def test_the_law_tests_on_held_out_sentences() -> None:
    law = DATA.law()
    assert law["tokens"].tobytes() == DATA.held_out(512).x[0].tobytes()
    np.testing.assert_array_equal(law["log_probability"], DATA.log_probability(law["tokens"]))
    z = (law["log_probability"].mean() / -DATA.length - DATA.entropy) / (
        law["log_probability"].std() / DATA.length / np.sqrt(512)
    )
    assert abs(z) < 4


def test_another_grammar_has_other_rules() -> None:
    other = Language(n_words=20, n_rules=5, length=6, grammar=1)
    assert not np.array_equal(other.successors, DATA.successors)
    assert all(len(set(row)) == 5 for row in other.successors.tolist())


def test_words_are_all_different_and_read_back() -> None:
    pieces = Language(n_words=200).spelling().pieces
    assert len(set(pieces)) == 200
    assert DATA.spelling().text(np.array([0, 1, 19])) == "ba be go ".replace("go", pieces[19].decode().strip())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_words": 1}, "data.n_words=1"),
        ({"n_rules": 65}, "data.n_rules=65"),
        ({"n_rules": 0}, "data.n_rules=0"),
        ({"exponent": -1.0}, "data.exponent=-1"),
        ({"exponent": float("nan")}, "data.exponent=nan"),
        ({"length": 1}, "data.length=1"),
        ({"grammar": -1}, "data.grammar=-1"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        Language(**settings)
    assert "\n" not in str(caught.value)
