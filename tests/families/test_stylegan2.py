"""Laws of the family stylegan2: truncation, averaged weights, sizes, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.families.family import Model
from mad_ray.families.network import noise
from mad_ray.families.neural import arrays_to_module, initialised
from mad_ray.families.progress import Progress
from mad_ray.families.stylegan2 import StyleGAN2
from mad_ray.families.stylegan2.family import size_of
from mad_ray.families.stylegan2.generator import truncated
from tests.families.in_memory import InMemory
from tests.families.stylegan2_parts import TINY, game, normal

KEYS = Keys((5,))
LOOP = Loop(10, n_synthetic=10)


def fit(family: StyleGAN2 = TINY, shape: tuple[int, ...] = (1, 8, 8)) -> Model:
    x = np.random.default_rng(0).integers(0, 256, (1, 12, *shape), np.uint8)
    return family.fit(InMemory(Samples.of(x)), KEYS.at("fit", 1), Progress())


class TestSizes:
    @pytest.mark.parametrize(
        ("shape", "size"), [((1, 8, 8), 8), ((3, 28, 28), 32), ((1, 16, 20), 32), ((2, 5, 3), 8), ((3, 256, 256), 256)]
    )
    def test_images_up_to_256_are_drawn(self, shape: tuple[int, ...], size: int) -> None:
        family, event = replace(TINY, channel_base=256, channel_max=2, chunk=2), Event(shape, "uint8")
        assert size_of(event) == size
        net = initialised(lambda: family.build(event), 0).eval()
        with torch.inference_mode():
            x = family.draw_chunk(net, event, 0, 1.0, KEYS)
        assert (x.shape, x.dtype) == ((2, *shape), np.uint8)

    def test_odd_images_train_on_repeated_edges(self) -> None:
        x = torch.arange(30, dtype=torch.uint8).view(1, 1, 5, 6) * 8
        padded = game()._real(x)
        assert padded.shape == (1, 1, 8, 8)
        assert torch.equal(padded[0, 0, 4:, :6], padded[0, 0, 4:5, :6].expand(4, -1))
        assert torch.equal(padded[0, 0, :, 5:], padded[0, 0, :, 5:6].expand(-1, 3))
        model = fit(shape=(3, 9, 5))
        assert TINY.sample(model, 0, 3, 1.0, KEYS).x.shape == (1, 3, 3, 9, 5)

    def test_too_large_images_are_refused(self) -> None:
        with pytest.raises(InvalidInput, match=r"family=stylegan2 draws images of at most 256x256.*\[3, 257, 64\]"):
            TINY.check(Event((3, 257, 64), "uint8"), LOOP, 1)

    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            ({"batch_size": 8, "micro_batches": 4}, r"leaves 2 images a part, no multiple of stddev_group=4"),
            ({"style_size": 0}, r"family\.style_size=0 is below 1"),
            ({"style_mixing": 1.5}, r"family\.style_mixing=1\.5 is outside \[0, 1\]"),
            ({"r1_gamma": -1.0}, r"family\.r1_gamma=-1\.0 is negative"),
            ({"augment_target": 1.0}, r"family\.augment_target=1\.0 is outside"),
            ({"mapping_multiplier": 0.0}, r"family\.mapping_multiplier=0\.0 is not positive"),
        ],
    )
    def test_settings_that_cannot_be_are_refused(self, changes: dict, line: str) -> None:
        with pytest.raises(InvalidInput, match=line):
            replace(TINY, **changes)


class TestModel:
    @pytest.fixture(scope="class")
    def model(self) -> Model:
        return fit()

    def test_lambda_1_changes_no_style_and_lambda_0_leaves_the_mean_alone(self) -> None:
        w, mean = normal(5, 8), normal(8, seed=1)
        assert torch.equal(truncated(w, mean, 1.0), w)
        assert torch.equal(truncated(w, mean, 0.0), mean.expand(5, -1))
        assert torch.allclose(truncated(w, mean, 0.7), mean + 0.7 * (w - mean))

    def test_at_lambda_0_samples_differ_by_their_noise_only(self, model: Model) -> None:
        quiet = {name: np.zeros_like(a) if name.endswith("strength") else a for name, a in model.items()}
        alike = TINY.sample(quiet, 0, 16, 0.0, KEYS.at("sample")).x[0]
        assert (alike == alike[:1]).all()
        assert (TINY.sample(quiet, 0, 16, 1.0, KEYS.at("sample")).x[0] != alike).any()
        loud = {name: np.ones_like(a) if name.endswith("strength") else a for name, a in model.items()}
        noisy = TINY.sample(loud, 0, 16, 0.0, KEYS.at("sample")).x[0]
        assert len({x.tobytes() for x in noisy}) == 16

    def test_the_mean_style_is_that_of_addressed_latents_under_the_model(self, model: Model) -> None:
        net = arrays_to_module(model, initialised(lambda: TINY.build(Event((1, 8, 8), "uint8")), 0))
        z = noise(KEYS.at("fit", 1, "mean_style"), 0, 64, (8,))
        expected = net.mapping(torch.from_numpy(z)).mean(dim=0).detach().numpy()
        assert np.allclose(model["net.mean_style"], expected, atol=1e-6)

    def test_the_model_is_the_moving_average_of_the_generator(self) -> None:
        """Decay 0 shows the weights themselves; otherwise an average keeps 1/10 in its first step, then 2/11."""
        first = initialised(
            lambda: TINY.build(Event((1, 8, 8), "uint8")), KEYS.at("fit", 1).seed(0, "init")
        ).state_dict()
        one, two, mean = (fit(replace(TINY, n_steps=n, ema_decay=d)) for n, d in ((1, 0.0), (2, 0.0), (2, 0.9)))
        for name in ("net.layers.0.conv.weight", "net.mapping.layers.1.weight"):
            initial = first[name.removeprefix("net.")].numpy()
            after_one = 0.1 * initial + 0.9 * one[name]
            assert not np.array_equal(one[name], two[name])
            assert np.allclose(mean[name], 2 / 11 * after_one + 9 / 11 * two[name], atol=1e-6)
