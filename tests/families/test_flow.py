"""The flow: exact inverses and determinants, a density that is one, a start that only data decide."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy.stats import kstest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import fully_synthetic
from mad_ray.core.samples import Event, Samples
from mad_ray.data import GaussianData, Modes, Rosenbrock
from mad_ray.families import Flow
from mad_ray.families.couplings import ActNorm, Coupling, FlowNet, Linear, log_density
from mad_ray.families.family import Model
from mad_ray.families.kept import kept_module
from mad_ray.families.network import arrays_to_event
from mad_ray.families.neural import initialised
from mad_ray.families.progress import Progress
from mad_ray.families.rows import Rows as InMemory
from tests.contracts.fitting import Rows

KEYS = Keys((3,))
SMALL = Flow(n_couplings=4, hidden=16, epochs=0, n_steps=20, batch_size=64, chunk=256)
TRAINED = Flow(n_couplings=4, hidden=32, epochs=0, n_steps=250, batch_size=256, chunk=256)


def fit(family: Flow, x: np.ndarray) -> Model:
    event = Event(x.shape[1:], str(x.dtype))
    return family.fit(Rows(Samples.of(x[None]), event), KEYS.at("fit", 1), Progress())


def draw(family: Flow, model: Model, n: int, bias: float = 1.0) -> np.ndarray:
    return family.sample(model, 0, n, bias, KEYS.at("sample", 1)).x[0]


@pytest.fixture(scope="module")
def trained() -> Model:
    return fit(TRAINED, Rosenbrock().rows(0, 4000, KEYS).x[0])


def shaken(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """In float64, every weight moved at random, so that no part is the identity."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return module


def net_of(d: int) -> FlowNet:
    net = shaken(initialised(lambda: FlowNet(d, 3, 16), 1))
    net.set_from(5 + 3 * torch.randn(200, d, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    return net


def modules(d: int) -> list[torch.nn.Module]:
    norm = ActNorm(d)
    norm.set_from(2 + 3 * torch.randn(50, d, generator=torch.Generator().manual_seed(3)))
    return [shaken(norm), shaken(initialised(lambda: Linear(d), 1)), shaken(Coupling(d, 16)), net_of(d)]


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.parametrize("part", range(4), ids=["norm", "linear", "coupling", "whole"])
def test_inverse_and_determinant_are_exact(d: int, part: int) -> None:
    """float64: the round trip to 1e-9, log |det| as of autograd's Jacobian to 1e-9."""
    module = modules(d)[part]
    x = 3 * torch.randn(8, d, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    z, log_det = module(x)
    assert (z - x).abs().max() > 0.1, "the identity would pass"
    torch.testing.assert_close(module.inverse(z), x, rtol=1e-9, atol=1e-9)
    for i in range(len(x)):
        jacobian = torch.autograd.functional.jacobian(lambda row: module(row[None])[0][0], x[i])
        torch.testing.assert_close(log_det[i], torch.linalg.slogdet(jacobian)[1], rtol=1e-9, atol=1e-9)


def test_linear_starts_as_a_rotation() -> None:
    w = torch.eye(4) @ initialised(lambda: Linear(4), 5)(torch.eye(4))[0].T
    torch.testing.assert_close(w @ w.T, torch.eye(4), rtol=1e-5, atol=1e-5)


def test_couplings_start_as_the_identity_and_stretch_within_bounds() -> None:
    coupling = Coupling(4, 16)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(coupling(x)[0], x)
    far = 1e6 * torch.ones(1, 4, dtype=torch.float64)
    _, log_det = shaken(coupling)(far)
    assert log_det.abs() <= 2


@pytest.mark.parametrize("seed", range(3))
def test_the_density_integrates_to_one(seed: int) -> None:
    """Over a grid that holds all but 1e-4 of the samples; the rest is the rule of midpoints' error at kinks."""
    net = shaken(initialised(lambda: FlowNet(2, 2, 8), seed), seed)
    with torch.inference_mode():
        x = net.inverse(torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
        low, high = x.min(dim=0).values - 1, x.max(dim=0).values + 1
        cell = (high - low) / 1000
        axes = [low[j] + cell[j] * (torch.arange(1000, dtype=torch.float64) + 0.5) for j in range(2)]
        total = sum(
            float(log_density(net, torch.cartesian_prod(rows, axes[1])).exp().sum()) for rows in axes[0].split(50)
        )
    assert total * float(cell.prod()) == pytest.approx(1, abs=1e-3)


def test_training_finds_the_density(trained: Model) -> None:
    """0.20 nats from P_r after 250 steps were seen; the Gaussian of the same moments is 2.7 nats away."""
    law = Rosenbrock().law()
    nll = TRAINED.measure(trained, law, ["nll"])["nll"]
    assert nll.shape == (1,)
    # A 4096-row mean cannot be below the entropy by more than 5 of its own errors.
    assert -5 / 64 < nll[0] - law["entropy"] < 0.4


def test_nll_needs_rows_that_were_held_out(trained: Model) -> None:
    assert math.isnan(TRAINED.measure(trained, Modes().law(), ["nll"])["nll"][0])


@pytest.mark.parametrize("bias", [1.0, 0.5])
def test_samples_come_from_the_base_of_that_lambda(trained: Model, bias: float) -> None:
    """Taken back through the flow they are N(0, lambda I), at lambda = 1 by the density fitted."""
    net = kept_module(trained, TRAINED, lambda: TRAINED.build(arrays_to_event(trained)))
    with torch.inference_mode():
        z = net(torch.from_numpy(draw(TRAINED, trained, 4096, bias)))[0].double().numpy() / math.sqrt(bias)
    for j in range(2):
        assert kstest(z[:, j], "norm").pvalue > 1e-3
    assert kstest((z**2).sum(axis=1), "chi2", args=(2,)).pvalue > 1e-3


def test_lambda_0_draws_one_point(trained: Model) -> None:
    x = draw(TRAINED, trained, 10, 0.0)
    assert (x == x[0]).all()


def test_the_start_depends_on_the_data_alone() -> None:
    """Every ActNorm's output has mean 0 and variance 1 on the first rows of the training order."""
    x = Rosenbrock().rows(0, 3000, KEYS).x[0]
    rows = InMemory.of(Rows(Samples.of(x[None]), Rosenbrock().event))
    states = []
    for _ in range(2):
        torch.rand(1)
        net = initialised(lambda: FlowNet(2, 3, 16), 1)
        SMALL.begin(net, rows, KEYS)
        states.append(net.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    z = torch.from_numpy(x)
    with torch.inference_mode():
        for step in net.steps:
            z, _ = step(z)
            if isinstance(step, ActNorm):
                torch.testing.assert_close(z.double().mean(dim=0), torch.zeros(2).double(), rtol=0, atol=1e-4)
                torch.testing.assert_close(
                    z.double().var(dim=0, unbiased=False), torch.ones(2).double(), rtol=1e-3, atol=0
                )


def test_units_change_nothing() -> None:
    """A power of 2 rounds nothing: the fit of 1,024 x draws 1,024 times what the fit of x draws, bit for bit."""
    x = Rosenbrock().rows(0, 200, KEYS).x[0]
    small, large = (draw(SMALL, fit(SMALL, scale * x), 50) for scale in (1.0, 1024.0))
    assert np.array_equal(large, 1024 * small)


@pytest.mark.parametrize("x", [np.full((20, 2), 0.1), np.stack([np.arange(20.0), np.full(20, 1e9)], axis=1)])
def test_rows_that_do_not_vary_give_finite_samples(x: np.ndarray) -> None:
    drawn = draw(SMALL, fit(SMALL, x), 50)
    assert np.isfinite(drawn).all()
    assert np.ptp(drawn[:, 1]) <= 1e-9 * abs(x[0, 1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samples_have_the_type_and_size_of_the_data(dtype: str) -> None:
    x = GaussianData(d=5).rows(0, 100, KEYS).x[0].astype(dtype)
    drawn = draw(SMALL, fit(SMALL, x), 7)
    assert drawn.dtype == dtype
    assert drawn.shape == (7, 5)


def test_the_defaults_are_the_papers() -> None:
    paper = Flow()
    assert (paper.n_couplings, paper.hidden, paper.epochs, paper.batch_size) == (8, 64, 20, 256)
    assert paper.steps_of(10_000) == round(20 * 10_000 / 256)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Event((1, 8, 8), "uint8", 10), "family=flow needs vectors; .* use data=rosenbrock"),
        (Event((1,), "float64"), r"family=flow needs vectors of at least 2 real coordinates; data gives float64 \[1\]"),
        (Event((2,), "int64"), r"data gives int64 \[2\]"),
    ],
)
def test_what_cannot_be_is_refused(event: Event, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Flow().check(event, fully_synthetic(n_initial=10), 0)


def test_workers_share_a_step_evenly() -> None:
    loop = fully_synthetic(n_initial=10, bias=0.75)
    replace(Flow(), micro_batches=2).check(Rosenbrock().event, loop, 2)
    with pytest.raises(InvalidInput, match=r"micro_batches of 2 or more \(found 1\)"):
        Flow().check(Rosenbrock().event, loop, 2)


@pytest.mark.parametrize("settings", [{"n_couplings": 0}, {"hidden": 0}, {"batch_size": 0}])
def test_settings_are_checked_at_once(settings: dict) -> None:
    with pytest.raises(InvalidInput, match=rf"family\.{next(iter(settings))}=0"):
        Flow(**settings)


def test_settings_read_from_yaml_values() -> None:
    assert TypeAdapter(Flow).validate_json(json.dumps({"hidden": 8, "learning_rate": 1})).hidden == 8
    with pytest.raises(ValidationError):
        TypeAdapter(Flow).validate_json(json.dumps({"hiden": 8}))
