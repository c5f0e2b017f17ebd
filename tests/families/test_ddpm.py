"""Laws of the diffusion family: addressed samples, guidance as bias, samplers against diffusers' own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

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
from mad_ray.families import diffusion
from mad_ray.families.ddpm import DDPM
from mad_ray.families.family import Model
from mad_ray.families.unet import n_groups, pad, padded
from mad_ray.shims import mend_torchvision

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
    return family.fit(stream or Images(), keys.at("fit", 1), lambda share: None)


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


@pytest.mark.parametrize("sampler", ["ddim", "ancestral", "dpm_solver"])
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


class Recorder(torch.nn.Module):
    """A network whose answer tells the label it was given; counts the rows of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.rows: list[int] = []

    def forward(self, x: torch.Tensor, t: int, label: torch.Tensor, return_dict: bool) -> tuple[torch.Tensor]:
        self.rows.append(len(x))
        return (label.float().view(-1, 1, 1, 1).expand_as(x),)


def test_unbiased_sampling_asks_for_the_condition_alone():
    net, x, label = Recorder(), torch.zeros(3, 1, 2, 2), torch.tensor([1, 2, 3])
    eps = diffusion.guided_eps(net, x, 5, label, 10, diffusion.guidance_of(1.0))
    assert net.rows == [3]
    assert eps[:, 0, 0, 0].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("bias", [0.8, 0.66, 0.5])
def test_bias_is_guidance(bias):
    """lambda = 1/(1 + w), and eps = (1 + w) conditional - w unconditional."""
    w = diffusion.guidance_of(bias)
    assert bias == pytest.approx(1 / (1 + w))
    net, label = Recorder(), torch.tensor([1, 2, 3])
    eps = diffusion.guided_eps(net, torch.zeros(3, 1, 2, 2), 5, label, 10, w)
    assert net.rows == [6]
    torch.testing.assert_close(eps[:, 0, 0, 0], (1 + w) * label - w * 10)


def noises(shape: tuple[int, ...], n: int) -> list[torch.Tensor]:
    return [torch.randn(shape, generator=torch.Generator().manual_seed(k)) for k in range(n)]


@pytest.mark.parametrize("schedule", ["squaredcos_cap_v2", "linear"])
@pytest.mark.parametrize("n_steps", [5, 50])
def test_the_ancestral_step_is_diffusers_own(schedule, n_steps):
    mend_torchvision()
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(50, beta_schedule=schedule, timestep_spacing="trailing")
    theirs.set_timesteps(n_steps)
    abar = diffusion.abar_of(schedule, 50)
    x, eps = noises((2, 1, 4, 4), 2)
    for t in theirs.timesteps:
        prev = int(theirs.previous_timestep(t))
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(int(t)))
        expected = theirs.step(eps, t, x, generator=torch.Generator().manual_seed(int(t))).prev_sample
        x0 = diffusion.eps_to_x0(x, eps, abar[t])
        ours = diffusion.step(
            x, x0, abar[t], abar[prev] if prev >= 0 else torch.ones(()), 1.0, lambda noise=noise: noise
        )
        # The two forms differ by cancellation in 1 - abar, of relative size 1e-7 / (1 - abar), which is 1e-3 at t = 0.
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)
        x = expected


@pytest.mark.parametrize("n_steps", [5, 25])
def test_the_ddim_step_is_diffusers_own(n_steps):
    mend_torchvision()
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(50, beta_schedule="squaredcos_cap_v2", timestep_spacing="trailing")
    theirs.set_timesteps(n_steps)
    abar = diffusion.abar_of("squaredcos_cap_v2", 50)
    x, eps = noises((2, 1, 4, 4), 2)
    denoised = diffusion.ddim(abar, x, lambda x, t: diffusion.eps_to_x0(x, eps, abar[t]), n_steps, lambda: x)
    for t in theirs.timesteps:
        x = theirs.step(eps, t, x, use_clipped_model_output=True).prev_sample
    torch.testing.assert_close(denoised, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("T", "n"), [(500, 25), (500, 15), (7, 7), (9, 4), (1, 1)])
def test_timesteps_start_at_the_noise_and_fall(T, n):
    steps = diffusion.timesteps(T, n)
    assert len(steps) == n
    assert steps[0] == T - 1
    assert all(a > b >= 0 for a, b in pairwise(steps))


@pytest.mark.parametrize("sampler", list(diffusion.SAMPLERS))
@pytest.mark.parametrize("schedule", ["squaredcos_cap_v2", "linear"])
@pytest.mark.parametrize("n_steps", [1, 2, 15, 500])
def test_samplers_find_the_gaussian_they_are_told_of(sampler, schedule, n_steps):
    """Data N(m, s^2) within [-1, 1] has a denoiser in closed form; few steps lose variance, none the mean."""
    m, s, abar = 0.3, 0.1, diffusion.abar_of(schedule, 500)
    draws = iter(noises((4000, 1, 1, 1), 501))

    def denoise(x: torch.Tensor, t: int) -> torch.Tensor:
        a = abar[t]
        return m + (a.sqrt() * s**2 * (x - a.sqrt() * m) / (a * s**2 + 1 - a)).clamp(-0.7, 0.7)

    x = diffusion.SAMPLERS[sampler](abar, next(draws), denoise, n_steps, lambda: next(draws))
    assert torch.isfinite(x).all()
    assert float(x.mean()) == pytest.approx(m, abs=0.02)
    # 1.1 % is one standard error of a spread from 4,000 samples; the rest is the steps' own error.
    assert float(x.std()) < 1.04 * s
    if n_steps == 500:
        assert float(x.std()) == pytest.approx(s, rel=0.05)


def test_bytes_survive_the_unit_interval():
    x = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(diffusion.to_bytes(diffusion.to_unit(x)), x)


@pytest.mark.parametrize("event", [Event((3, 7, 9), "uint8", 2), Event((1, 8, 8), "uint8", 0)])
def test_any_image_size_with_or_without_classes(event):
    model = fit(stream=Images(event))
    samples = draw(model, 0, 5)
    assert samples.x.shape == (1, 5, *event.shape)
    assert samples.label[0].tolist() == ([i % 2 for i in range(5)] if event.n_classes else [NO_LABEL] * 5)


def test_attention_three_levels_and_two_blocks_run():
    family = replace(TINY, channels=[8, 8, 16], attention=True, layers_per_block=2, n_steps=1)
    assert draw(fit(family, Images(Event((1, 28, 28), "uint8", 10))), 0, 2, family=family).x.shape == (1, 2, 1, 28, 28)


def test_padding_repeats_the_edge_and_keeps_the_image():
    x = torch.arange(2 * 3 * 5).view(1, 2, 3, 5)
    wide = pad(x, 3)
    assert wide.shape == (1, 2, 4, 8)
    assert torch.equal(wide[:, :, :3, :5], x)
    assert torch.equal(wide[:, :, 3], wide[:, :, 2])
    assert [padded(size, 3) for size in (28, 8, 9)] == [28, 8, 12]


@pytest.mark.parametrize(
    ("channels", "expected"), [((32, 64), 8), ((16, 32), 8), ((8, 16), 4), ((6, 10), 1), ((20, 40), 2)]
)
def test_groups_divide_the_channels(channels, expected):
    assert n_groups(channels) == expected


def test_condition_dropout_hides_its_share_of_labels():
    seen: list[torch.Tensor] = []

    class Net(torch.nn.Module):
        def forward(
            self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor, return_dict: bool
        ) -> tuple[torch.Tensor]:
            seen.append(label)
            return (x,)

    n, label = 20_000, torch.arange(20_000) % 10
    x = torch.zeros(n, 1, 1, 1, dtype=torch.uint8)
    abar, generator = diffusion.abar_of("linear", 10), torch.Generator().manual_seed(0)
    diffusion.eps_loss(Net(), x, torch.where(label == 9, -1, label), generator, abar, 10, 0.1)
    hidden = seen[0] == 10
    assert hidden[label == 9].all()
    # 4 standard deviations of a binomial share.
    assert float(hidden[label < 9].float().mean()) == pytest.approx(0.1, abs=4 * (0.09 / 18_000) ** 0.5)
    assert torch.equal(seen[0][~hidden], label[~hidden])


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
        (TINY, DIGITS, 1.0, 2, r"run\.workers=2 needs family\.micro_batches divisible by 2 \(found 1\)"),
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
    for wrong in ({"chanels": [8]}, {"T": "500"}, {"sampler": "euler"}):
        with pytest.raises(ValidationError):
            TypeAdapter(DDPM).validate_json(json.dumps(wrong))


def test_every_setting_is_documented():
    schema = TypeAdapter(DDPM).json_schema()
    assert all(field.get("description") for field in schema["properties"].values())


def test_reading_settings_imports_no_torch():
    code = (
        "import sys; from mad_ray.core.loop import fully_synthetic; from mad_ray.core.samples import Event;"
        "from mad_ray.families.ddpm import DDPM;"
        "DDPM().check(Event((1, 8, 8), 'uint8', 10), fully_synthetic(n_initial=5), 0);"
        "assert not {'torch', 'diffusers', 'accelerate', 'ray'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
