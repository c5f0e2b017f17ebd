"""Small maps and boundaries, and short ways to run them from the command line and to look at what they left."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from mad_ray.cli import main
from mad_ray.config.load import merge

GRID: dict[str, Any] = {
    "name": "grid",
    "title": "Three by three",
    "kind": "grid",
    "n_generations": 512,
    "seeds": 8,
    "data": {"name": "gaussian", "d": 10},
    "family": "gaussian",
    "metrics": {"names": ["w2_squared"], "per_octave": 8},
    "loop": {"kind": "fresh_data", "bias": 1.0},
    "map": {
        "x": {"field": "loop.n_fresh", "values": [100, 200, 400]},
        "y": {"field": "loop.n_synthetic", "values": [0, 50, 400]},
    },
    "limit": {"half_width": 0.08, "drift": 0.04},
    "baseline": {"n": {"log": [20, 2000, 16]}, "seeds": 64},
}
BOUNDARY = merge(
    GRID,
    {
        "name": "boundary",
        "kind": "boundary",
        "loop": {"bias": 0.7},
        "map": {
            "x": {"values": [50, 100, 200]},
            "y": {"field": "loop.n_synthetic", "values": [10, 1000]},
        },
        "limit": {"half_width": 0.05, "drift": 0.02},
        "search": {"tolerance": 0.08, "batch": 4, "budget": 40},
    },
)


def write(folder: Path, study: dict[str, Any]) -> str:
    run = {"runtime": "local", "store": str(folder / "store"), "output": str(folder / "{study}")}
    path = folder / f"{study['name']}.yaml"
    path.write_text(yaml.safe_dump({"study": study, "run": run}))
    return str(path)


def results(folder: Path) -> dict[str, Any]:
    """What must be the same however a study was run: contents of manifests (hashes of all data in them), and rounds."""
    found: dict[str, Any] = {}
    for path in sorted((folder / "store").rglob("*.json")):
        key = str(path.relative_to(folder / "store"))
        if "/ledger/" in key:
            found[key] = json.loads(path.read_text())["content"]
        elif "/rounds/" in key:
            found[key] = path.read_bytes()
    return found


def cells_of(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name / "report" / "cells.csv")


def boundaries_of(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name / "report" / "boundaries.csv")


def finish(folder: Path, *studies: dict[str, Any]) -> Path:
    for study in studies:
        assert main(["run", write(folder, study)]) == 0
    return folder
