"""Laws of denoising: what v, noise and x_0 say of each other; samplers against diffusers' own and exact maps."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from mad_ray.families import diffusion
from mad_ray.shims import mend_torchvision

PREDICTIONS = ("epsilon", "v", "sample")
SPREAD = 0.3


def noises(shape: tuple[int, ...], n: int) -> list[Tensor]:
    return [torch.randn(shape, generator=torch.Generator().manual_seed(k)) for k in range(n)]


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_noise_image_and_what_is_predicted_say_the_same(prediction):
    """(x_0, eps) -> x_t and the prediction -> (x_0, eps), in float64, at every t of both schedules."""
    x0, eps = (noise.double() for noise in noises((2, 1, 4, 4), 2))
    for schedule in ("linear", "squaredcos_cap_v2"):
        for a in diffusion.abar_of(schedule, 500).double():
            x = a.sqrt() * x0 + (1 - a).sqrt() * eps
            said = diffusion.target(x0, eps, a, prediction)
            # Dividing by sqrt(abar) = 5e-5 at the noisy end, or sqrt(1 - abar) = 5e-3 at the other, costs digits.
            tolerance = 1e-14 / float(a.sqrt()) / float((1 - a).sqrt())
            found = diffusion.to_x0(x, said, a, prediction)
            torch.testing.assert_close(found, x0, rtol=0, atol=10 * tolerance)
            torch.testing.assert_close(diffusion.to_eps(x, x0, a), eps, rtol=0, atol=10 * tolerance)


def test_v_is_the_noise_where_there_is_none_and_minus_the_image_where_there_is_nothing_else():
    x0, eps = noises((2, 1, 4, 4), 2)
    assert torch.equal(diffusion.target(x0, eps, torch.tensor(1.0), "v"), eps)
    assert torch.equal(diffusion.target(x0, eps, torch.tensor(0.0), "v"), -x0)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_is_zero_for_who_knows_the_image_and_one_for_who_says_nothing(prediction):
    """A network that knows x_0 = 0 predicts exactly; one that says 0 errs by the prediction's second moment."""
    abar = diffusion.abar_of("linear", 500)
    x, label = torch.full((4096, 1, 2, 2), 255, dtype=torch.uint8), torch.zeros(4096, dtype=torch.long)

    def loss(answer: Callable[[Tensor, Tensor], Tensor]) -> float:
        class Net(torch.nn.Module):
            def forward(self, x: Tensor, t: Tensor, label: Tensor, return_dict: bool) -> tuple[Tensor]:
                return (answer(x, abar[t].view(-1, 1, 1, 1)),)

        generator = torch.Generator().manual_seed(0)
        found = diffusion.diffusion_loss(
            Net(), x, label, generator, abar=abar, n_classes=1, dropout=0.1, prediction=prediction
        )
        return float(found)

    def knows(x: Tensor, a: Tensor) -> Tensor:
        x0 = torch.ones_like(x)
        return diffusion.target(x0, diffusion.to_eps(x, x0, a), a, prediction)

    # float32 noise recovered from an almost clean image.
    assert loss(knows) < 1e-6
    # eps^2, v^2 and x_0^2 are all 1 on average, as the image is 1 everywhere: 16,384 values of variance 2 at most.
    assert loss(lambda x, a: torch.zeros_like(x)) == pytest.approx(1.0, abs=0.05)


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
        x0 = diffusion.to_x0(x, eps, abar[t], "epsilon").clamp(-1, 1)
        ours = diffusion.step(
            x, x0, abar[t], abar[prev] if prev >= 0 else torch.ones(()), 1.0, lambda noise=noise: noise
        )
        # The two forms differ by cancellation in 1 - abar, of relative size 1e-7 / (1 - abar), which is 1e-3 at t = 0.
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)
        x = expected


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("n_steps", [5, 25])
def test_ddim_is_diffusers_own(n_steps, prediction):
    mend_torchvision()
    from diffusers import DDIMScheduler

    kind = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
    theirs = DDIMScheduler(50, beta_schedule="squaredcos_cap_v2", timestep_spacing="trailing", prediction_type=kind)
    theirs.set_timesteps(n_steps)
    abar = diffusion.abar_of("squaredcos_cap_v2", 50)
    x, said = noises((2, 1, 4, 4), 2)
    denoised = diffusion.denoise(
        lambda x, t: said, lambda: x, abar=abar, prediction=prediction, sampler="ddim", n_steps=n_steps
    )
    for t in theirs.timesteps:
        x = theirs.step(said, t, x, use_clipped_model_output=True).prev_sample
    torch.testing.assert_close(denoised, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("T", "n"), [(500, 25), (500, 15), (7, 7), (9, 4), (1, 1)])
def test_timesteps_start_at_the_noise_and_fall(T, n):
    steps = diffusion.timesteps(T, n)
    assert len(steps) == n
    assert steps[0] == T - 1
    assert all(a > b >= 0 for a, b in pairwise(steps))


def knower(mean: float, spread: float, abar: Tensor, prediction: str) -> Callable[[Tensor, int], Tensor]:
    """The best network for data N(mean, spread^2): it says what follows from E[x_0 | x_t], known in closed form."""

    def said(x: Tensor, t: int) -> Tensor:
        a = abar[t]
        x0 = mean + a.sqrt() * spread**2 * (x - a.sqrt() * mean) / (a * spread**2 + 1 - a)
        return diffusion.target(x0, diffusion.to_eps(x, x0, a), a, prediction)

    return said


def relative_error(sampler: str, schedule: str, n_steps: int, prediction: str, T: int = 1000) -> float:
    """By how much the spread of what is sampled misses that of the data, exactly: all is linear in the noises.

    Each noise drawn is a unit vector of its own (times 0.01, out of reach of the clipping), so the sample's coordinates
    are its coefficients, and their norm its standard deviation.
    """
    abar = diffusion.abar_of(schedule, T).double()
    units = iter(torch.eye(n_steps + 1, dtype=torch.float64) * 0.01)
    x = diffusion.denoise(
        knower(0.0, SPREAD, abar, prediction),
        lambda: next(units).view(1, 1, 1, -1),
        abar=abar,
        prediction=prediction,
        sampler=sampler,
        n_steps=n_steps,
    )
    return abs(float(x.norm()) / 0.01 / SPREAD - 1)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("schedule", ["squaredcos_cap_v2", "linear"])
class TestGaussian:
    """Samplers told the optimal denoiser of N(0, SPREAD^2) come to the exact map, at the rate that theory gives."""

    def test_ddim_is_of_first_order(self, schedule, prediction):
        errors = [relative_error("ddim", schedule, n, prediction) for n in (40, 80, 160, 320)]
        assert errors[-1] < 0.016
        for coarse, fine in pairwise(errors):
            assert coarse / fine == pytest.approx(2.0, abs=0.1)

    def test_ancestral_sampling_nears_the_spread_too(self, schedule, prediction):
        """It is no exact map: the posterior's variance for one x_0 is too small, by an amount that falls with steps."""
        errors = [relative_error("ancestral", schedule, n, prediction) for n in (80, 160, 320)]
        assert errors[-1] < 0.04
        for coarse, fine in pairwise(errors):
            assert 1.6 < coarse / fine < 2.1

    @pytest.mark.parametrize(
        ("second", "first", "share"), [("dpm_solver", "ddim", 1 / 3), ("sde_dpm_solver", "ancestral", 1 / 2)]
    )
    def test_solvers_of_second_order_err_less(self, schedule, prediction, second, first, share):
        """By this share at most, until the clipped ends of the schedule (in diffusers' solver) are all that is left."""
        for n in (40, 80, 160):
            errors = [relative_error(sampler, schedule, n, prediction) for sampler in (second, first)]
            assert errors[0] < share * errors[1]

    @pytest.mark.parametrize("sampler", list(diffusion.SAMPLERS))
    @pytest.mark.parametrize("n_steps", [1, 2, 7, 50])
    def test_a_single_point_is_found_exactly_however_few_the_steps(self, schedule, prediction, sampler, n_steps):
        abar = diffusion.abar_of(schedule, 500).double()
        draws = iter(noise.double() for noise in noises((5, 1, 1, 1), n_steps + 1))
        x = diffusion.denoise(
            knower(0.4, 0.0, abar, prediction),
            lambda: next(draws),
            abar=abar,
            prediction=prediction,
            sampler=sampler,
            n_steps=n_steps,
        )
        # float32 betas in diffusers' solver; the rest is rounding of float64.
        torch.testing.assert_close(x, torch.full_like(x, 0.4), rtol=0, atol=1e-6)


@pytest.mark.parametrize("sampler", list(diffusion.SAMPLERS))
@pytest.mark.parametrize("schedule", ["squaredcos_cap_v2", "linear"])
@pytest.mark.parametrize("n_steps", [1, 15, 500])
def test_samplers_draw_the_gaussian_they_are_told_of(sampler, schedule, n_steps):
    """With its mean, and with clipping at [-1, 1] in reach; few steps lose variance, none the mean."""
    m, s, abar = 0.3, 0.1, diffusion.abar_of(schedule, 500)
    draws = iter(noises((4000, 1, 1, 1), 501))
    x = diffusion.denoise(
        knower(m, s, abar, "epsilon"),
        lambda: next(draws),
        abar=abar,
        prediction="epsilon",
        sampler=sampler,
        n_steps=n_steps,
    )
    assert torch.isfinite(x).all()
    assert float(x.mean()) == pytest.approx(m, abs=0.02)
    # 1.1 % is one standard error of a spread from 4,000 samples; the rest is the steps' own error.
    assert float(x.std()) < 1.04 * s
    if n_steps == 500:
        assert float(x.std()) == pytest.approx(s, rel=0.05)


def test_bytes_survive_the_unit_interval():
    x = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(diffusion.to_bytes(diffusion.to_unit(x)), x)
