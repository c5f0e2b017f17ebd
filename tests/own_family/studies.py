"""Small studies of families that mad_ray does not know, run in this process."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mad_ray.core.manifest import Manifest
from mad_ray.ledger.open import open_store
from tests.command_line import call

ROOT = Path(__file__).parents[2]
EXAMPLES = {name: (ROOT / "examples" / name).read_text() for name in ("my_family.py", "two_functions.py")}


def study(family: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": "own",
        "n_generations": 2,
        "data": {"name": "gaussian", "d": 2},
        "family": family,
        "loop": {"n_initial": 20, "n_synthetic": 20},
        "metrics": {"n": 20, "names": ["frechet"]},
        **more,
    }


def run(capsys: pytest.CaptureFixture[str], folder: Path, settings: dict[str, Any]) -> tuple[int, str, str]:
    """`mad-ray run` in this process, the config in the folder."""
    config = {"study": settings, "run": {"store": str(folder / "store"), "output": str(folder / "out")}}
    (folder / "study.yaml").write_text(yaml.safe_dump(config))
    return call(capsys, "run", str(folder / "study.yaml"), "--set", "run.runtime=local")


def manifests(folder: Path) -> list[Manifest]:
    store = open_store(str(folder / "store"))
    keys = sorted(entry.key for entry in store.list("cohorts/") if "/ledger/" in entry.key)
    return [Manifest.from_json(store.get(key), key) for key in keys]
