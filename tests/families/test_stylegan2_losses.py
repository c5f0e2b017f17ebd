"""StyleGAN2's losses and regularisers against known answers, and the four kinds of steps."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as f

from mad_ray.families.stylegan2.discriminator import Discriminator
from mad_ray.families.stylegan2.generator import Generator
from mad_ray.families.stylegan2.losses import (
    discriminator_loss,
    generator_loss,
    path_lengths,
    path_penalty,
    r1_penalty,
)
from tests.families.stylegan2_parts import WIDTHS, built, chance, game, normal


class TestLosses:
    def test_they_are_cross_entropies(self) -> None:
        real, fake = normal(9), normal(9, seed=1)
        entropy = f.binary_cross_entropy_with_logits
        expected = entropy(real, torch.ones_like(real)) + entropy(fake, torch.zeros_like(fake))
        assert torch.allclose(discriminator_loss(real=real, fake=fake), expected)
        assert torch.allclose(generator_loss(fake), entropy(fake, torch.ones_like(fake)))

    def test_r1_of_a_linear_discriminator_is_its_squared_norm(self) -> None:
        w, x = normal(3, 5, 5), normal(4, 3, 5, 5, seed=1)
        found = r1_penalty(lambda x: (x * w).sum((1, 2, 3)), x)
        assert float(found) == pytest.approx(float(w.square().sum()), rel=1e-12)

    def test_r1_of_a_real_discriminator_by_finite_differences(self) -> None:
        """Both the penalty, and its derivative along a direction in the weights."""
        net, x, h = built(lambda: Discriminator(WIDTHS, 4)), normal(4, 1, 8, 8), 1e-5
        penalty = r1_penalty(net, x)
        steps = h * torch.eye(4 * 64, dtype=torch.float64).view(-1, 4, 1, 8, 8)
        with torch.no_grad():
            gradient = torch.stack([(net(x + step).sum() - net(x - step).sum()) / (2 * h) for step in steps])
        # The leaky ReLU's kinks are rarely within h.
        assert float(penalty.detach()) == pytest.approx(float(gradient.square().sum() / 4), rel=1e-5)
        assert_slope(lambda: r1_penalty(net, x), net.blocks[0].first.weight)

    def test_path_length_of_a_linear_generator_is_known(self) -> None:
        """Images A_0 w_0 + A_1 w_1: the length is sqrt of the mean over k of |A_k^T y|^2 / (H W)."""
        a, w, y = normal(2, 3, 48), normal(5, 2, 3, seed=1).requires_grad_(), normal(5, 3, 4, 4, seed=2)
        found = path_lengths(lambda w: torch.einsum("nkd,kdp->np", w, a).view(5, 3, 4, 4), w, y)
        back = torch.einsum("kdp,np->nkd", a, y.flatten(1)) / 4
        assert torch.allclose(found, back.square().sum(2).mean(1).sqrt(), rtol=1e-12)
        assert float(path_penalty(found, found.mean())) == pytest.approx(float(found.var(unbiased=False)))

    def test_path_length_of_a_real_generator_by_finite_differences(self) -> None:
        net, h = built(lambda: Generator(WIDTHS, 6, 2, 0.01)), 1e-5
        w, maps, y = normal(2, net.n_styles, 6).requires_grad_(), normal(2, net.n_noise, seed=1), normal(2, 1, 8, 8)
        lengths = path_lengths(lambda w: net(w, maps), w, y)
        steps = h * torch.eye(net.n_styles * 6, dtype=torch.float64).view(-1, 1, net.n_styles, 6)
        with torch.no_grad():
            moved = torch.stack([((net(w + e, maps) - net(w - e, maps)) * y / 8).sum((1, 2, 3)) for e in steps]) / (
                2 * h
            )
        assert torch.allclose(lengths, (moved.square().sum(0) / net.n_styles).sqrt(), rtol=1e-5)
        weight = net.layers[0].conv.weight
        assert_slope(lambda: path_penalty(path_lengths(lambda w: net(w, maps), w, y), torch.tensor(0.3)), weight)


def assert_slope(loss: Callable[[], Tensor], weight: nn.Parameter, h: float = 1e-6) -> None:
    """The loss's derivative along a direction in one weight, against a central difference."""
    (gradient,) = torch.autograd.grad(loss(), weight)
    direction = normal(*weight.shape, seed=9)
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * h * direction
        values.append(float(loss().detach()))
        with torch.no_grad():
            weight -= sign * h * direction
    assert abs(values[0] - values[1]) > 0
    assert float((gradient * direction).sum()) == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-4)


class TestGame:
    def test_regularisers_are_lazy_and_adam_knows(self) -> None:
        phases = game().phases()
        assert [phase.every for phase in phases] == [1, 16, 1, 4]
        assert len({phase.address for phase in phases}) == 4
        for phase, k in zip(phases, (16, 16, 4, 4), strict=True):
            assert phase.betas == (0.0, pytest.approx(0.99 ** (k / (k + 1))))
            assert phase.learning_rate == pytest.approx(2.5e-3 * k / (k + 1))
            assert (phase.schedule, phase.max_grad_norm) == ("constant", 0.0)

    def test_a_regulariser_of_weight_0_is_left_out(self) -> None:
        phases = game(r1_gamma=0.0, path_weight=0.0).phases()
        assert [phase.address for phase in phases] == [("discriminator",), ("generator",)]
        assert all(phase.betas == (0.0, 0.99) and phase.learning_rate == 2.5e-3 for phase in phases)

    def test_r1_counts_for_the_steps_between(self) -> None:
        """gamma / 2 * every * |w|^2 of a linear discriminator; augmentation off, so that its gradient is w."""

        class Linear(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x.sum((1, 2, 3)) * 3

        x = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
        loss = game(r1_gamma=0.5, r1_every=7).r1(Linear(), x, torch.zeros(4), chance())
        assert float(loss) == pytest.approx(0.5 / 2 * 7 * 64 * 9)

    def test_path_lengths_have_a_running_mean(self) -> None:
        """At first of all so far, later with weight path_decay for the newest."""
        one, seen = game(path_decay=0.25), []
        for told in (8.0, 4.0, 3.0, 1.0, 9.0, 1.0):
            one.follow(torch.tensor([told]))
            seen.append(float(one.generator.path_length))
        assert seen == pytest.approx([8, 6, 5, 4, 5.25, 0.75 * 5.25 + 0.25], rel=1e-6)

    def test_path_penalty_counts_for_the_steps_between_and_tells_the_lengths(self) -> None:
        one, x = game(path_weight=2.0, path_every=3), torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
        loss, told = one.path(one.generator, x, torch.zeros(4), chance())
        one.generator.path_length.copy_(told[0])
        other, again = one.path(one.generator, x, torch.zeros(4), chance())
        assert torch.equal(told, again)
        # mean (l - a)^2 at a = 0 less that at a = mean l is (mean l)^2.
        assert float(loss - other) == pytest.approx(2 * 3 * float(told) ** 2, rel=1e-4)

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_styles_mix_as_often_as_asked(self, share: float) -> None:
        one = game(style_mixing=share)
        w = one._styles(200, torch.device("cpu"), chance())
        changes = (w[:, 1:] != w[:, :-1]).any(dim=2)
        assert set(changes.sum(dim=1).tolist()) == {int(share)}, "from one style to the other once, or never"
        if share:
            assert changes.any(dim=0).all(), "at any layer"
