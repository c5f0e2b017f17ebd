"""Laws of the green lists: no bias is no change, a bias is the softmax by hand, and z is as stated."""

import math
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.data import Language
from mad_ray.families import LanguageModel
from mad_ray.families.progress import Progress
from mad_ray.interventions import TokenMark
from mad_ray.interventions.green import green_lists, green_recipe, green_scores, n_green
from tests.families.in_memory import InMemory
from tests.interventions.lessons import SmallLesson

KEYS = Keys((3,))
LANGUAGE = Language(n_words=24, n_rules=12, exponent=0.5, length=24)
FAMILY = LanguageModel(layers=1, width=16, heads=2, chunk=64, n_steps=60, batch_size=32)
N_WORDS = 24


@pytest.fixture(scope="module")
def model() -> dict[str, np.ndarray]:
    stream = InMemory(LANGUAGE.rows(0, 300, KEYS))
    stream.event = LANGUAGE.event
    return FAMILY.fit(stream, KEYS, Progress())


@pytest.fixture(scope="module")
def ignorant(model) -> dict[str, np.ndarray]:
    """All its logits are zero."""
    return {name: array * (0 if "wte" in name or "lm_head" in name else 1) for name, array in model.items()}


def preferring(mark: TokenMark, generation: int = 1):
    """As the engine asks."""
    return lambda previous, n_symbols: mark.logit_bias(previous, generation, n_symbols)


def drawn(model, mark: TokenMark, start: int, stop: int, bias: float = 1.0, generation: int = 1) -> Samples:
    return FAMILY.sample_preferring(model, start, stop, bias, KEYS, preferring(mark, generation))


@pytest.mark.parametrize("bias", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("top_p", [1.0, 0.7])
def test_delta_0_samples_the_same_bytes(model, bias, top_p):
    family, mark = LanguageModel(**{**vars(FAMILY), "top_p": top_p}), TokenMark(delta=0)
    assert mark.is_identity
    assert not TokenMark().is_identity
    plain = family.sample(model, 5, 150, bias, KEYS)
    marked = family.sample_preferring(model, 5, 150, bias, KEYS, preferring(mark))
    for name in ("x", "label", "weight"):
        assert getattr(plain, name).tobytes() == getattr(marked, name).tobytes()
    assert plain.x.dtype == marked.x.dtype == np.int32


def test_a_marked_sequence_is_the_same_whichever_are_drawn_with_it(model):
    mark = TokenMark(delta=3)
    whole = drawn(model, mark, 0, 150)
    np.testing.assert_array_equal(drawn(model, mark, 50, 83).x, whole.x[:, 50:83])
    assert (whole.x != FAMILY.sample(model, 0, 150, 1.0, KEYS).x).any()


def test_the_first_token_has_no_list(model):
    first = [drawn(model, TokenMark(delta=delta), 0, 100).x[0, :, 0] for delta in (0, 100)]
    np.testing.assert_array_equal(*first)
    assert not TokenMark().logit_bias(np.array([-1, -1]), 1, N_WORDS).any()


@pytest.mark.parametrize("gamma", [0.25, 0.5])
@pytest.mark.parametrize("delta", [0.5, 2.0])
def test_a_model_that_knows_nothing_says_green_words_as_often_as_stated(ignorant, gamma, delta):
    """gamma e^delta / (gamma e^delta + 1 - gamma) of all words after the first; 4.5 standard deviations."""
    mark = TokenMark(delta=delta, gamma=gamma)
    x = drawn(ignorant, mark, 0, 512).x[0]
    green = green_lists(0, 0, gamma, N_WORDS)[x[:, :-1], x[:, 1:]]
    share = gamma * math.exp(delta) / (gamma * math.exp(delta) + 1 - gamma)
    assert abs(green.mean() - share) < 4.5 * math.sqrt(share * (1 - share) / green.size)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_bias_is_added_before_the_temperature(ignorant, temperature):
    delta = 0.5
    x = drawn(ignorant, TokenMark(delta=delta), 0, 512, bias=temperature).x[0]
    green = green_lists(0, 0, 0.5, N_WORDS)[x[:, :-1], x[:, 1:]]
    share = 1 / (1 + math.exp(-delta / temperature))
    assert abs(green.mean() - share) < 4.5 * math.sqrt(share * (1 - share) / green.size)


def test_a_strong_preference_allows_nothing_else(model):
    x = drawn(model, TokenMark(delta=100), 0, 128).x[0]
    assert green_lists(0, 0, 0.5, N_WORDS)[x[:, :-1], x[:, 1:]].all()


@pytest.mark.parametrize("gamma", [0.01, 0.25, 0.5, 0.99])
def test_lists_have_the_stated_share_and_are_everywhere_others(gamma):
    lists = [green_lists(secret, number, gamma, 40) for secret in (0, 1) for number in (0, 1, 2)]
    for green in lists:
        assert (green.sum(axis=1) == n_green(gamma, 40)).all()
    assert 1 <= n_green(gamma, 40) <= 39
    assert abs(n_green(gamma, 40) - 40 * gamma) <= 1
    assert len({green.tobytes() for green in lists}) == 6
    assert len({row.tobytes() for row in green_lists(0, 0, 0.5, 40)}) == 40


def test_the_bias_is_delta_on_green_words_by_the_key_of_the_generation():
    previous = np.array([0, 5, -1, 23])
    for key, generation, number in (("fixed", 3, 0), ("rotating", 3, 3), ("rotating", 4, 4)):
        found = TokenMark(delta=1.5, key=key, secret=9).logit_bias(previous, generation, N_WORDS)
        expected = 1.5 * green_lists(9, number, 0.5, N_WORDS)[previous]
        expected[2] = 0
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.float32


def z_by_hand(tokens: np.ndarray, green: np.ndarray, share: float) -> float:
    """By a set of pairs, in plain Python."""
    pairs = {(int(a), int(b)) for a, b in pairwise(tokens)}
    found = sum(bool(green[pair]) for pair in pairs)
    return (found - share * len(pairs)) / math.sqrt(len(pairs) * share * (1 - share))


@pytest.mark.parametrize(("n_symbols", "gamma"), [(2, 0.5), (5, 0.3), (24, 0.25)])
def test_z_counts_every_pair_of_neighbours_once(n_symbols, gamma):
    tokens = np.random.default_rng(0).integers(0, n_symbols, (200, 20), dtype=np.int32)
    found = green_scores(tokens, green_recipe(1, 2, gamma, n_symbols))
    green = green_lists(1, 2, gamma, n_symbols)
    expected = [z_by_hand(row, green, n_green(gamma, n_symbols) / n_symbols) for row in tokens]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_of_independent_words_z_is_standard():
    """5,000 sequences of words that come once as good as surely: mean 0, spread 1; 4.5 standard deviations."""
    tokens = np.random.default_rng(1).integers(0, 2000, (5000, 40), dtype=np.int32)
    z = green_scores(tokens, green_recipe(0, 0, 0.25, 2000))
    assert abs(z.mean()) < 4.5 / np.sqrt(5000)
    assert abs(z.std() - 1) < 4.5 / np.sqrt(10_000)


@pytest.mark.parametrize("key", ["fixed", "rotating"])
def test_of_real_sentences_z_has_mean_0_and_spread_1(key):
    """By the key alone it would not: common words are green or red. 2,000 against 2,000 that calibrate."""
    mark = TokenMark(key=key, n_real=4000)
    found = mark.observe(LANGUAGE.held_out(2000), 3, mark.learn_once(SmallLesson(LANGUAGE)))
    assert set(found) == {"mark_z", "mark_flagged"} | (
        {"mark_z_previous", "mark_flagged_previous"} if key == "rotating" else set()
    )
    for name, of in found.items():
        assert of.shape == (1, 2000)
        if "z" in name:
            assert abs(of.mean()) < 4.5 * np.sqrt(2 / 2000)
            assert abs(of.std() - 1) < 4.5 * np.sqrt(1 / 2000)


def test_it_measures_row_by_row_and_trajectory_by_trajectory():
    mark, rows = TokenMark(key="rotating"), LANGUAGE.rows(0, 60, Keys((1, 2)))
    state = mark.learn_once(SmallLesson(LANGUAGE, seeds=(1, 2)))
    alone = mark.learn_once(SmallLesson(LANGUAGE, seeds=(2,)))
    whole = mark.observe(rows, 4, state)
    for name, found in whole.items():
        split = [mark.observe(rows.rows(start, start + 7), 4, state)[name] for start in range(0, 60, 7)]
        np.testing.assert_array_equal(np.concatenate(split, axis=1), found)
        np.testing.assert_array_equal(mark.observe(rows.trajectory(1), 4, alone)[name][0], found[1])


def test_z_rises_with_delta_and_wears_off_with_another_key(model):
    mark = partial(TokenMark, key="rotating")
    state = mark().learn_once(SmallLesson(LANGUAGE))
    found = [
        mark().observe(drawn(model, mark(delta=delta), 0, 256, generation=2), 2, state) for delta in (0, 1, 2, 4, 100)
    ]
    z = [of["mark_z"].mean() for of in found]
    assert z == sorted(z)
    assert z[-1] > z[0] + 3
    assert found[-1]["mark_flagged"].mean() > 0.8 > 0.1 > found[0]["mark_flagged"].mean()
    # Key 1 against words chosen by key 2, compared with words chosen by none.
    assert abs(found[-1]["mark_z_previous"].mean() - found[0]["mark_z_previous"].mean()) < 0.5 * (z[-1] - z[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delta": -1}, "delta=-1: expected 0"),
        ({"delta": float("nan")}, "delta=nan: expected 0"),
        ({"delta": 1000}, "delta=1000: expected 0"),
        ({"gamma": 0}, r"gamma=0 is outside \(0, 1\)"),
        ({"gamma": 1}, r"gamma=1 is outside \(0, 1\)"),
        ({"secret": -2}, "secret=-2: expected a whole number"),
        ({"false_alarm": 2}, "false_alarm=2 is outside"),
        ({"n_real": 20}, "n_real=20: half of them calibrate"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(InvalidInput, match=f"^interventions.token_mark.{message}") as caught:
        TokenMark(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Event((1, 8, 8), "uint8", 10), "token_mark marks sequences of tokens.*take interventions.watermark"),
        (Event((5,), "float64"), "token_mark marks sequences of tokens"),
        (Event((5,), "int32", n_symbols=20_000), "token_mark: data have 20,000 symbols"),
    ],
)
def test_other_samples_are_refused_in_one_line(event, message):
    with pytest.raises(InvalidInput, match=f"^interventions.{message}") as caught:
        TokenMark().check(event, Loop(20, n_synthetic=20), ())
    assert "\n" not in str(caught.value)
    TokenMark().check(LANGUAGE.event, Loop(20, n_synthetic=20), ())
