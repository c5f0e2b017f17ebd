"""Laws of the WGAN-GP: the penalty, the signs of both losses, who is trained when, and what lambda scales."""

import math
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.families import WganGp
from mad_ray.families.diffusion import to_bytes, to_unit
from mad_ray.families.network import noise
from mad_ray.families.neural import Recipe, initialised, train
from mad_ray.families.optimisers import Training
from mad_ray.families.phase import Phase
from mad_ray.families.progress import Progress
from mad_ray.families.rows import Rows, generator_of
from mad_ray.families.wgan_nets import (
    Critic,
    Generator,
    critic_loss,
    distance,
    generator_loss,
    gradient_penalty,
)
from tests.families.in_memory import InMemory

KEYS = Keys((3,)).at("fit", 1)
TINY = WganGp(channels=(4, 8), n_latent=4, n_steps=4, batch_size=8, chunk=4)
DIGIT = Event((1, 8, 8), "uint8", 10)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(weight: Tensor) -> nn.Sequential:
    """x [n, ...] -> w x [n], the critic whose gradient is w everywhere."""
    layer = nn.Linear(len(weight), 1, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight[None])
    return nn.Sequential(nn.Flatten(), layer, nn.Flatten(0))


def images(n: int = 40, shape: tuple[int, ...] = (1, 8, 8), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


class TestPenalty:
    @pytest.mark.parametrize("length", [0.0, 0.5, 1.0, 3.0])
    def test_of_a_linear_critic_it_is_known(self, length: float) -> None:
        """(|w| - 1)^2, so 0 for the slope that a 1-Lipschitz critic may just have; and finite gradients at w = 0."""
        w = numbers(12)
        critic = linear(length * w / w.norm())
        penalty = gradient_penalty(critic, numbers(5, 3, 2, 2), numbers(5, 3, 2, 2, seed=1), torch.rand(5).double())
        assert penalty.item() == pytest.approx((length - 1) ** 2, abs=1e-12)
        penalty.backward()
        gradient = critic[1].weight.grad
        assert torch.isfinite(gradient).all()
        # d/dw (|w| - 1)^2 = 2 (|w| - 1) w/|w|
        assert torch.allclose(gradient[0], 2 * (length - 1) * (w / w.norm()) * (length > 0), atol=1e-12)

    @pytest.mark.parametrize("norm", ["none", "layer"])
    def test_of_the_critic_it_agrees_with_finite_differences(self, norm: str) -> None:
        """An oracle that knows nothing of autograd: every pixel moved by h to both sides, in float64."""
        critic = initialised(lambda: Critic((1, 7, 6), (3, 4), 2, 3, norm), 1).double()
        # The critic answers in float32, too coarse for differences.
        score = lambda x: critic.layers(x).squeeze(1)  # noqa: E731
        real, fake, share = numbers(3, 1, 7, 6), numbers(3, 1, 7, 6, seed=1), torch.tensor([0.0, 0.3, 1.0]).double()
        x, h = share.view(-1, 1, 1, 1) * real + (1 - share.view(-1, 1, 1, 1)) * fake, 1e-6
        with torch.no_grad():
            columns = [
                (score(x + h * e) - score(x - h * e)) / (2 * h) for e in torch.eye(42).double().view(42, 1, 1, 7, 6)
            ]
        expected = (torch.stack(columns, dim=1).norm(dim=1) - 1).square().mean()
        assert gradient_penalty(score, real, fake, share).item() == pytest.approx(expected.item(), rel=1e-5)

    def test_it_is_taken_between_the_two(self) -> None:
        """D(x) = |x|^2 / 2 has gradient x itself, so the penalty names the place: share of real, the rest of fake."""
        real, fake = torch.full((2, 1), 3.0), torch.full((2, 1), 7.0)
        square = lambda x: x.square().sum(dim=1) / 2  # noqa: E731
        assert gradient_penalty(square, real, fake, torch.tensor([1.0, 1.0])).item() == pytest.approx(4.0)
        assert gradient_penalty(square, real, fake, torch.tensor([0.0, 0.0])).item() == pytest.approx(36.0)
        assert gradient_penalty(square, real, fake, torch.tensor([0.25, 0.25])).item() == pytest.approx(25.0)

    def test_each_image_is_judged_by_itself(self) -> None:
        """No batch statistics: the penalty of a batch is the mean of its rows' penalties."""
        critic = initialised(lambda: Critic((1, 8, 8), (4, 8), 1, 3, "layer"), 1)
        real, fake, share = numbers(6, 1, 8, 8).float(), numbers(6, 1, 8, 8, seed=1).float(), torch.rand(6)
        alone = [gradient_penalty(critic, real[i : i + 1], fake[i : i + 1], share[i : i + 1]).item() for i in range(6)]
        assert gradient_penalty(critic, real, fake, share).item() == pytest.approx(np.mean(alone), rel=1e-4)


class Shifted(nn.Module):
    """A generator that is known: grey noise of the spread of `cloud`, moved by `shift` in every pixel."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, z: Tensor) -> Tensor:
        return (0.2 * z + self.shift).view(len(z), 1, 4, 4)


def cloud(n: int = 2000) -> Tensor:
    """Bytes of N(0, 0.2^2) in every pixel; their rounding is 2 % of that spread."""
    return to_bytes(0.2 * numbers(n, 1, 4, 4, seed=5).float())


SHIFT = 0.2
DISTANCE = SHIFT * math.sqrt(16)
"""Of a cloud and itself moved by SHIFT in each of 16 pixels: W1 is how far it was moved."""
PEAK = DISTANCE * (1 + DISTANCE / 20)
"""What the critic finds: with slope g it gains g W - 10 (g - 1)^2, most of it at g = 1 + W/20."""


class TestCriticLoss:
    def estimate(self, critic: nn.Module, n_steps: int, learning_rate: float) -> float:
        """The distance of cloud and shifted cloud by this critic, trained by its loss alone."""
        rows = Rows(cloud(), torch.zeros(2000, dtype=torch.int64), None)

        def loss(critic: nn.Module, x: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
            return critic_loss(critic, x, label, generator, net=Shifted(SHIFT), n_latent=16, penalty=10.0)

        recipe = Recipe(n_steps, 64, learning_rate, weight_decay=0.0, ema_decay=0.9)
        train([Phase(critic, loss, betas=(0.0, 0.9), max_grad_norm=0)], critic, rows, recipe, KEYS, Progress())
        with torch.no_grad():
            fake = Shifted(SHIFT)(numbers(4000, 16, seed=6).float())
            return distance(critic, to_unit(cloud(4000)), fake).item()

    def test_a_linear_critic_ends_where_the_loss_has_its_peak(self) -> None:
        critic = linear(torch.zeros(16))
        assert self.estimate(critic, 300, 0.02) == pytest.approx(PEAK, rel=0.03)

    def test_the_critic_measures_how_far_two_clouds_lie_apart(self) -> None:
        critic = initialised(lambda: Critic((1, 4, 4), (16,), 1, 3, "none"), 2)
        assert self.estimate(critic, 300, 0.01) == pytest.approx(PEAK, rel=0.1)

    def test_a_critic_that_likes_real_images_has_the_smaller_loss(self) -> None:
        x, generator = cloud(64), torch.Generator()
        slope = torch.full((16,), -0.25)
        good, bad = (
            critic_loss(linear(w), x, x, generator, net=Shifted(SHIFT), n_latent=16, penalty=10.0).item()
            for w in (slope, -slope)
        )
        # Slopes of length 1 pay no penalty; what remains is the distance along them.
        assert good == pytest.approx(-DISTANCE, abs=0.15)
        assert bad == pytest.approx(DISTANCE, abs=0.15)

    def test_the_penalty_has_its_weight(self) -> None:
        x, slope = cloud(64), torch.full((16,), 0.5)
        lightly, heavily = (
            critic_loss(
                linear(slope), x, x, torch.Generator().manual_seed(1), net=Shifted(0), n_latent=16, penalty=weight
            ).item()
            for weight in (1.0, 10.0)
        )
        assert heavily - lightly == pytest.approx(9 * (2.0 - 1) ** 2, rel=1e-4)


def test_the_generator_is_pulled_to_where_the_critic_is_high() -> None:
    net = nn.Linear(4, 3)
    loss = generator_loss(net, images(8), torch.zeros(8), torch.Generator(), critic=linear(torch.ones(3)), n_latent=4)
    loss.backward()
    assert torch.allclose(net.bias.grad, -torch.ones(3)), "a step against the gradient raises every output"


@dataclass
class Step:
    """One step of an optimiser: its gradients, and the weights of all modules before and after it."""

    phase: Phase
    gradients: list[Tensor]
    before: dict[int, dict[str, Tensor]]
    weights: dict[int, bytes]


def weights(module: nn.Module) -> bytes:
    return b"".join(parameter.detach().numpy().tobytes() for parameter in module.parameters())


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Fills up with every step that `train` takes."""
    taken, step = [], Training.step

    def spy(training: Training, phase: Phase, rate: float) -> None:
        gradients = [parameter.grad.clone() for parameter in phase.module.parameters()]
        before = {id(module): deepcopy(module.state_dict()) for module in training.modules}
        step(training, phase, rate)
        taken.append(Step(phase, gradients, before, {id(module): weights(module) for module in training.modules}))

    monkeypatch.setattr(Training, "step", spy)
    return taken


def train_on(x: np.ndarray, phases: list[Phase], recipe: Recipe) -> nn.Module:
    rows = Rows(torch.from_numpy(x), torch.zeros(len(x), dtype=torch.int64), None)
    return train(phases, phases[-1].module, rows, recipe, KEYS, Progress())


class TestTurns:
    """Algorithm 1: n_critic steps of one network, then one of the other."""

    @pytest.fixture
    def phases(self) -> list[Phase]:
        net = initialised(lambda: TINY.build(DIGIT), 1)
        return TINY.phases(net, DIGIT, KEYS)

    def test_the_paper_says_how_often_and_how(self, phases: list[Phase]) -> None:
        critic, net = phases
        assert [len(critic.turns(s)) for s in range(3)] == [TINY.n_critic] * 3
        assert [len(net.turns(s)) for s in range(3)] == [1] * 3
        assert critic.betas == net.betas == (0.0, 0.9)
        assert critic.max_grad_norm == net.max_grad_norm == 0
        assert critic.address != net.address

    def test_a_step_of_one_leaves_the_other_untouched(self, phases: list[Phase], steps: list[Step]) -> None:
        before = [weights(phase.module) for phase in phases]
        train_on(images(), phases, Recipe(3, 8, 1e-2, 0.0, 0.9))
        assert [phases.index(step.phase) for step in steps] == [0, 0, 1] * 3
        for step in steps:
            turn = phases.index(step.phase)
            after = [step.weights[id(phase.module)] for phase in phases]
            assert after[turn] != before[turn]
            assert after[1 - turn] == before[1 - turn]
            before = after

    def test_gradients_are_means_over_the_parts_of_a_batch(self, phases: list[Phase], steps: list[Step]) -> None:
        """Four parts of two rows: each by itself, from its own stream, then averaged. No part knows of the others."""
        train_on(images(), phases, Recipe(1, 8, 1e-2, 0.0, 0.9, micro_batches=4))
        rows = Rows(torch.from_numpy(images()), torch.zeros(40, dtype=torch.int64), None)
        step, keys = steps[0], KEYS.at("critic")
        net, critic = TINY.build(DIGIT), phases[0].module
        net.load_state_dict(step.before[id(phases[1].module)])
        critic.load_state_dict(step.before[id(critic)])
        expected = [torch.zeros_like(gradient) for gradient in step.gradients]
        for m in range(4):
            generator = generator_of(keys, "step", 0, m)
            x, label = rows.take(rows.order(2 * m, 2, keys, generator), torch.device("cpu"))
            loss = critic_loss(critic, x, label, generator, net=net, n_latent=4, penalty=10.0)
            for total, part in zip(expected, torch.autograd.grad(loss, list(critic.parameters())), strict=True):
                total += part / 4
        for gradient, mean in zip(step.gradients, expected, strict=True):
            assert torch.allclose(gradient, mean, rtol=1e-4, atol=1e-6)


class TestNetworks:
    @pytest.mark.parametrize(
        ("shape", "patch", "channels"),
        [
            ((1, 8, 8), 1, (4, 8)),
            ((1, 8, 8), 2, (4, 8)),
            ((1, 28, 28), 2, (4, 8)),
            ((1, 28, 28), 1, (4, 8, 8)),
            ((3, 32, 32), 2, (4, 8, 8)),
            ((3, 64, 64), 4, (4, 8, 8)),
            ((2, 9, 13), 2, (4, 8)),
            ((1, 31, 17), 3, (4, 8)),
        ],
    )
    @pytest.mark.parametrize("kernel_size", [3, 5])
    def test_images_of_any_size(self, shape: tuple, patch: int, channels: tuple, kernel_size: int) -> None:
        net, critic = (
            Generator(shape, channels, 5, kernel_size),
            Critic(shape, channels, patch, kernel_size, "none"),
        )
        x = net(torch.randn(3, 5))
        assert x.shape == (3, *shape)
        assert x.abs().max() <= 1
        assert critic(x).shape == (3,)

    def test_every_pixel_is_judged(self) -> None:
        """Odd sides and patches of 2: none is cut off on the way to the critic."""
        critic, x = Critic((1, 9, 7), (4, 8), 2, 3, "none"), torch.randn(1, 1, 9, 7, requires_grad=True)
        critic(x).sum().backward()
        assert (x.grad != 0).all()

    def test_the_image_does_not_forget_how_long_z_is(self) -> None:
        """What lambda needs: before its last squashing the generator is far from scale-free."""
        net, z = (
            initialised(lambda: TINY.build(DIGIT), 1),
            torch.randn(64, 4, generator=torch.Generator().manual_seed(0)),
        )
        with torch.no_grad():
            spreads = [net(scale * z).std(dim=0).mean().item() for scale in (1.0, 0.5, 0.25)]
        assert spreads[1] < 0.75 * spreads[0]
        assert spreads[2] < 0.75 * spreads[1]


class TestLambda:
    @pytest.mark.parametrize("bias", [1.0, 0.25, 0.0])
    def test_samples_are_the_generator_at_z_of_variance_lambda(self, bias: float) -> None:
        """At lambda = 1 exactly the law it was trained at, z ~ N(0, I); at 0 one image."""
        model = TINY.fit(InMemory(Samples.of(images()[None])), KEYS, Progress())
        net = initialised(lambda: TINY.build(DIGIT), 9)
        net.load_state_dict({k.removeprefix("net."): torch.tensor(v) for k, v in model.items() if k.startswith("net.")})
        keys = KEYS.at("sample", 1)
        x = TINY.sample(model, 0, 8, bias, keys).x[0]
        z = np.concatenate([noise(keys, first, 4, (4,)) for first in (0, 4)])
        with torch.no_grad():
            expected = to_bytes(net(math.sqrt(bias) * torch.from_numpy(z))).numpy()
        # One level of 255: chunks of 4 and a batch of 8 may round apart.
        assert np.abs(x.astype(int) - expected).max() <= 1
        assert (len(np.unique(x.reshape(8, -1), axis=0)) == 1) == (bias == 0)


class TestSettings:
    def test_an_epoch_is_the_critics(self) -> None:
        """1,000 rows, 2 epochs, 5 critic steps of 10 rows a step: 40 steps, and 2,000 images seen."""
        family = WganGp(epochs=2, batch_size=10, n_critic=5)
        assert family.steps_of(1000) == 40
        assert family.images_of_fit(1000) == 2000
        assert WganGp().images_of_fit(1000) == 400 * 32 * 2

    @pytest.mark.parametrize("ema_decay", [0.0, 0.9])
    def test_without_an_average_the_model_is_the_last_weights(self, ema_decay: float, steps: list[Step]) -> None:
        net = initialised(lambda: TINY.build(DIGIT), 1)
        train_on(images(), TINY.phases(net, DIGIT, KEYS), Recipe(4, 8, 1e-2, 0.0, ema_decay))
        assert (weights(net) == steps[-1].weights[id(net)]) == (ema_decay == 0)

    @pytest.mark.parametrize(
        ("settings", "found"),
        [
            ({"channels": []}, "family.channels="),
            ({"channels": [8, 0]}, "family.channels="),
            ({"patch": 0}, "family.patch=0"),
            ({"n_critic": 0}, "family.n_critic=0"),
            ({"n_latent": 0}, "family.n_latent=0"),
            ({"kernel_size": 4}, "family.kernel_size=4"),
            ({"kernel_size": 1}, "family.kernel_size=1"),
            ({"penalty": 0.0}, "family.penalty=0"),
            ({"penalty": math.nan}, "family.penalty=nan"),
        ],
    )
    def test_bad_settings_are_refused_in_one_line(self, settings: dict, found: str) -> None:
        with pytest.raises(InvalidInput, match=found) as caught:
            WganGp(**settings)
        assert "\n" not in str(caught.value)

    def test_images_too_small_for_the_levels_are_refused(self) -> None:
        family, loop = WganGp(channels=(4, 8, 8), patch=2), Loop(20, n_synthetic=20)
        family.check(Event((1, 9, 9), "uint8"), loop, 0)
        with pytest.raises(InvalidInput, match=r"family=wgan_gp.*9x9 at least, found 8x8"):
            family.check(Event((1, 8, 8), "uint8"), loop, 0)
