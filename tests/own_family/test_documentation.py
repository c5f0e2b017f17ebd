"""docs/FAMILIES.md shows the examples as they stand in examples/ and configs/, and those run."""

import json
import re

import yaml

from mad_ray.config import load_config, parse_config
from mad_ray.config.blocks import make_family
from mad_ray.config.expand import expand
from mad_ray.families import FAMILIES
from tests.command_line import call
from tests.own_family.studies import EXAMPLES, ROOT, manifests

CONFIG = ROOT / "configs" / "families" / "own_family.yaml"

TEXT = (ROOT / "docs" / "FAMILIES.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, flags=re.DOTALL)


def test_its_code_is_the_examples_code() -> None:
    python = [text for kind, text in BLOCKS if kind == "python"]
    assert python == [EXAMPLES["my_family.py"], EXAMPLES["two_functions.py"]]


def test_its_config_is_the_shipped_one() -> None:
    ours = [text for kind, text in BLOCKS if kind == "yaml" and text.startswith("# Two families")]
    assert ours == [CONFIG.read_text()]


def test_its_other_blocks_are_families() -> None:
    found = [yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml" and text.startswith("family:")]
    assert found
    assert all(make_family(block["family"], "study.family") for block in found)


def test_it_tells_every_familys_bias() -> None:
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", TEXT, flags=re.MULTILINE)
    assert {name for name, _ in rows} == FAMILIES.keys()
    assert all(len(row.split("|")) == 4 for _, row in rows)


def test_the_config_runs(capsys, tmp_path, monkeypatch) -> None:
    """All of it but shorter: two generations, one seed."""
    monkeypatch.chdir(ROOT)
    sets = (f"run.store={tmp_path / 'store'}", f"run.output={tmp_path / 'out'}", "run.runtime=local")
    sets += ("study.n_generations=2", "study.seeds=1", "study.metrics.features=identity")
    code, _, err = call(capsys, "run", str(CONFIG), *(part for text in sets for part in ("--set", text)))
    assert (code, err) == (0, "")
    assert len(manifests(tmp_path)) == 8
    assert (tmp_path / "out" / "report" / "index.html").is_file()
    codes = {json.dumps(m.provenance["code"], sort_keys=True) for m in manifests(tmp_path)}
    assert len(codes) == 2


def test_the_config_is_a_study_of_both() -> None:
    found = expand(parse_config(load_config(CONFIG)))
    assert {type(t.family).__name__ for t in found} == {"PrincipalComponents", "Functions"}
