"""Every shipped config parses, expands, fits the schema, and keeps its cohorts' names; defaults stay what they are.

After a change that is meant, write the golden files anew and look at the difference:

    MAD_RAY_UPDATE_GOLDEN=1 python -m pytest tests/config/test_shipped.py
"""

import json
import os
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import jsonschema
import pytest
import yaml

from mad_ray.commands.session import session_of
from mad_ray.config import json_schema, load_config, parse_config
from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import digest
from mad_ray.core.loop import Loop
from mad_ray.core.stopping import Limit
from mad_ray.core.trajectory import Cohort
from mad_ray.data import SOURCES
from mad_ray.engine.plan import plan_cohorts
from mad_ray.families import FAMILIES
from mad_ray.interventions import INTERVENTIONS
from mad_ray.metrics.measure import Metrics

ROOT = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(ROOT.rglob("*.yaml"))
BASES = [ROOT / "paper" / "gaussian.yaml"]
"""What others extend, and what is no study by itself."""
STUDIES = [path for path in CONFIGS if path not in BASES]
ON_OWN_IMAGES = [ROOT / "paper" / "fig4_stylegan2.yaml", ROOT / "paper" / "fig8_stylegan2.yaml"]
"""Studies of images that the user must bring: what these are is part of their ledgers' names."""
GOLDEN = Path(__file__).with_name("golden.json")
DEFAULTS = Path(__file__).with_name("defaults.json")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def cohorts_of(path: Path) -> dict[str, list[str]]:
    """case -> ids of its cohorts; of maps one digest for all cells, or of a boundary for those at its corners."""
    session = session_of(parse_config(load_config(path, ["run.store=memory://shipped"])))
    if session.phase is not None:
        cells = [plan_cohorts(session.phase.trajectories(point)) for point in session.points.values()]
        baseline = plan_cohorts(session.phase.baseline())
        return {
            f"{len(cells)} cells": [digest_of([cohort for cell in cells for cohort in cell])],
            f"baseline of {len(baseline)}": [digest_of(baseline)],
        }
    found: dict[str, list[str]] = {}
    for cohort in session.cohorts:
        found.setdefault(cohort.case, []).append(cohort.id)
    return found


def digest_of(cohorts: list[Cohort]) -> str:
    return digest(sorted(cohort.id for cohort in cohorts))[:16]


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_it_fits_the_schema(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), json_schema())


@pytest.mark.parametrize("path", [path for path in STUDIES if path not in ON_OWN_IMAGES], ids=name_of)
def test_its_ledgers_keep_their_names(path: Path) -> None:
    """A new name would orphan what is computed; where that is meant, see above."""
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    found = cohorts_of(path)
    if os.environ.get("MAD_RAY_UPDATE_GOLDEN"):
        golden[name_of(path)] = found
        GOLDEN.write_text(json.dumps(golden, indent=2, sort_keys=True) + "\n")
    assert golden.get(name_of(path)) == found


def test_the_table_names_no_config_that_is_gone() -> None:
    golden = json.loads(GOLDEN.read_text())
    assert golden.keys() <= {name_of(path) for path in STUDIES}


@pytest.mark.parametrize("path", STUDIES, ids=name_of)
def test_it_says_what_to_expect(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert "# Expected" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ON_OWN_IMAGES, ids=name_of)
def test_it_asks_for_the_images(path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"data\.path is missing"):
        cohorts_of(path)
    assert "--set study.data.path=" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", BASES, ids=name_of)
def test_a_base_is_extended_and_no_study_by_itself(path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        session_of(parse_config(load_config(path, ["run.store=memory://shipped"])))
    assert "\n" not in str(caught.value)
    parents = {
        (child.parent / parent).resolve()
        for child in STUDIES
        if (parent := yaml.safe_load(child.read_text(encoding="utf-8")).get("extends"))
    }
    assert path in parents


def defaults_of(kind: type) -> Iterator[tuple[str, object]]:
    for f in fields(kind):
        if f.default_factory is not MISSING:
            yield f.name, f.default_factory()
        elif f.default is not MISSING:
            yield f.name, f.default


def test_defaults_never_change_silently() -> None:
    """Fields at their default are left out of an identity: with another default, old ledgers would pass for new ones.

    Once there are results worth keeping, add a field for the new behaviour rather than change a default.
    """
    kinds = [*SOURCES.values(), *FAMILIES.values(), *INTERVENTIONS.values(), Metrics]
    found = {kind.__name__: dict(defaults_of(kind)) for kind in (*kinds, Limit, Loop)}
    found = json.loads(json.dumps(found))
    if os.environ.get("MAD_RAY_UPDATE_GOLDEN"):
        DEFAULTS.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    assert json.loads(DEFAULTS.read_text()) == found


SCHEMA = json_schema()
GOOD = {"study": {"name": "a", "data": "digits", "family": {"name": "ddpm", "n_steps": 3}, "loop": {"n_initial": 3}}}


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(GOOD, SCHEMA)


@pytest.mark.parametrize(
    "bad",
    [
        {"stud": {}},
        {"study": {"name": "a", "nam": 3}},
        {"study": {"name": "a", "loop": {"n_initail": 3}}},
        {"study": {"name": "a", "loop": {"kind": "fresh"}}},
        {"study": {"name": "a", "data": "digit"}},
        {"study": {"name": "a", "family": {"name": "ddpm", "steps": 3}}},
        {"study": {"name": "a", "metrics": {"featurs": "lenet"}}},
        {"study": {"name": "a", "cases": {"x": {"lop": {}}}}},
        {"study": {"kind": "heat"}},
        {"study": {"map": {"x": {"field": "loop.n"}, "z": {}}}},
        {"study": {"search": {"batch": 0}}},
        {"study": {"limit": {"half_widht": 0.1}}},
        {"study": {"baseline": {"seeds": 1}}},
        {"study": {"loop": {"real_share": "much"}}},
        {"run": {"threads": 0}},
        {"run": {"runtime": "rya"}},
    ],
)
def test_the_schema_refuses_what_the_program_refuses(bad: dict) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bad, SCHEMA)


def test_every_field_is_explained() -> None:
    """The string beneath a field is its help, in editors too."""
    study, run = (SCHEMA["$defs"][name]["properties"] for name in ("StudySettings", "RunSettings"))
    blocks = [study, run, study["loop"]["properties"], study["metrics"]["properties"]]
    blocks += [
        option["properties"]
        for block in ("data", "family")
        for option in study[block]["anyOf"]
        if "properties" in option
    ]
    blocks += [study["limit"]["properties"]]
    blocks += [SCHEMA["$defs"][name]["properties"] for name in SCHEMA["$defs"]]
    for block in blocks:
        silent = [
            name for name, field in block.items() if name not in ("name", "kind") and not field.get("description")
        ]
        assert not silent
