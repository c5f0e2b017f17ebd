"""Laws of rectified flow: exact velocities give exact maps at the solvers' orders; sizes, classes, what is refused."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import fully_synthetic
from mad_ray.core.samples import NO_LABEL, Event, Samples
from mad_ray.families import DiT, FlowMatching, rectified
from mad_ray.families.family import Model
from mad_ray.families.progress import Progress
from tests.families.in_memory import InMemory

KEYS = Keys((3,))
FLOW = FlowMatching(channels=(8, 16), n_steps=2, batch_size=8, sampler_steps=4, chunk=4)
DIT = DiT(width=16, depth=1, n_heads=2, n_steps=2, batch_size=8, sampler_steps=4, chunk=4)
MEAN, SPREAD = 0.2, 0.3


def exact_velocity(x: Tensor, t: Tensor) -> Tensor:
    """E[image - noise | x_t] for images N(MEAN, SPREAD^2), by the regression of a Gaussian on a Gaussian."""
    variance = (1 - t) ** 2 + t**2 * SPREAD**2
    return MEAN + (t * SPREAD**2 - (1 - t)) / variance * (x - t * MEAN)


def errors(solver: str, n_calls: tuple[int, ...]) -> list[float]:
    """How far the solver's map is from the exact one, x_1 = MEAN + SPREAD x_0, at most over x_0 in -2..2; float64."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    return [float((rectified.SOLVERS[solver](exact_velocity, x, n) - (MEAN + SPREAD * x)).abs().max()) for n in n_calls]


@pytest.mark.parametrize(("solver", "order", "n_calls"), [("euler", 1, (64, 128, 256)), ("heun", 2, (128, 256, 512))])
def test_solvers_come_to_the_exact_map_at_their_order(solver, order, n_calls):
    found = errors(solver, n_calls)
    assert found[-1] < {1: 5e-3, 2: 1e-4}[order]
    for coarse, fine in pairwise(found):
        assert coarse / fine == pytest.approx(2**order, rel=0.06)


def test_heun_takes_two_calls_a_step_and_euler_one():
    for solver in rectified.SOLVERS:
        times: list[float] = []

        def velocity(x: Tensor, t: Tensor, times: list[float] = times) -> Tensor:
            times.append(float(t))
            return x

        rectified.SOLVERS[solver](velocity, torch.zeros(1), 6)
        assert len(times) == 6
        assert times[0] == 0


def test_a_straight_path_is_walked_in_one_step():
    """Where every image is the same point the velocity is constant along each path."""
    x, point = torch.randn(5, dtype=torch.float64), 0.4

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return (point - x) / (1 - t)

    assert torch.allclose(rectified.euler(velocity, x, 1), torch.full_like(x, point), atol=1e-12)


def test_the_loss_is_least_at_the_exact_velocity():
    """It is then Var[image - noise | x_t], averaged over t: here by the closed form, and more for any other network."""
    rng = np.random.default_rng(0)
    unit = MEAN + SPREAD * rng.standard_normal((40_000, 1, 1, 1))
    x = torch.from_numpy(((unit + 1) * 127.5).round().clip(0, 255).astype(np.uint8))

    def loss(factor: float) -> float:
        class Net(torch.nn.Module):
            def forward(self, x: Tensor, t: Tensor, label: Tensor, return_dict: bool) -> tuple[Tensor]:
                return (factor * exact_velocity(x, t.view(-1, 1, 1, 1) / rectified.TIME),)

        generator = torch.Generator().manual_seed(0)
        label = torch.full((len(x),), -1)
        return float(rectified.flow_loss(Net(), x, label, generator, n_classes=0, dropout=0.0))

    t = np.linspace(0, 1, 10_001)
    variance = (1 - t) ** 2 + t**2 * SPREAD**2
    expected = np.mean(1 + SPREAD**2 - (t * SPREAD**2 - (1 - t)) ** 2 / variance)
    # 3 standard errors of 40,000 squares whose spread is twice their mean at most.
    assert loss(1.0) == pytest.approx(expected, rel=0.03)
    assert loss(0.8) > loss(1.0) < loss(1.2)


def images(event: Event, n: int = 12) -> InMemory:
    label = np.arange(n) % event.n_classes if event.n_classes else np.full(n, NO_LABEL)
    stream = InMemory(
        Samples.of(np.random.default_rng(0).integers(0, 256, (1, n, *event.shape), np.uint8), label[None])
    )
    stream.event = event
    return stream


def fit(family: FlowMatching, event: Event) -> Model:
    return family.fit(images(event), KEYS.at("fit", 1), Progress())


@pytest.mark.parametrize("family", [FLOW, DIT], ids=["flow_matching", "dit"])
@pytest.mark.parametrize(
    "event", [Event((1, 28, 28), "uint8", 10), Event((3, 32, 32), "uint8", 10), Event((2, 7, 9), "uint8", 0)]
)
def test_any_image_size_with_or_without_classes(family, event):
    family = replace(family, n_steps=1, chunk=2)
    samples = family.sample(fit(family, event), 0, 3, 1.0, KEYS.at("sample", 1))
    assert samples.x.shape == (1, 3, *event.shape)
    assert samples.x.dtype == np.uint8
    assert samples.label[0].tolist() == ([0, 1, 2] if event.n_classes else [NO_LABEL] * 3)


def test_solvers_and_guidance_change_the_samples():
    event = Event((1, 8, 8), "uint8", 2)
    model = fit(replace(FLOW, n_steps=20), event)
    drawn = {
        (sampler, bias): replace(FLOW, sampler=sampler).sample(model, 0, 4, bias, KEYS.at("sample", 1)).x.tobytes()
        for sampler in ("euler", "heun")
        for bias in (1.0, 0.5)
    }
    assert len(set(drawn.values())) == 4


def test_unconditional_samples_have_no_label():
    event = Event((1, 8, 8), "uint8", 10)
    family = replace(FLOW, conditional=False)
    assert set(family.sample(fit(family, event), 0, 5, 1.0, KEYS).label[0]) == {NO_LABEL}
    with pytest.raises(InvalidInput, match=r"family=flow_matching biases by .* told no class"):
        family.check(event, fully_synthetic(n_initial=5, bias=0.5), 0)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (FlowMatching, {"sampler_steps": 5}, r"family\.sampler_steps=5 with sampler=heun: .* even number"),
        (FlowMatching, {"sampler_steps": 0}, r"family\.sampler_steps=0"),
        (FlowMatching, {"depth": 2}, r"family\.depth=2 is a setting of network=dit"),
        (DiT, {"channels": (8,)}, r"family\.channels=\(8,\) is a setting of network=unet"),
        (DiT, {"width": 30}, r"family\.width=30 must be a multiple of 4"),
    ],
)
def test_settings_are_checked_at_once(kind, settings, message):
    with pytest.raises(InvalidInput, match=message):
        kind(**settings)
