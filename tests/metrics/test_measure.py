"""Settings that are checked when they are written, and evaluate: the named numbers, and which way they point."""

import json
import subprocess
import sys

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from mad_ray.core.errors import InvalidInput, TrajectoryFailed
from mad_ray.core.fingerprint import identity
from mad_ray.core.keys import Keys
from mad_ray.core.moments import exact_moments
from mad_ray.metrics.features import Identity
from mad_ray.metrics.lenet import LeNet, train_lenet
from mad_ray.metrics.measure import NAMES, Metrics, evaluate, make_extractor
from mad_ray.metrics.neighbours import neighbours

ADAPTER = TypeAdapter(Metrics)


def normal(seed, n=400, d=6, scale=1.0):
    return np.random.default_rng(seed).normal(size=(n, d)) * scale


def test_yaml_settings():
    found = ADAPTER.validate_json(json.dumps({"features": "lenet", "names": ["recall", "frechet"], "n": 500}))
    assert found == Metrics(features="lenet", names=("frechet", "recall"), n=500)
    assert hash(found) == hash(Metrics(features="lenet", names=["recall", "frechet"], n=500))
    fields = ADAPTER.json_schema()["properties"]
    assert all(fields[name]["description"] for name in ("features", "n", "k", "names", "weights", "weights_sha256"))
    assert fields["names"]["type"] == "array"


@pytest.mark.parametrize("wrong", [{"n": "many"}, {"k": 2.5}, {"colour": 1}, {"names": "frechet"}, {"features": "vgg"}])
def test_wrong_types_and_fields_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ADAPTER.validate_json(json.dumps(wrong))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"k": 0}, r"metrics.k=0: .*give k >= 1"),
        ({"n": 1, "names": ["frechet"]}, r"metrics.n=1: .*raise n"),
        ({"n": 5}, r"metrics.k=5 with n=5: .*lower k or raise n"),
        ({"names": ["frechett"]}, r"metrics.names: unknown 'frechett', .*did you mean frechet\?"),
        ({"names": ["fid"]}, r"metrics.names: unknown 'fid'"),
        ({"names": []}, "metrics.names is empty"),
        ({"names": "recall"}, r"give a list: \[recall\]"),
        ({"features": "inceptoin"}, r"metrics.features: unknown 'inceptoin', .*did you mean inception\?"),
        ({"weights_sha256": "abc"}, "64 hex digits"),
    ],
)
def test_wrong_values_are_refused_with_a_remedy(wrong, message):
    with pytest.raises(InvalidInput, match=message):
        Metrics(**wrong)


def test_where_the_weights_lie_is_not_identity_but_their_digest_is():
    assert identity(Metrics()) == {}
    assert identity(Metrics(names=list(reversed(NAMES)), weights="/anywhere.pt")) == {}
    assert identity(Metrics(weights_sha256="A" * 64)) == {"weights_sha256": "a" * 64}


def test_evaluate_gives_the_named_numbers_in_order():
    found = evaluate(real=normal(0), synthetic=normal(1), settings=Metrics(names=["recall", "kernel", "frechet"]))
    assert list(found) == ["frechet", "kernel", "recall"]
    assert all(type(value) is float for value in found.values())
    everything = evaluate(real=normal(0), synthetic=normal(1), settings=Metrics(k=3))
    assert tuple(everything) == NAMES
    assert everything["density"] == neighbours(real=normal(0), synthetic=normal(1), k=3).density


def test_given_moments_replace_those_of_the_rows():
    exact = exact_moments(np.zeros((1, 6)), np.eye(6)[None])
    settings = Metrics(names=["frechet"])
    both = evaluate(real=normal(0), synthetic=normal(1), settings=settings, real_moments=exact, synthetic_moments=exact)
    assert both["frechet"] == pytest.approx(0, abs=1e-12)
    one = evaluate(real=normal(0), synthetic=normal(1), settings=settings, real_moments=exact)
    # d (d + 5) / 4n of a fit on n samples, against twice that for two fits.
    assert 0 < one["frechet"] < evaluate(real=normal(0), synthetic=normal(1), settings=settings)["frechet"]


def test_narrow_and_wide_samples_move_every_metric_the_right_way():
    def at(scale):
        return evaluate(real=normal(0), synthetic=normal(1, scale=scale), settings=Metrics())

    floor, narrow, wide = at(1.0), at(0.3), at(3.0)
    for name in ("frechet", "kernel"):
        assert floor[name] < narrow[name]
        assert floor[name] < wide[name]
    assert narrow["precision"] > floor["precision"] > wide["precision"]
    assert narrow["recall"] < floor["recall"]
    assert narrow["density"] > floor["density"] > wide["density"]
    assert narrow["coverage"] < floor["coverage"]
    assert wide["coverage"] < floor["coverage"]


def test_a_diverged_model_fails_its_trajectory_and_bad_data_the_study():
    broken = normal(1)
    broken[3, 2] = np.nan
    with pytest.raises(TrajectoryFailed, match="1 of 400 synthetic samples are not finite, first row 3"):
        evaluate(real=normal(0), synthetic=broken, settings=Metrics())
    with pytest.raises(InvalidInput, match="1 of 400 real samples"):
        evaluate(real=broken, synthetic=normal(0), settings=Metrics())
    # Finite, but its square is not.
    with pytest.raises(TrajectoryFailed):
        evaluate(real=normal(0), synthetic=normal(1) * 1e200, settings=Metrics())


def test_make_extractor(digits):
    assert isinstance(make_extractor(Metrics()), Identity)
    x, label = digits[0][:64], digits[1][:64]
    state = train_lenet(x, label, 10, Keys((0,)), epochs=1)
    extractor = make_extractor(Metrics(features="lenet"), lenet=state)
    assert np.array_equal(extractor(x), LeNet(state)(x))
    with pytest.raises(ValueError, match="needs the state"):
        make_extractor(Metrics(features="lenet"))
    with pytest.raises(InvalidInput, match="found none at /nowhere"):
        make_extractor(Metrics(features="inception", weights="/nowhere"))


def test_importing_it_imports_nothing_heavy():
    code = "import sys, mad_ray.metrics.measure; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "torchvision", "cleanfid", "scipy", "sklearn", "pydantic", "ray", "boto3"} & set(loaded)
