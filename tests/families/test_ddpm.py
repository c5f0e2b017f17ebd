"""Laws of the ddpm family: addressed samples, sizes of images, guidance as bias, what is refused."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import identity
from mad_ray.core.keys import Keys
from mad_ray.core.loop import fully_synthetic
from mad_ray.core.moments import Moments, rows_to_moments
from mad_ray.core.samples import NO_LABEL, Event, Samples
from mad_ray.families.ddpm import DDPM
from mad_ray.families.family import Model
from mad_ray.families.progress import Progress

KEYS = Keys((3,))
TINY = DDPM(T=20, schedule="squaredcos_cap_v2", channels=(8, 16), n_steps=3, batch_size=8, sampler_steps=4, chunk=4)
DIGITS = Event((1, 8, 8), "uint8", 10)


class Images:
    """A stream of random labelled images in memory."""

    def __init__(self, event: Event = DIGITS, n: int = 20, x: np.ndarray | None = None) -> None:
        rng = np.random.default_rng(0)
        self.event, self.n = event, n
        label = np.arange(n) % event.n_classes if event.n_classes else np.full(n, NO_LABEL)
        x = rng.integers(0, 256, (n, *event.shape), np.uint8) if x is None else x
        self.samples = Samples.of(x[None], label[None])

    def batches(self, size: int) -> Iterator[Samples]:
        for start in range(0, self.n, size):
            yield self.samples.rows(start, min(self.n, start + size))

    def moments(self) -> Moments:
        return rows_to_moments(self.samples.x, self.samples.weight)


def fit(family: DDPM = TINY, stream: Images | None = None, keys: Keys = KEYS) -> Model:
    return family.fit(stream or Images(), keys.at("fit", 1), Progress())


@pytest.fixture(scope="module")
def model() -> Model:
    return fit()


def draw(model: Model, start: int, stop: int, bias: float = 1.0, family: DDPM = TINY, seed: int = 3) -> Samples:
    return family.sample(model, start, stop, bias, Keys((seed,)).at("publish", 1))


def same(a: Samples, b: Samples) -> bool:
    return np.array_equal(a.x, b.x) and np.array_equal(a.label, b.label)


def test_a_fit_is_a_function_of_its_keys(model):
    again, other = fit(), fit(keys=Keys((4,)))
    assert model.keys() == again.keys()
    assert all(model[name].tobytes() == again[name].tobytes() for name in model)
    assert any(model[name].tobytes() != other[name].tobytes() for name in model)


@pytest.mark.parametrize("sampler", ["ddim", "ancestral", "dpm_solver", "sde_dpm_solver"])
@pytest.mark.parametrize("bias", [1.0, 0.5])
def test_a_sample_is_the_same_bytes_whoever_draws_it(model, sampler, bias):
    family = replace(TINY, sampler=sampler)
    whole = draw(model, 0, 10, bias, family)
    assert whole.x.shape == (1, 10, 1, 8, 8)
    assert whole.x.dtype == np.uint8
    parts = [draw(model, 0, 3, bias, family), draw(model, 3, 9, bias, family), draw(model, 9, 10, bias, family)]
    assert np.array_equal(np.concatenate([part.x for part in parts], axis=1), whole.x)
    assert np.array_equal(np.concatenate([part.label for part in parts], axis=1), whole.label)
    assert not np.array_equal(draw(model, 0, 10, bias, family, seed=4).x, whole.x)


def test_no_samples_are_no_samples(model):
    assert draw(model, 4, 4).x.shape == (1, 0, 1, 8, 8)


def test_labels_take_turns(model):
    assert draw(model, 7, 23).label[0].tolist() == [i % 10 for i in range(7, 23)]


def test_a_model_survives_its_arrays(model):
    copy = {name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape) for name, array in model.items()}
    assert same(draw(copy, 0, 6), draw(model, 0, 6))
    assert all(isinstance(array, np.ndarray) for array in model.values())
    assert {array.dtype for name, array in model.items() if name.startswith("net.")} == {np.dtype(np.float32)}


def test_the_global_random_state_is_left_alone(model):
    before = torch.get_rng_state()
    fit()
    draw(model, 0, 3, 0.5, replace(TINY, sampler="ancestral"))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("event", [Event((3, 7, 9), "uint8", 2), Event((1, 8, 8), "uint8", 0)])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_any_image_size_with_or_without_classes(event, prediction):
    family = replace(TINY, prediction=prediction)
    model = fit(family, Images(event))
    samples = draw(model, 0, 5, family=family)
    assert samples.x.shape == (1, 5, *event.shape)
    assert samples.label[0].tolist() == ([i % 2 for i in range(5)] if event.n_classes else [NO_LABEL] * 5)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize(
    "settings",
    [{"channels": [8, 8, 8, 16], "attention": True, "layers_per_block": 2}, {"network": "dit", "channels": (16, 32)}],
)
def test_the_sizes_of_mnist_and_cifar(shape, settings):
    """Four levels halve 28 to 4, so that the UNet works on 32 x 32 inside."""
    family = replace(TINY, n_steps=1, sampler_steps=1, chunk=2, **settings)
    assert draw(fit(family, Images(Event(shape, "uint8", 10))), 0, 2, family=family).x.shape == (1, 2, *shape)


def test_unconditional_on_labelled_data_looks_at_no_label():
    family = replace(TINY, conditional=False)
    first, again = Images(), Images()
    again.samples = Samples.of(again.samples.x, 9 - again.samples.label)
    model = fit(family, first)
    assert all(model[name].tobytes() == array.tobytes() for name, array in fit(family, again).items())
    assert draw(model, 0, 5, family=family).label[0].tolist() == [NO_LABEL] * 5


def test_guidance_makes_the_classes_plainer():
    """Two classes, dark and bright, that overlap: at lambda = 0.5 their means lie further apart than at 1."""
    rng, n = np.random.default_rng(0), 400
    x = (rng.normal(96 + 64 * (np.arange(n) % 2)[:, None, None, None], 40, (n, 1, 8, 8))).clip(0, 255).astype(np.uint8)
    family = replace(TINY, T=100, n_steps=150, batch_size=32, learning_rate=5e-3, sampler_steps=10, chunk=64)
    model = fit(family, Images(Event((1, 8, 8), "uint8", 2), n, x))
    gaps = {bias: np.diff(_class_means(draw(model, 0, 64, bias, family)))[0] for bias in (1.0, 0.5)}
    assert gaps[1.0] > 20
    assert gaps[0.5] > gaps[1.0]


def _class_means(samples: Samples) -> list[float]:
    return [float(samples.x[samples.label == label].mean()) for label in (0, 1)]


def loop(bias: float = 1.0):
    return fully_synthetic(n_initial=10, bias=bias)


@pytest.mark.parametrize(
    ("family", "event", "bias", "workers", "message"),
    [
        (TINY, Event((2,), "float64"), 1.0, 0, r"family=ddpm needs images .* data gives float64 \[2\]"),
        (TINY, Event((1, 8, 8), "float32", 10), 1.0, 0, r"data gives float32 \[1, 8, 8\]"),
        (TINY, DIGITS, 0.0, 0, r"loop\.bias=0 is infinite guidance"),
        (TINY, Event((1, 8, 8), "uint8"), 0.5, 0, r"loop\.bias=0\.5: .* no classes"),
        (replace(TINY, condition_dropout=0.0), DIGITS, 0.5, 0, r"family\.condition_dropout=0"),
        (replace(TINY, conditional=False), DIGITS, 0.5, 0, r"loop\.bias=0\.5: .* told no class"),
        (TINY, DIGITS, 1.0, 2, r"run\.workers=2 needs family\.micro_batches of 2 or more \(found 1\)"),
    ],
)
def test_what_cannot_be_is_refused(family, event, bias, workers, message):
    with pytest.raises(InvalidInput, match=message):
        family.check(event, loop(bias), workers)


def test_what_can_be_is_let_through():
    TINY.check(DIGITS, loop(0.5), 1)
    TINY.check(Event((1, 8, 8), "uint8"), loop(1.0), 0)
    replace(TINY, micro_batches=4).check(DIGITS, loop(), 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"T": 0}, r"family\.T=0"),
        ({"sampler_steps": 501}, r"family\.sampler_steps=501 exceeds T=500"),
        ({"T": 200}, r"family\.T=200 with schedule=linear ends before"),
        ({"channels": [15, 30]}, r"family\.channels=\[15, 30\]"),
        ({"channels": []}, r"family\.channels=\[\]"),
        ({"channels": [4, 12], "attention": True}, r"attention has heads of 8"),
        ({"batch_size": 10, "micro_batches": 4}, r"family\.batch_size=10 does not split in micro_batches=4"),
        ({"ema_decay": 1.0}, r"family\.ema_decay=1\.0"),
        ({"learning_rate": 0.0}, r"family\.learning_rate=0\.0"),
        ({"condition_dropout": 1.0}, r"family\.condition_dropout=1\.0"),
        ({"width": 32}, r"family\.width=32 is a setting of network=dit, and network=unet is built"),
        ({"network": "dit", "channels": [8]}, r"family\.channels=\(8,\) is a setting of network=unet"),
        ({"network": "dit", "width": 62, "n_heads": 2}, r"family\.width=62 must be a multiple of 4 and of n_heads=2"),
    ],
)
def test_settings_are_checked_at_once(settings, message):
    with pytest.raises(InvalidInput, match=message):
        DDPM(**settings)


def test_settings_read_from_yaml_values():
    parsed = TypeAdapter(DDPM).validate_json(json.dumps({"channels": [8, 16], "learning_rate": 1}))
    assert parsed == DDPM(channels=(8, 16), learning_rate=1.0)
    assert hash(parsed) == hash(DDPM(channels=(8, 16), learning_rate=1.0))
    assert identity(DDPM(channels=[16, 32])) == identity(DDPM()) == {"name": "ddpm"}
    for wrong in ({"chanels": [8]}, {"T": "500"}, {"sampler": "euler"}, {"prediction": "x0"}):
        with pytest.raises(ValidationError):
            TypeAdapter(DDPM).validate_json(json.dumps(wrong))


def test_reading_settings_imports_no_torch():
    code = (
        "import sys; from mad_ray.core.loop import fully_synthetic; from mad_ray.core.samples import Event;"
        "from mad_ray.families.ddpm import DDPM;"
        "DDPM().check(Event((1, 8, 8), 'uint8', 10), fully_synthetic(n_initial=5), 0);"
        "assert not {'torch', 'diffusers', 'accelerate', 'ray'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
