"""Two functions of the user's own as a family: given what they ask for, and what they return is checked."""

import random
import re
from typing import Any

import numpy as np
import pytest
import torch

from mad_ray.config.blocks import make_family
from mad_ray.core.errors import TrajectoryFailed
from mad_ray.core.keys import Keys
from mad_ray.core.samples import Samples
from mad_ray.data import Digits, GaussianData
from mad_ray.families.progress import Progress
from mad_ray.ledger.open import open_store
from mad_ray.ledger.tensors import decode_tensors
from tests.contracts.fitting import Rows
from tests.own_family.studies import manifests, run, study

FUNCTIONS = """
import numpy as np

def fit(x, labels, seed, scale=1.0):
    return {"mean": x.mean(axis=0), "scale": np.float32(scale), "drawn": np.random.random(2)}

def sample(model, n):
    return model["mean"] + model["scale"] * np.random.standard_normal((n, len(model["mean"])))
"""


class TestFunctions:
    def family(self, module: str, **more: Any) -> Any:
        block = {"name": "functions", "fit_function": f"{module}:fit", "sample_function": f"{module}:sample", **more}
        return make_family(block, "study.family")

    def test_they_run(self, capsys, tmp_path, write) -> None:
        module = write(FUNCTIONS)
        block = {"name": "functions", "fit_function": f"{module}:fit", "sample_function": f"{module}:sample"}
        code, _, err = run(capsys, tmp_path, study({**block, "options": {"scale": 0.5}, "chunk": 8}))
        assert (code, err) == (0, "")
        first = manifests(tmp_path)[0]
        assert list(first.provenance["code"]) == [module]
        assert first.identity["family"] == {**block, "chunk": 8, "options": {"scale": 0.5}}
        store = open_store(str(tmp_path / "store"))
        key = f"cohorts/{first.cohort}/attempts/000001-{first.attempt}/{first.models.name}"
        assert decode_tensors(store.get(key))["1/scale"] == 0.5

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (('return {"mean"', 'return [1], {"mean"'), "returned a tuple; return a dict of NumPy arrays or torch"),
            (("return {", "_ = {"), "returned nothing; return a dict"),
            (("np.float32(scale)", '"big"'), "returned a str as 'scale'; return NumPy arrays or torch tensors"),
            (("np.float32(scale)", "np.array([{}])"), "returned an array of object as 'scale'"),
            (('"mean": x', "3: x"), "returned an array named 3; name arrays by texts"),
            (("np.random.standard_normal((n, ", "np.zeros((n + 1, "), "shape [257, 2]; asked for n=256: [256, 2]"),
            (("return model", "return np.nan * model"), "returned samples that are not finite"),
            (("return model", "return 'x' or model"), "returned a str; return 256 samples as a NumPy array"),
            (("np.random.standard_normal(", "np.random.default_rng().standard_normal("), "drew other samples from the"),
        ],
    )
    def test_what_they_return_is_checked(self, write, change, message) -> None:
        module = write(FUNCTIONS.replace(*change))
        with pytest.raises(TrajectoryFailed, match=re.escape(message)) as caught:
            self.first(self.family(module), GaussianData(d=2))
        assert f"_function={module}:" in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("returned", "message"),
        [
            ("np.full((n, 1, 8, 8), 300)", "returned images with values from 300 to 300; clip them to 0..255"),
            ("np.full((n, 1, 8, 8), -1)", "returned images with values from -1 to -1; clip them to 0..255"),
            ("np.zeros((n, 1, 8, 8))", "returned images of type float64; scale them to 0..255, round, clip"),
            ("np.zeros((n, 8, 8), np.uint8)", "shape [256, 8, 8]; asked for n=256: [256, 1, 8, 8]"),
        ],
    )
    def test_images_are_bytes(self, write, returned, message) -> None:
        module = write(f"import numpy as np\ndef fit(x): return {{'x': x}}\ndef sample(model, n): return {returned}\n")
        with pytest.raises(TrajectoryFailed, match=re.escape(message)):
            self.first(self.family(module), Digits())

    def test_a_failed_trajectory_says_why(self, capsys, tmp_path, write) -> None:
        module = write(FUNCTIONS.replace("return {", "_ = {"))
        block = {"name": "functions", "fit_function": f"{module}:fit", "sample_function": f"{module}:sample"}
        code, out, err = run(capsys, tmp_path, study(block))
        assert code == 1
        assert f"family.fit_function={module}:fit returned nothing; return a dict" in out + err

    def test_they_are_given_what_they_ask_for(self, write) -> None:
        module = write("""
import random
import numpy as np, torch

def fit(images, weights, seed, labels, depth):
    return {"n": torch.tensor([len(images)]), "seed": np.array(seed), "labels": labels, "weights": weights,
            "depth": np.array(depth["of"]),
            "drawn": np.array([random.random(), np.random.rand(), torch.rand((), dtype=torch.float64).item()])}

def sample(model, n, labels, seed, bias):
    assert isinstance(model["n"], np.ndarray)
    model["n"][:] = -1
    x = np.broadcast_to(labels[:, None, None, None], (n, 1, 8, 8)).copy()
    x[:, 0, 0, 0], x[:, 0, 0, 1] = np.random.randint(256), 200 * bias
    return torch.from_numpy(x)
""")
        family = self.family(module, options={"depth": {"of": [1, 2]}}, chunk=4)
        other, _ = self.first(family, Digits(), seed=5)
        random_before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
        model, x = self.first(family, Digits(), bias=0.5)
        assert random_before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
        assert model["n"] == 20
        assert model["depth"].tolist() == [1, 2]
        assert model["labels"].shape == model["weights"].shape == (20,)
        assert len({*model["drawn"]}) == 3
        assert not set(other["drawn"]) & set(model["drawn"])
        assert other["seed"] != model["seed"]
        assert x.label[0].tolist() == [i % 10 for i in range(9)]
        assert x.x[0, :, 0, 4, 4].tolist() == x.label[0].tolist()
        assert set(x.x[0, :, 0, 0, 1]) == {100}
        first = x.x[0, :, 0, 0, 0].reshape(-1)
        assert first[0] == first[3]
        assert len({first[0], first[4], first[8]}) == 3

    def test_rows_of_weight_0_are_left_out_and_unequal_weights_need_a_parameter(self, write) -> None:
        module = write(FUNCTIONS)
        rows = GaussianData(d=2).rows(0, 4, Keys((1,)))
        dropped = Samples(rows.x, rows.label, np.array([[0, 2, 2, 0]], np.float32))
        model = self.family(module).fit(Rows(dropped, GaussianData(d=2).event), Keys((1,)), Progress())
        assert np.array_equal(model["mean"], rows.x[0, 1:3].mean(axis=0))
        uneven = Samples(rows.x, rows.label, np.array([[1, 2, 2, 0]], np.float32))
        with pytest.raises(TrajectoryFailed, match="rows of unequal weight, and the function has no parameter weights"):
            self.family(module).fit(Rows(uneven, GaussianData(d=2).event), Keys((1,)), Progress())

    def first(self, family: Any, data: Any, bias: float = 1.0, seed: int = 4) -> tuple[Any, Samples]:
        """The model of 20 rows, and its first 9 samples."""
        keys = Keys((seed,))
        model = family.fit(Rows(data.rows(0, 20, keys), data.event), keys.at("fit", 1), Progress())
        return model, family.sample(model, 0, 9, bias, keys.at("sample", 1))

    def test_without_a_parameter_bias_there_is_lambda_1_only(self, capsys, tmp_path, write) -> None:
        module = write(FUNCTIONS)
        block = {"name": "functions", "fit_function": f"{module}:fit", "sample_function": f"{module}:sample"}
        code, _, err = run(capsys, tmp_path, study(block, loop={"n_initial": 20, "n_synthetic": 20, "bias": 0.5}))
        assert code == 2
        assert "loop.bias=0.5" in err
        assert "has no parameter bias" in err

    def test_what_cannot_be_called_is_said_before_anything_starts(self, capsys, tmp_path, write) -> None:
        module = write(f"{FUNCTIONS}\ndef nothing(): ...\nnumber = 3\n")
        good = {"name": "functions", "fit_function": f"{module}:fit", "sample_function": f"{module}:sample"}
        for change, message in (
            ({"fit_function": f"{module}:number"}, "this is no function but int"),
            ({"sample_function": f"{module}:nothing"}, "it takes 0 parameters by place; write it as sample(model, n)"),
            ({"fit_function": f"{module}:fits"}, "has no fits; did you mean fit?"),
            ({"options": {"depth": 3}}, "neither function has a parameter depth"),
            ({"options": {"seed": 3}}, "mad_ray gives this itself"),
        ):
            code, _, err = run(capsys, tmp_path, study({**good, **change}))
            assert code == 2
            assert message in err
            assert err.count("\n") == 1
