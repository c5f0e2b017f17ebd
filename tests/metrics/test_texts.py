"""What became of a text, in samples of which the answer is known; and features that tell texts apart."""

from itertools import pairwise

import numpy as np
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.pairs import are_rare, counted_pairs, neighbours_of, pair_codes
from mad_ray.core.spelling import Spelling
from mad_ray.data.language import Language
from mad_ray.metrics.measure import NAMES, TEXT_NAMES, Metrics, evaluate, make_extractor
from mad_ray.metrics.ngrams import BUCKETS, NGrams
from mad_ray.metrics.texts import TEXT_METRICS, distinct, text_metrics

DATA = Language()
LAW = DATA.law()


def real(n: int = 1000, seed: int = 3) -> np.ndarray:
    return DATA.rows(0, n, Keys((seed,))).x[0]


def test_the_names_that_configs_know_are_those_that_are_measured() -> None:
    assert TEXT_NAMES == TEXT_METRICS


def test_distinct_n_by_hand() -> None:
    tokens = np.array([[1, 2, 1, 2], [2, 1, 2, 9]], np.int32)
    assert distinct(tokens, 1) == 3 / 8
    assert distinct(tokens, 2) == 3 / 6, "12, 21, 29"
    assert distinct(tokens, 3) == 3 / 4, "121, 212, 129"
    assert np.isnan(distinct(tokens, 5))


def test_pairs_by_hand() -> None:
    tokens = np.array([[1, 2, 1, 2], [2, 1, 2, 70_000]], np.int32)
    pairs, counts = counted_pairs(tokens)
    assert dict(zip(map(tuple, pairs.tolist()), counts.tolist(), strict=True)) == {(1, 2): 3, (2, 1): 2, (2, 70_000): 1}
    np.testing.assert_array_equal(neighbours_of(tokens)[1], pair_codes(np.array([[2, 1], [1, 2], [2, 70_000]])))


def test_rare_is_what_the_rarest_tenth_is_and_what_ties_with_it() -> None:
    assert are_rare(np.array([50.0, 40, 6, 4])).tolist() == [False, False, True, True]
    assert are_rare(np.array([80.0, 5, 5, 5, 5])).tolist() == [False, True, True, True, True]


def test_real_sentences_break_no_rule_and_use_most_rare_ones() -> None:
    """Expected tail recall at n sentences, were neighbours independent: mean of 1 - (1 - share)^(31 n)."""
    found = text_metrics(real(), LAW, TEXT_METRICS)
    assert tuple(found) == TEXT_METRICS
    share = LAW["share"][np.isin(pair_codes(LAW["rules"]), pair_codes(LAW["rare"]))]
    expected = 1 - (1 - share) ** (1000 * (DATA.length - 1))
    error = np.sqrt((expected * (1 - expected)).sum()) / len(share)
    assert found["rule_error"] == 0
    assert abs(found["tail_recall"] - expected.mean()) < 4.5 * error


def test_lost_rules_and_broken_ones_are_counted() -> None:
    tokens, rare = real(), pair_codes(LAW["rare"])
    common = tokens[~np.isin(neighbours_of(tokens), rare).any(axis=1)]
    assert text_metrics(common, LAW, ("tail_recall",)) == {"tail_recall": 0.0}
    half = np.concatenate([common.ravel()[:2], *LAW["rare"][: len(rare) // 2]]).reshape(-1, 2)
    assert text_metrics(half, LAW, ("tail_recall",))["tail_recall"] == pytest.approx(0.5, abs=1 / len(rare))
    broken = np.stack(
        [np.arange(64), [next(iter(set(range(64)) - set(row))) for row in DATA.successors.tolist()]], axis=1
    )
    mixed = np.concatenate([broken, DATA.successors[:, :1].repeat(2, axis=1)])
    mixed[64:, 0] = np.arange(64)
    assert text_metrics(mixed.astype(np.int32), LAW, ("rule_error",)) == {"rule_error": 0.5}


def test_collapsed_text_is_less_distinct() -> None:
    tokens = real()
    whole = text_metrics(tokens, LAW, TEXT_METRICS)
    repeated = text_metrics(np.repeat(tokens[:10], 100, axis=0), LAW, TEXT_METRICS)
    for name in ("distinct_2", "distinct_3", "tail_recall"):
        assert repeated[name] < 0.3 * whole[name]


def test_nothing_is_said_where_nothing_is_known() -> None:
    found = text_metrics(real(10), {}, TEXT_METRICS)
    assert np.isnan([found["tail_recall"], found["rule_error"]]).all()
    assert found["distinct_1"] > 0
    assert text_metrics(real(10), LAW, ("distinct_2", "recall")).keys() == {"distinct_2"}


def counted(x: np.ndarray) -> np.ndarray:
    """The features one n-gram at a time: which feature each gets is asked of a text that holds it alone."""
    out = np.zeros((len(x), 2 * BUCKETS))
    for row, tokens in zip(out, x, strict=True):
        for token in tokens:
            row[:BUCKETS] += NGrams()(np.array([[token]]))[0, :BUCKETS] / np.sqrt(len(tokens))
        for a, b in pairwise(tokens):
            row[BUCKETS:] += NGrams()(np.array([[a, b]]))[0, BUCKETS:] / np.sqrt(len(tokens) - 1)
    return out


def test_features_are_sums_over_n_grams_and_rows_by_themselves() -> None:
    x = real(8)
    features = NGrams()(x)
    assert features.shape == (8, 2 * BUCKETS)
    np.testing.assert_allclose(features, counted(x), atol=1e-12)
    for i in range(8):
        assert NGrams()(x[i : i + 1]).tobytes() == features[i : i + 1].tobytes()
    single = NGrams()(np.arange(500)[:, None])
    assert set(np.unique(single)) == {-1.0, 0.0, 1.0}
    assert np.abs(single).sum(axis=1).tolist() == [1.0] * 500
    assert (np.abs(single[:, :BUCKETS]).sum(axis=0) > 0).all(), "every feature is used"
    assert abs(single.sum()) < 4.5 * np.sqrt(500), "signs are even"


def test_order_counts_and_place_does_not() -> None:
    forth, back = np.array([[1, 2, 3, 4]]), np.array([[4, 3, 2, 1]])
    np.testing.assert_array_equal(NGrams()(forth)[:, :BUCKETS], NGrams()(back)[:, :BUCKETS])
    assert not np.array_equal(NGrams()(forth), NGrams()(back))


@pytest.mark.parametrize("x", [np.zeros((3, 4)), np.zeros((3, 1, 8, 8), np.uint8)])
def test_features_of_anything_else_are_refused(x: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match=r"metrics\.features=ngrams reads sequences of tokens"):
        NGrams()(x)


def test_metrics_move_the_right_way_where_a_text_collapses() -> None:
    extractor = make_extractor(Metrics(features="ngrams"))
    settings = Metrics(features="ngrams", n=400, names=(*NAMES, *TEXT_NAMES))
    held = extractor(DATA.held_out(400).x[0])

    def at(tokens: np.ndarray) -> dict[str, float]:
        return evaluate(real=held, synthetic=extractor(tokens), settings=settings, law=LAW, tokens=tokens)

    floor, narrow, noise = at(real(400)), at(np.repeat(real(20), 20, axis=0)), at(shuffled(real(400)))
    assert floor["frechet"] < 0.5 * min(narrow["frechet"], noise["frechet"])
    assert narrow["recall"] < 0.6 * floor["recall"]
    assert narrow["tail_recall"] < floor["tail_recall"]
    assert noise["rule_error"] > 0.5 > floor["rule_error"]
    assert list(floor) == list(settings.names)


def shuffled(tokens: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).permuted(tokens, axis=1)


def test_a_spelling_reads_back_what_it_wrote() -> None:
    spelling = Spelling((b"a", b"", "é".encode()[:1], "é".encode()[1:], b"<b>"))
    assert Spelling.from_arrays(spelling.arrays()) == spelling
    assert spelling.text(np.array([0, 2, 3, 1, 4])) == "aé<b>"
    assert spelling.text(np.array([3, 0, 2])) == "\ufffda\ufffd", "characters cut off at the ends"
