"""Laws of the language model: causal, cached without change, tempered as a softmax is, and tested exactly."""

import numpy as np
import pytest
import torch

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.data import Language, Text
from mad_ray.families import LanguageModel
from mad_ray.families.lm_net import choose, draw_sequences, log_likelihoods, next_logits, tempered, token_loss
from mad_ray.families.neural import initialised
from mad_ray.families.progress import Progress
from tests.contracts.cases.lm import CASE
from tests.contracts.fitting import CASES
from tests.families.in_memory import InMemory

EVENT = Event((8,), "int32", n_symbols=12)
FAMILY = LanguageModel(layers=2, width=16, heads=2, chunk=8, n_steps=3, batch_size=8)
KEYS = Keys((3,))
LOOP = Loop(20, n_synthetic=20)


class Tokens(InMemory):
    """A stream of tokens in memory."""

    def __init__(self, tokens: np.ndarray, event: Event = EVENT) -> None:
        super().__init__(Samples.of(tokens[None]))
        self.event = event


def tokens_of(n: int, event: Event = EVENT) -> np.ndarray:
    return np.random.default_rng(0).integers(0, event.n_symbols, (n, *event.shape), dtype=np.int32)


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    """Weights ten times as large as they begin, so that the network is sure of something."""
    net = initialised(lambda: FAMILY.build(EVENT), 1).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(10 if parameter.dim() > 1 else 1)
    return net


def softmax(logits: np.ndarray, temperature: float, top_p: float = 1.0) -> np.ndarray:
    """By hand: one row of logits, in float64; the nucleus by sorting in plain Python."""
    weights = [np.exp((z - max(logits)) / temperature) for z in logits]
    p = [w / sum(weights) for w in weights]
    kept, total = set(), 0.0
    for i in sorted(range(len(p)), key=lambda i: -p[i]):
        if total >= top_p:
            break
        kept.add(i)
        total += p[i]
    left = sum(p[i] for i in kept)
    return np.array([p[i] / left if i in kept else 0.0 for i in range(len(p))])


def test_it_is_gpt2s_architecture(net):
    from transformers import GPT2LMHeadModel

    assert isinstance(net, GPT2LMHeadModel)
    assert net.lm_head.weight is net.transformer.wte.weight
    assert not any(isinstance(part, torch.nn.Dropout) and part.p > 0 for part in net.modules())


def test_no_token_sees_what_comes_after_it_and_all_see_what_came_before(net):
    tokens = torch.from_numpy(tokens_of(4)).long()
    with torch.inference_mode():
        before = next_logits(net, tokens)
        for place in range(8):
            changed = tokens.clone()
            changed[:, place] = (changed[:, place] + 1) % EVENT.n_symbols
            after = next_logits(net, changed)
            assert torch.equal(after[:, : place + 1], before[:, : place + 1])
            if place < 7:
                assert not torch.allclose(after[:, place + 1 :], before[:, place + 1 :], atol=1e-3)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.0, 0.8), (0.0, 1.0)])
def test_the_cache_changes_nothing(net, temperature, top_p):
    """The same tokens as when every step reads its whole sequence anew."""
    uniform = np.random.default_rng(1).random((64, 8))
    with torch.inference_mode():
        cached = draw_sequences(net, uniform, temperature, top_p)
        tokens = torch.zeros((64, 8), dtype=torch.int64)
        for place in range(8):
            p = tempered(next_logits(net, tokens)[:, place], temperature, top_p)
            tokens[:, place] = choose(p, torch.from_numpy(uniform[:, place]))
    np.testing.assert_array_equal(cached, tokens.numpy())
    assert (len(np.unique(cached, axis=0)) == 1) == (temperature == 0)


@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.5, 1e-9])
@pytest.mark.parametrize("temperature", [1.0, 0.6, 0.1])
def test_temperature_and_nucleus_are_the_softmax_by_hand(temperature, top_p):
    logits = np.random.default_rng(2).normal(size=(50, 12)) * 3
    found = tempered(torch.from_numpy(logits), temperature, top_p).numpy()
    expected = np.stack([softmax(row, temperature, top_p) for row in logits])
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_no_temperature_is_too_small():
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0]], dtype=torch.float64)
    assert tempered(logits, 1e-300, 1.0).tolist() == [[0, 1, 0], [0.5, 0.5, 0]]
    assert tempered(logits, 0.0, 1.0).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_no_uniform_number_meets_a_dead_token():
    p = torch.tensor([[0.0, 0.3, 0.0, 0.7, 0.0]], dtype=torch.float64)
    ends = {0.0: 1, np.nextafter(0.3, 0): 1, 0.3: 3, np.nextafter(1.0, 0): 3}
    for u, token in ends.items():
        assert choose(p, torch.tensor([u], dtype=torch.float64)).item() == token


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.6)])
def test_first_tokens_are_drawn_as_often_as_stated(net, temperature, top_p):
    """20,000 first tokens against the softmax by hand: chi-square, 4.5 standard deviations at most."""
    n = 20_000
    uniform = np.random.default_rng(3).random((n, 1))
    with torch.inference_mode():
        drawn = draw_sequences(net, uniform, temperature, top_p)[:, 0]
        logits = next_logits(net, torch.zeros((1, 1), dtype=torch.int64))[0, 0].double().numpy()
    expected, counts = n * softmax(logits, temperature, top_p), np.bincount(drawn, minlength=12)
    assert not counts[expected == 0].any()
    is_seen = expected > 0
    chi_square = (np.square(counts - expected)[is_seen] / expected[is_seen]).sum()
    freedom = np.count_nonzero(is_seen) - 1
    assert abs(chi_square - freedom) < 4.5 * np.sqrt(2 * freedom)


def test_probabilities_of_all_sequences_add_up():
    event = Event((3,), "int32", n_symbols=4)
    net = initialised(lambda: FAMILY.build(event), 1)
    everything = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int32)
    with torch.inference_mode():
        found = log_likelihoods(net, everything, chunk=10)
        loss = token_loss(net, torch.from_numpy(everything), torch.zeros(64), torch.Generator())
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-5)
    assert float(loss) == pytest.approx(-found.mean() / 3, rel=1e-5)


def uniform_model() -> dict[str, np.ndarray]:
    """A fit whose embedding, and so every logit, is zero."""
    model = FAMILY.fit(Tokens(tokens_of(16)), KEYS, Progress())
    return {name: array * (0 if "wte" in name or "lm_head" in name else 1) for name, array in model.items()}


def test_a_model_that_knows_nothing_has_perplexity_v():
    tokens = tokens_of(40)
    law = {"tokens": tokens, "log_probability": np.full(40, -8 * np.log(12))}
    found = FAMILY.measure(uniform_model(), law, FAMILY.measures)
    assert found["perplexity"] == pytest.approx([12.0])
    assert found["kl_per_token"] == pytest.approx([0.0], abs=1e-12)
    assert np.isnan(FAMILY.measure(uniform_model(), {"tokens": tokens}, ("kl_per_token",))["kl_per_token"]).all()


def test_top_p_is_a_bias_of_samples_and_none_of_measures():
    model = FAMILY.fit(Tokens(tokens_of(16)), KEYS, Progress())
    narrow = LanguageModel(**{**vars(FAMILY), "top_p": 0.3})
    law = {"tokens": tokens_of(20)}
    assert narrow.measure(model, law, ("perplexity",)) == FAMILY.measure(model, law, ("perplexity",))
    drawn = [len(np.unique(f.sample(model, 0, 64, 1.0, KEYS).x)) for f in (narrow, FAMILY)]
    assert drawn[0] < drawn[1]


def test_training_learns_the_language_better_than_word_frequencies():
    """Nats per word: below the entropy of words by themselves, above that of the language."""
    data, family = CASE.data, CASE.trained
    model = family.fit(Tokens(data.rows(0, 400, KEYS.at("real")).x[0], data.event), KEYS.at("fit", 1), Progress())
    found = family.measure(model, data.law(), family.measures)
    share = np.bincount(data.law()["tokens"].ravel(), minlength=40) / data.law()["tokens"].size
    alone = np.exp(-(share[share > 0] * np.log(share[share > 0])).sum())
    assert np.exp(data.entropy) < found["perplexity"][0] < 0.6 * alone
    assert 0 < found["kl_per_token"][0] < 1


def test_greedy_sampling_says_one_thing():
    model = FAMILY.fit(Tokens(tokens_of(16)), KEYS, Progress())
    assert len(np.unique(FAMILY.sample(model, 0, 20, 0.0, KEYS).x[0], axis=0)) == 1


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if name != "lm" and case.unfit])
def test_other_families_refuse_text_in_one_line(name: str) -> None:
    """All but those that take whatever there is."""
    with pytest.raises(InvalidInput, match=f"family={name}") as caught:
        CASES[name].family.check(EVENT, LOOP, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": 0}, "family.layers=0"),
        ({"width": 30, "heads": 4}, "family.width=30 does not split in heads=4"),
        ({"top_p": 0.0}, "family.top_p=0"),
        ({"top_p": 1.1}, "family.top_p=1.1"),
        ({"n_steps": 0}, "family.n_steps=0"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        LanguageModel(**settings)
    assert "\n" not in str(caught.value)


def test_it_takes_text_and_language_at_every_temperature():
    for data in (Language(), Text(path=__file__)):
        for bias in (0.0, 0.5, 1.0):
            FAMILY.check(data.event, Loop(20, n_synthetic=20, bias=bias), 0)
    with pytest.raises(InvalidInput, match="micro_batches of 2 or more"):
        FAMILY.check(EVENT, LOOP, 2)
