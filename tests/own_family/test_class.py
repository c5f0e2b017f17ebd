"""A class of the user's own as a family: found, checked, run, and known by its code."""

import hashlib
import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from mad_ray.config import load_config
from mad_ray.config.blocks import make_family
from mad_ray.core.errors import InvalidInput
from tests.command_line import refused
from tests.onray.processes import Study
from tests.own_family.studies import EXAMPLES, manifests, run, study

WHOLE = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from mad_ray.core.samples import Samples

@dataclass(frozen=True)
class Own:
    name: ClassVar[str] = "own"
    max_cohort: ClassVar[int] = 1
    redraw: ClassVar[bool] = False
    distributed: ClassVar[bool] = False
    span: ClassVar[int] = 1
    chunk: int = 4
    width: float = 1.0

    def check(self, event, loop, workers): ...

    def fit(self, data, keys, progress):
        progress(1.0)
        return {"mean": data.moments().mean}

    def sample(self, model, start, stop, bias, keys):
        z = np.stack([keys.generator(0, i).standard_normal(model["mean"].shape[1]) for i in range(start, stop)])
        return Samples.of((model["mean"][0] + self.width * bias**0.5 * z)[None])
"""


class TestClass:
    def test_it_runs_by_its_name_alone_or_with_settings(self, capsys, tmp_path, write) -> None:
        module = write(WHOLE)
        cases = {"plain": {}, "wide": {"family": {"name": f"{module}:Own", "width": 2.0}}}
        code, out, err = run(capsys, tmp_path, study(f"{module}:Own", cases=cases))
        assert (code, err) == (0, "")
        assert "[4/4" in out
        plain, wide = (
            next(m for m in manifests(tmp_path) if ("width" in m.identity["family"]) is w) for w in (False, True)
        )
        assert plain.identity["family"] == {"name": f"{module}:Own"}
        assert wide.identity["family"] == {"name": f"{module}:Own", "width": 2}
        digest = hashlib.sha256((tmp_path / f"{module}.py").read_bytes()).hexdigest()
        assert plain.provenance["code"] == {module: digest}

    def test_it_is_found_beside_its_config(self, capsys, tmp_path, monkeypatch) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (tmp_path / "beside_its_config.py").write_text(WHOLE)
        monkeypatch.chdir(elsewhere)
        monkeypatch.setattr("sys.path", list(sys.path))
        assert run(capsys, tmp_path, study("beside_its_config:Own"))[0] == 0

    def test_it_is_found_where_the_command_runs(self, capsys, tmp_path, monkeypatch) -> None:
        here = tmp_path / "here"
        here.mkdir()
        (here / "in_the_working_directory.py").write_text(WHOLE)
        monkeypatch.chdir(here)
        monkeypatch.setattr("sys.path", list(sys.path))
        assert run(capsys, tmp_path, study("in_the_working_directory:Own"))[0] == 0

    def test_a_module_hides_no_installed_package(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr("sys.path", list(sys.path))
        (tmp_path / "yaml.py").write_text("raise RuntimeError('found the wrong one')")
        (tmp_path / "study.yaml").write_text("study: {name: x}")
        load_config(tmp_path / "study.yaml")
        assert sys.path[-1] == str(tmp_path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (("def sample", "def draw"), "Own lacks sample; add def sample(self, model, start, stop, bias, keys)"),
            (("def check(self, event, loop, workers)", "check = 3 #"), "Own lacks check; add def check(self, event"),
            (("start, stop, bias, keys):", "n):"), "Own.sample cannot be called as def sample(self, model, start"),
            (("    span: ClassVar[int] = 1\n", ""), "Own lacks span; add it to the class: 1, unless generations are"),
            (("redraw: ClassVar[bool] = False", "redraw: ClassVar[bool] = 0"), "Own.redraw is 0; set it to False"),
            (("chunk: int = 4", "chunk: int = 0"), "Own.chunk is 0; set it to the number of samples computed together"),
            (('= "own"', '= "gaussian"'), "Own.name is 'gaussian', which is another family's; choose a new name"),
            (("@dataclass(frozen=True)", "@dataclass"), "Own is no frozen dataclass; put @dataclass(frozen=True)"),
            (("@dataclass(frozen=True)", ""), "Own is no frozen dataclass"),
            (("class Own:", "class Other:"), "has no Own; correct the name"),
            (("class Own:", "class Owm:"), "has no Own; did you mean Owm?"),
            (("import numpy", "import no_such_thing"), "imports no_such_thing, which is not installed; install it"),
            (("import numpy as np", "1 / 0"), "raises ZeroDivisionError (division by zero); mend the module"),
            (("width: float = 1.0", "width: float = 1.0 +"), "raises SyntaxError (invalid syntax"),
            (("    chunk: int = 4\n", "    size: int\n    chunk: int = 4\n"), "size is missing; it has no default"),
        ],
    )
    def test_what_it_lacks_is_said_in_one_line(self, write, change, message) -> None:
        module = write(WHOLE.replace(*change))
        with pytest.raises(InvalidInput) as caught:
            make_family(f"{module}:Own", "study.family")
        assert message in str(caught.value)
        assert str(caught.value).startswith("study.family")
        assert "\n" not in str(caught.value)

    def test_what_is_no_family_class_is_said(self, write) -> None:
        module = write(f"{WHOLE}\nlist_of_numbers = [1]\ndef fit(images): ...\n")
        for name, message in (
            ("list_of_numbers", "list_of_numbers is no class but list"),
            ("fit", "fit is a function; for two functions fit and sample use {name: functions"),
        ):
            with pytest.raises(InvalidInput, match=re.escape(message)):
                make_family(f"{module}:{name}", "study.family")
        for reference, message in (
            ("no_such_module:Own", "there is no module no_such_module in the config's folder, in"),
            (f"{module}.inner:Own", "raises ModuleNotFoundError|there is no module"),
            ("a b:Own", "expected package.module:Name, for example my_module:MyFamily"),
            (":Own", "expected package.module:Name"),
        ):
            with pytest.raises(InvalidInput, match=message):
                make_family(reference, "study.family")

    def test_settings_are_validated_as_those_of_other_families(self, write) -> None:
        module = write(WHOLE)
        for settings, message in (
            ({"widht": 1.0}, r"study\.family\.widht: unknown key; did you mean width\?"),
            ({"width": "wide"}, r"study\.family\.width=.*valid number"),
        ):
            with pytest.raises(InvalidInput, match=message):
                make_family({"name": f"{module}:Own", **settings}, "study.family")

    def test_settings_that_can_change_are_refused(self, write) -> None:
        module = write(WHOLE.replace("width: float = 1.0", "width: list[int] | None = None"))
        assert make_family(f"{module}:Own", "study.family").width is None
        with pytest.raises(InvalidInput, match="its field width is a list, which can change; make it a tuple"):
            make_family({"name": f"{module}:Own", "width": [1]}, "study.family")

    def test_the_command_refuses_in_one_line(self, capsys, tmp_path) -> None:
        (tmp_path / "study.yaml").write_text(yaml.safe_dump({"study": study("no_such_module:Own")}))
        line = refused(capsys, "plan", str(tmp_path / "study.yaml"))
        assert "study.family=no_such_module:Own: there is no module no_such_module" in line


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_through_ray_as_in_one_process(tmp_path: Path) -> None:
    """Workers find a module that lies beside the config, and nowhere else; samples come through Ray Data."""
    (tmp_path / "beside_ray.py").write_text(EXAMPLES["my_family.py"])
    settings = study(
        {"name": "beside_ray:PrincipalComponents", "chunk": 16},
        data="digits",
        loop={"n_initial": 300, "n_synthetic": 100},
        metrics={"n": 100, "names": ["frechet"]},
    )
    digests = []
    for way in ("local", "ray"):
        here = Study(tmp_path, settings, str(tmp_path / way), (f"run.runtime={way}", "run.max_concurrent=1"))
        done = here.run()
        assert done.returncode == 0, done.stdout + done.stderr
        digests.append(here.digests())
        codes = {json.dumps(m.provenance["code"]) for of in here.manifests().values() for m in of}
        assert codes == {json.dumps({"beside_ray": hashlib.sha256(EXAMPLES["my_family.py"].encode()).hexdigest()})}
    assert digests[0] == digests[1]
