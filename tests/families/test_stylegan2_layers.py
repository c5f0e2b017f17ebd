"""Laws of StyleGAN2's layers: scaled weights, modulation, filters, the spread of a group."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d, correlate2d
from torch.nn import functional as f

from mad_ray.families.stylegan2.discriminator import Block, Discriminator
from mad_ray.families.stylegan2.layers import (
    EqualisedConv,
    EqualisedLinear,
    activate,
    minibatch_stddev,
    modulated_conv,
    unit_length,
)
from mad_ray.families.stylegan2.resample import Filter
from tests.families.stylegan2_parts import WIDTHS, built, normal


class TestEqualisedLearningRate:
    @pytest.mark.parametrize("multiplier", [1.0, 0.01])
    def test_weights_are_standard_normal_and_outputs_keep_unit_variance(self, multiplier: float) -> None:
        layer = built(lambda: EqualisedLinear(400, 500, multiplier=multiplier))
        assert float(layer.weight.detach().std() * multiplier) == pytest.approx(1, abs=4 / math.sqrt(2 * 200_000))
        # 500 outputs with chi-square(400) variances over the weights, 1000 rows: 1 % at 4.5 standard errors.
        assert float(layer(normal(1000, 400)).detach().var()) == pytest.approx(1, abs=0.02)

    def test_a_convolution_too(self) -> None:
        layer = built(lambda: EqualisedConv(50, 60, 3))
        assert float(layer.weight.detach().std()) == pytest.approx(1, abs=4 / math.sqrt(2 * 27_000))
        assert float(layer(normal(20, 50, 12, 12))[:, :, 1:-1, 1:-1].detach().var()) == pytest.approx(1, abs=0.03)

    @pytest.mark.parametrize("n_in", [4, 400])
    def test_adam_changes_what_weights_do_by_the_same_share_at_any_width(self, n_in: int) -> None:
        """One Adam step is +-rate per stored weight, so rate * multiplier / sqrt(n_in) per effective weight, which
        itself is of size 1 / sqrt(n_in)."""
        layer = built(lambda: EqualisedLinear(n_in, 3, multiplier=0.1))
        before = (layer.weight * layer.scale).detach().clone()
        layer(normal(16, n_in)).square().sum().backward()
        torch.optim.Adam(layer.parameters(), lr=1e-3, betas=(0.0, 0.99), eps=0).step()
        change = (layer.weight * layer.scale - before).abs() * math.sqrt(n_in)
        assert torch.allclose(change, torch.full_like(change, 1e-3 * 0.1), rtol=1e-6)


class TestModulation:
    def test_demodulation_keeps_unit_variance_whatever_the_style(self) -> None:
        weight, style = normal(8, 16, 3, 3), torch.exp(2 * normal(6, 16, seed=1))
        x = normal(6, 16, 66, 66, seed=2)
        variance = modulated_conv(x, weight, style)[:, :, 1:-1, 1:-1].square().mean((2, 3))
        # 4096 pixels, correlated over 3x3: standard error about sqrt(2 * 9 / 4096) at worst.
        assert torch.allclose(variance, torch.ones_like(variance), atol=4 * math.sqrt(18 / 4096))
        without = modulated_conv(x, weight, style, demodulate=False).square().mean((2, 3))
        assert without.min() > 10, "the style would show"

    @pytest.mark.parametrize("demodulate", [True, False])
    @pytest.mark.parametrize("up", [True, False])
    def test_it_is_a_convolution_per_row_with_weights_of_its_own(self, demodulate: bool, up: bool) -> None:
        x, weight, style = normal(3, 4, 6, 6), normal(5, 4, 3, 3, seed=1), normal(3, 4, seed=2)
        found = modulated_conv(x, weight, style, demodulate=demodulate, filter_up=Filter().double() if up else None)
        for n in range(3):
            own = (weight * style[n][None, :, None, None]).numpy()
            if demodulate:
                own = own / np.sqrt((own**2).sum((1, 2, 3), keepdims=True) + 1e-8)
            for o in range(5):
                expected = sum(one_map(x[n, i].numpy(), own[o, i], up) for i in range(4))
                assert np.allclose(found[n, o].numpy(), expected, atol=1e-12)

    def test_mapping_sees_directions_only(self) -> None:
        z = normal(7, 9)
        assert torch.allclose(unit_length(z).square().mean(1), torch.ones(7, dtype=torch.float64), atol=1e-7)
        assert torch.allclose(unit_length(3 * z), unit_length(z), atol=1e-7)

    def test_activation_keeps_the_mean_square(self) -> None:
        assert float(activate(normal(200_000)).square().mean()) == pytest.approx(1.04, abs=0.02)


def one_map(x: np.ndarray, weight: np.ndarray, up: bool) -> np.ndarray:
    """SciPy's word for one input map and one kernel: zeros between pixels, kernel, [1, 3, 3, 1] of gain 4."""
    if not up:
        return correlate2d(x, weight, mode="same")
    spread = np.zeros((2 * len(x) - 1, 2 * len(x) - 1))
    spread[::2, ::2] = x
    taps = np.array([1, 3, 3, 1]) / 4
    return convolve2d(convolve2d(spread, weight), np.outer(taps, taps))[2:-2, 2:-2]


class TestFilter:
    def test_constants_stay(self) -> None:
        x, both = torch.full((1, 2, 8, 8), 3.7, dtype=torch.float64), Filter().double()
        assert torch.allclose(both.up(x)[..., 1:-1, 1:-1], torch.tensor(3.7, dtype=torch.float64))
        assert torch.allclose(both.down(x)[..., 1:-1, 1:-1], torch.tensor(3.7, dtype=torch.float64))
        assert (both.up(x).shape[2:], both.down(x).shape[2:]) == ((16, 16), (4, 4))

    def test_up_is_four_times_the_adjoint_of_down(self) -> None:
        x, y, both = normal(2, 3, 4, 4), normal(2, 3, 8, 8, seed=1), Filter().double()
        assert float((both.up(x) * y).sum()) == pytest.approx(4 * float((x * both.down(y)).sum()), rel=1e-12)

    def test_up_is_linear_interpolation(self) -> None:
        x, both = normal(1, 2, 6, 6), Filter().double()
        expected = f.interpolate(x, scale_factor=2, mode="bilinear")
        assert torch.allclose(both.up(x)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])

    def test_nothing_of_it_is_in_a_model(self) -> None:
        assert not Filter().state_dict()

    @pytest.mark.parametrize("kernel", [1, 3])
    def test_a_convolution_that_halves_smooths_before_it_drops_pixels(self, kernel: int) -> None:
        conv, x = built(lambda: EqualisedConv(1, 1, kernel, down=True)), normal(1, 1, 8, 8)
        taps = np.array([1, 3, 3, 1]) / 8
        wide = np.pad(x[0, 0].numpy(), 1 + kernel // 2)
        weight = (conv.weight[0, 0] * conv.scale).detach().numpy()
        smooth = correlate2d(wide, np.outer(taps, taps), mode="valid")
        expected = correlate2d(smooth, weight, mode="valid")[::2, ::2]
        assert np.allclose(conv(x)[0, 0].detach().numpy(), expected, atol=1e-12)


class TestMinibatchStddev:
    def test_it_is_the_mean_deviation_of_the_group(self) -> None:
        x = normal(8, 3, 4, 4)
        found = minibatch_stddev(x, 4)
        assert torch.equal(found[:, :3], x)
        for g in range(2):
            expected = x[4 * g : 4 * g + 4].numpy().std(axis=0).mean()
            assert np.allclose(found[4 * g : 4 * g + 4, 3].numpy(), expected, atol=1e-7)

    def test_rows_of_other_groups_do_not_matter(self) -> None:
        """So the same rows say the same in a batch of 8 as in micro-batches of 4."""
        x = normal(8, 3, 4, 4)
        assert torch.equal(minibatch_stddev(x, 4)[4:], minibatch_stddev(x[4:], 4))

    def test_equal_rows_have_none(self) -> None:
        assert float(minibatch_stddev(normal(1, 2, 4, 4).expand(4, -1, -1, -1), 4)[:, 2].max()) == pytest.approx(1e-4)


class TestDiscriminator:
    def test_a_block_halves(self) -> None:
        assert built(lambda: Block(3, 5))(normal(2, 3, 16, 16)).shape == (2, 5, 8, 8)

    def test_logits_are_one_per_image(self) -> None:
        assert built(lambda: Discriminator(WIDTHS, 4))(normal(8, 1, 8, 8)).shape == (8,)
