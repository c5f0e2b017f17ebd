"""Moving away from what a model makes of its own samples: identities, formulas, and that both methods do move it."""

from dataclasses import replace

import numpy as np
import pytest

from mad_ray.config.expand import expand
from mad_ray.config.model import parse_config
from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Samples
from mad_ray.core.trajectory import Cohort
from mad_ray.data import SOURCES
from mad_ray.families import FAMILIES
from mad_ray.families.family import Progress
from mad_ray.interventions import NegativeGuidance, WeightExtrapolation
from tests.contracts.fitting import Rows
from tests.engine.made_up import models_of, run, study
from tests.families.toy_network import Toy

LOOP = Loop(n_initial=60, n_fresh=30, n_synthetic=40)
DDPM = FAMILIES["ddpm"](n_steps=6, batch_size=8, channels=(8,), T=400, sampler_steps=2, chunk=8)
DIGITS = SOURCES["digits"]()


def cohort(family, *interventions, data=None, n: int = 2) -> Cohort:
    data = SOURCES["gaussian"](d=3) if data is None else data
    plain = study(data, family, LOOP, n, n_measured=20)
    return Cohort(tuple(replace(t, interventions=interventions) for t in plain.trajectories))


@pytest.mark.parametrize("kind", [WeightExtrapolation, NegativeGuidance])
def test_at_w_0_it_changes_no_byte(kind) -> None:
    plain, passed = run(cohort(DDPM, data=DIGITS)), run(cohort(DDPM, kind(w=0), data=DIGITS))
    assert next(s.blob for m in plain.manifests for s in m.shards if s.generation == 2).n_bytes > 0
    assert plain.all_rows() == passed.all_rows()
    for t, model in models_of(plain).items():
        assert {k: v.tobytes() for k, v in model.items()} == {k: v.tobytes() for k, v in models_of(passed)[t].items()}


def test_weights_are_extrapolated_linearly() -> None:
    one, plain = (
        WeightExtrapolation(w=0.5),
        {"net.a": np.ones(3, np.float32), "net.n": np.array(7), "event.x": np.ones(1)},
    )
    moved = one.combine(plain, {"net.a": np.full(3, 3.0, np.float32), "net.n": np.array(9)})
    np.testing.assert_array_equal(moved["net.a"], np.zeros(3, np.float32))
    assert moved["net.a"].dtype == np.float32
    assert moved["net.n"] == 7, "counts are not extrapolated"
    assert moved["event.x"] is plain["event.x"]


def test_the_engine_moves_the_model_by_w() -> None:
    """G^1 of w = 1 lies as far from G^1 of w = 0.5 as that from the plain one: the other model is the same for both."""
    models = [
        models_of(run(cohort(Toy(), WeightExtrapolation(w=w, n_samples=32), n=1)))[1]["net.weight"] for w in (0.5, 1.0)
    ]
    plain = models_of(run(cohort(Toy(), n=1)))[1]["net.weight"]
    assert np.abs(models[0] - plain).max() > 1e-4
    np.testing.assert_allclose(models[1] - models[0], models[0] - plain, rtol=1e-3, atol=1e-6)


def test_a_fit_that_starts_from_a_model_and_does_nothing_ends_there() -> None:
    x = np.random.default_rng(0).standard_normal((1, 40, 3)).astype(np.float32)
    data = Rows(Samples.of(x), SOURCES["gaussian"](d=3).event)
    first = Toy().fit(data, Keys((0,)), Progress())
    still = replace(Toy(), n_steps=1, learning_rate=1e-12).fit(data, Keys((1,)), Progress(initial=first))
    np.testing.assert_allclose(still["net.weight"], first["net.weight"], atol=1e-6)
    scratch = replace(Toy(), n_steps=1, learning_rate=1e-12).fit(data, Keys((1,)), Progress())
    assert np.abs(scratch["net.weight"] - first["net.weight"]).max() > 1e-2


def test_negative_guidance_takes_the_other_network_back() -> None:
    """Away from itself a model stays what it is; away from another, w decides how far."""
    keys = Keys((0,)).at("sample", 1)
    data = DIGITS.rows(0, 40, Keys((0,)))
    model = DDPM.fit(Rows(data, DIGITS.event), Keys((0,)), Progress())
    other = DDPM.fit(Rows(data, DIGITS.event), Keys((5,)), Progress())
    plain = DDPM.sample(model, 0, 8, 1.0, keys).x.astype(int)
    itself = DDPM.sample(NegativeGuidance(w=0.7).combine(model, model), 0, 8, 1.0, keys).x.astype(int)
    assert np.abs(itself - plain).max() <= 1, "rounding aside"
    near, far = (DDPM.sample(NegativeGuidance(w=w).combine(model, other), 0, 8, 1.0, keys).x for w in (0.01, 1.0))
    assert np.abs(near.astype(int) - plain).mean() < np.abs(far.astype(int) - plain).mean()


def test_the_guided_network_is_the_formula() -> None:
    import torch
    from torch import nn

    from mad_ray.families.away import Guided

    class Head(nn.Module):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.by = nn.Parameter(torch.tensor(by))

        def forward(self, x, t, label, return_dict=True):
            return (self.by * x,)

    x = torch.ones(2, 1, 4, 4)
    said = Guided(Head(2.0), Head(5.0), 0.5)(x, 0, None, return_dict=False)[0]
    torch.testing.assert_close(said, (1.5 * 2 - 0.5 * 5) * x)


@pytest.mark.parametrize(
    ("family", "name", "says"),
    [
        ("gaussian", "weight_extrapolation", "moves the weights of a network, and family=gaussian has none"),
        ("flow", "negative_guidance", "guides a score while it is sampled, and family=flow has none"),
    ],
)
def test_families_that_cannot_are_refused_in_one_line(family: str, name: str, says: str) -> None:
    study = {"name": "x", "data": {"name": "gaussian", "d": 2}, "family": family, "interventions": {name: {}}}
    study |= {"loop": {"kind": "fresh_data", "n_fresh": 50, "n_synthetic": 50}, "metrics": {"n": 50}}
    with pytest.raises(InvalidInput, match=says) as caught:
        expand(parse_config({"study": study}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", ["w=-1", "n_samples=0", "steps=0", "learning_rate=0"])
def test_settings_out_of_range(setting: str) -> None:
    name, value = setting.split("=")
    with pytest.raises(InvalidInput, match=f"interventions.weight_extrapolation.{name}"):
        WeightExtrapolation(**{name: int(value)})
