"""Maps and boundaries from the command line to the report: values agree with theory, and nothing is computed twice."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mad_ray.analysis.crossing import crossings_of_grid
from mad_ray.analysis.phase_table import read_phase
from mad_ray.analysis.theory import fresh_limit_moments, fresh_limit_ratio
from mad_ray.config.load import merge
from mad_ray.families import Gaussian, Gmm
from mad_ray.ledger.open import open_store
from mad_ray.ledger.studies import read_study
from tests.command_line import call, refused
from tests.phase_studies import BOUNDARY, GRID, boundaries_of, cells_of, finish, results, write

Z = 1.96


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finish(tmp_path_factory.mktemp("grid"), GRID)


@pytest.fixture(scope="module")
def boundary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finish(tmp_path_factory.mktemp("boundary"), BOUNDARY)


@pytest.fixture
def copy(boundary: Path, tmp_path: Path) -> Path:
    """A copy of the boundary's store, to be damaged."""
    shutil.copytree(boundary / "store", tmp_path / "store")
    write(tmp_path, BOUNDARY)
    return tmp_path


# A map.


def test_a_map_from_plan_to_gc(grid: Path, tmp_path: Path, capsys) -> None:
    config = write(tmp_path, GRID)
    code, out, _ = call(capsys, "plan", config)
    assert code == 0
    assert "9 cells, and 16 fits on real samples alone as the baseline" in out
    assert "1096 trajectories in 25 ledgers" in out
    assert not (tmp_path / "store").exists(), "plan writes nothing"

    config, before = write(grid, GRID), results(grid)
    assert len(before) == 25, "a cell is one commit"
    code, out, _ = call(capsys, "run", config)
    assert code == 0
    assert "study grid: 9 cells" in out
    assert "25 of 25 ledgers are complete already" in out
    assert results(grid) == before

    by_name = ("--store", str(grid / "store"), "--study", "grid")
    for target in ((config,), by_name):
        code, out, _ = call(capsys, "status", *target)
        assert code == 0
        assert "baseline: 16 of 16 done" in out
        assert "9 of 9 cells done, 0 stopped with a reason" in out
        code, out, _ = call(capsys, "verify", *target)
        assert code == 0
        assert re.search(r"^\d+ objects, [\d,]+ bytes read; 0 bad$", out, re.MULTILINE)
    out = call(capsys, "plan", config)[1]
    assert re.search("to do: 0 .*nothing left to do", out, re.DOTALL)
    assert "deleted 0 objects" in call(capsys, "gc", config, "--grace-s", "0")[1]
    assert results(grid) == before


def test_its_report_is_a_page_with_tables_and_figures(grid: Path) -> None:
    names = {path.name for path in (grid / "grid" / "report").iterdir()}
    assert {"index.html", "cells.csv", "boundaries.csv", "baseline.csv"} <= names
    assert sum(name.endswith(".png") for name in names) == sum(name.endswith(".pdf") for name in names) >= 1
    assert len(cells_of(grid, "grid")) == 9
    assert "Three by three" in (grid / "grid" / "report" / "index.html").read_text()


def test_a_map_agrees_with_the_closed_forms(grid: Path) -> None:
    """n_e/n_r = (1 + 2 r)/(1 + r) for lambda = 1 and large n: 1 without synthetic data. d/n = 0.1 at worst."""
    cells = cells_of(grid, "grid")
    assert (cells["state"] == "settled").all()
    expected = np.array([fresh_limit_ratio(y / x) for x, y in zip(cells["x"], cells["y"], strict=True)])
    se = (cells["high"] - cells["low"]).to_numpy() / (2 * Z)
    z = (cells["value"].to_numpy() - expected) / se
    assert np.abs(z).max() < 4
    # Nine standard normal numbers have a mean square above 3 once in 600: neither the values nor their intervals lie.
    assert 0.05 < np.mean(z**2) < 3
    assert (cells.loc[cells["y"] == 0, "value"] - 1).abs().max() < 0.2
    assert (cells.loc[cells["y"] == 400, "value"] > 1.2).all()


def test_lambda_0_no_synthetic_data_and_fewer_samples_than_dimensions_are_mapped_too(tmp_path: Path) -> None:
    """The limit of the trace is known exactly for any of them."""
    axes = {"x": {"field": "loop.bias", "values": [0, 0.5, 1]}, "y": {"values": [0, 30]}, "value": "limit"}
    study = merge(GRID, {"name": "edge", "data": {"d": 20}, "loop": {"n_fresh": 10}, "map": axes, "baseline": None})
    study |= {"metrics": {"names": ["trace_ratio"]}, "seeds": 64}
    cells = cells_of(finish(tmp_path, study), "edge")
    assert (cells["state"] == "settled").all()
    expected = np.array([fresh_limit_moments(10, y, x)[1] for x, y in zip(cells["x"], cells["y"], strict=True)])
    z = (cells["value"] - expected) / ((cells["high"] - cells["low"]) / (2 * Z))
    assert np.abs(z).max() < 4


def test_a_map_of_limits_without_y_is_drawn_as_lines(tmp_path: Path, capsys) -> None:
    x = {"field": "loop.n", "log": [50, 400, 4]}
    panel = {"field": "loop.real_share", "values": [0.5, 1]}
    study = {**GRID, "name": "lines", "loop": {"kind": "fresh_share"}, "baseline": None}
    study["map"] = {"value": "limit", "x": x, "panel": panel}
    cells = cells_of(finish(tmp_path, study), "lines")
    assert len(cells) == 8
    assert cells["value"].equals(cells["limit"])
    falls = cells.pivot(index="x", columns="panel", values="value")
    assert (falls.diff().dropna() < 0).all(axis=None)
    assert (falls[0.5] > falls[1.0]).all()
    assert "p = 0.5: 4 of 4 done" in call(capsys, "status", write(tmp_path, study))[1]


# A boundary.


def test_a_boundary_from_plan_to_gc(boundary: Path, tmp_path: Path, capsys) -> None:
    code, out, _ = call(capsys, "plan", write(tmp_path, BOUNDARY))
    assert code == 0
    assert "cells as the search asks (at most 40), and 16 fits on real samples alone" in out
    assert "n_s) from 10 to 1000, searched" in out
    config, before = write(boundary, BOUNDARY), results(boundary)
    n = len(cells_of(boundary, "boundary"))
    assert 4 <= n <= 40
    assert len(before) == 16 + n + len([key for key in before if "/rounds/" in key])
    code, out, _ = call(capsys, "status", config)
    assert code == 0
    assert f"{n} of {n} cells done" in out
    assert call(capsys, "run", config)[0] == 0
    assert results(boundary) == before, "a second run does nothing new"
    assert "; 0 bad" in call(capsys, "verify", config)[1]
    assert "deleted 0 objects" in call(capsys, "gc", config, "--grace-s", "0")[1]
    assert results(boundary) == before


def test_a_boundary_lies_where_a_grid_of_cells_has_it(boundary: Path, tmp_path: Path) -> None:
    y = {"values": None, "log": [30, 300, 6]}
    study = merge(BOUNDARY, {"name": "whole", "kind": "grid", "map": {"y": y}})
    study.pop("search")
    finish(tmp_path, study)
    found = crossings_of_grid(cells_of(tmp_path, "whole"), 1.0, y_is_log=True)
    searched = boundaries_of(boundary, "boundary")
    assert (found["kind"] == "crossing").all()
    assert (searched["kind"] == "crossing").all()
    for one, other in zip(found.itertuples(), searched.itertuples(), strict=True):
        assert one.x == other.x
        assert max(one.low, other.low) < min(one.high, other.high), (one, other)
        assert abs(np.log(one.crossing / other.crossing)) < 0.3
    assert boundaries_of(tmp_path, "whole")["crossing"].to_numpy() == pytest.approx(found["crossing"].to_numpy())


def test_no_crossing_is_an_answer(tmp_path: Path, capsys) -> None:
    study = merge(BOUNDARY, {"name": "above", "loop": {"bias": 1.0}, "map": {"x": {"values": [50, 100]}}})
    _, out, _ = call(capsys, "run", write(tmp_path, study))
    found = boundaries_of(tmp_path, "above")
    assert list(found["kind"]) == ["above", "above"]
    assert found["crossing"].isna().all()
    assert "admissible up to n_s = 1,000 (no crossing)" in out


def interrupt(monkeypatch: pytest.MonkeyPatch, when: Callable[[int, Any], bool]) -> None:
    """As if somebody pressed Ctrl-C in a fit. when: told how many fits there were, and the training set."""
    fit, seen = Gaussian.fit, []

    def interrupted(self, data, keys, progress):
        seen.append(keys.path)
        if when(len(seen), data):
            raise KeyboardInterrupt
        return fit(self, data, keys, progress)

    monkeypatch.setattr(Gaussian, "fit", interrupted)


@pytest.mark.parametrize("n_fits", [5, 300])
def test_a_boundary_interrupted_anywhere_ends_as_if_it_had_not_been(
    n_fits: int, boundary: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    """In the baseline, and in a later round."""
    config = write(tmp_path, BOUNDARY)
    with monkeypatch.context() as patch:
        interrupt(patch, lambda n, data: n == n_fits)
        code, _, err = call(capsys, "run", config)
    assert code == 130
    assert "the same command goes on" in err
    assert call(capsys, "status", config)[0] == 0
    assert call(capsys, "report", config)[0] == 0, "a report of what there is"
    assert len(results(tmp_path)) < len(results(boundary))
    assert call(capsys, "run", config)[0] == 0
    assert results(tmp_path) == results(boundary)
    assert boundaries_of(tmp_path, "boundary").equals(boundaries_of(boundary, "boundary"))
    assert cells_of(tmp_path, "boundary").equals(cells_of(boundary, "boundary"))


def test_a_map_interrupted_loses_the_cell_in_flight_only(grid: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    config = write(tmp_path, GRID)
    with monkeypatch.context() as patch:
        interrupt(patch, lambda n, data: data.n == 200 + 50)
        assert call(capsys, "run", config)[0] == 130
    left = [content for key, content in results(tmp_path).items() if "/ledger/" in key]
    n_cells = sum("until" in content["identity"] for content in left)
    assert 1 <= n_cells <= 8
    code, out, _ = call(capsys, "status", config)
    assert code == 0
    assert f"{n_cells} of 9 cells done" in out
    assert "not finished" in out
    assert call(capsys, "run", config)[0] == 0
    assert results(tmp_path) == results(grid)
    assert cells_of(tmp_path, "grid").equals(cells_of(grid, "grid"))


def test_a_recorded_round_counts_and_not_what_the_search_would_ask_now(copy: Path, capsys) -> None:
    """Another version of the search would ask otherwise; a study goes on as it began."""
    from mad_ray.core.sealed import seal, unseal

    store = open_store(str(copy / "store"))
    key = "studies/boundary/rounds/00001.json"
    cases = unseal(store.get(key), key)["cases"]
    for path in (copy / "store" / "studies" / "boundary" / "rounds").iterdir():
        path.unlink()
    kept = cases[:2]
    store.put(key, seal({"cases": kept}))
    assert call(capsys, "run", str(copy / "boundary.yaml"))[0] == 0
    result = read_phase(store, "boundary")
    assert list(result.cells["case"][:2]) == [case["case"] for case in kept]
    assert unseal(store.get(key), key)["cases"] == kept
    assert result.n_cells > 2
    assert not result.cells["case"].duplicated().any()


def test_a_flipped_bit_in_a_round_is_found(copy: Path, capsys) -> None:
    path = copy / "store" / "studies" / "boundary" / "rounds" / "00001.json"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    config = str(copy / "boundary.yaml")
    code, out, _ = call(capsys, "verify", config)
    assert code == 2
    assert "BAD  studies/boundary/rounds/00001.json" in out
    assert out.count("BAD") == 1
    for command in ("status", "report", "run"):
        assert "studies/boundary/rounds/00001.json" in refused(capsys, command, config)


def test_gc_knows_the_cells_of_every_round(copy: Path, capsys) -> None:
    config, before = str(copy / "boundary.yaml"), results(copy)
    last = read_phase(open_store(str(copy / "store")), "boundary").cells["case"].iloc[-1]
    (folder,) = [key.split("/")[1] for key, case in cases_of(copy).items() if case == last]
    dead = copy / "store" / "cohorts" / folder / "attempts" / "000001-dead" / "models.safetensors"
    dead.parent.mkdir()
    dead.write_bytes(b"12345")
    assert "deleted 1 objects, 5 bytes" in call(capsys, "gc", config, "--grace-s", "0")[1]
    assert not dead.exists()
    assert results(copy) == before
    assert "; 0 bad" in call(capsys, "verify", config)[1]


def cases_of(folder: Path) -> dict[str, str]:
    """cohorts/ID -> the case of a study's document, or of its rounds."""
    document = read_study(open_store(str(folder / "store")), "boundary")
    return {f"cohorts/{cohort['id']}": case["case"] for case in document["cases"] for cohort in case["cohorts"]}


def test_a_longer_search_is_another_study(copy: Path, capsys) -> None:
    message = refused(capsys, "run", str(copy / "boundary.yaml"), "--set", "study.search.budget=99")
    assert "study.search.budget=99 where the store's study boundary has 40" in message


# What fails.


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[Any, Any], bool]) -> None:
    fit = Gaussian.fit

    def fit_or_fail(self, data, keys, progress):
        if fails(data, keys):
            raise ValueError("out of\nluck")
        return fit(self, data, keys, progress)

    monkeypatch.setattr(Gaussian, "fit", fit_or_fail)


def test_a_cell_that_fails_is_named_and_the_others_go_on(grid: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    config = write(tmp_path, GRID)
    with monkeypatch.context() as patch:
        failing(patch, lambda data, keys: data.n == 200 + 50)
        code, out, _ = call(capsys, "run", config)
    assert code == 1
    assert "FAILED  n_r=200, n_s=50, seeds [0, 1, 2, 3, 4, 5, 6, 7]: generation 1: ValueError: out of luck" in out
    code, out, _ = call(capsys, "status", config)
    assert code == 1
    assert "n_r=200, n_s=50: FAILED at generation 1: ValueError: out of luck" in out
    assert "8 of 9 cells done, 1 stopped with a reason" in out
    cells = cells_of(tmp_path, "grid").set_index("case")
    assert cells.loc["n_r=200, n_s=50", "state"] == "failed: generation 1: ValueError: out of luck"
    assert (cells["state"] == "settled").sum() == 8
    assert "out of luck" in (tmp_path / "grid" / "report" / "index.html").read_text()
    assert call(capsys, "run", config)[0] == 0, "the same command tries the rest again"
    assert results(tmp_path) == results(grid)


def test_a_baseline_that_fails_is_named_and_the_search_ends(
    boundary: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    """Without a baseline no cell has a value: it cannot be asked for again and again."""
    config = write(tmp_path, BOUNDARY)
    with monkeypatch.context() as patch:
        failing(patch, lambda data, keys: len(keys.seeds) == 64)
        code, out, _ = call(capsys, "run", config)
    assert code == 1
    assert "FAILED  baseline n=20" in out
    code, out, _ = call(capsys, "status", config)
    assert code == 1
    assert "baseline n=20: FAILED at generation 1: ValueError: out of luck" in out
    assert "baseline: 0 of 16 done" in out
    assert "16 stopped with a reason" in out
    assert call(capsys, "run", config)[0] == 0
    assert (boundaries_of(tmp_path, "boundary")["kind"] == "crossing").all()


def test_a_boundary_goes_round_a_cell_that_fails(boundary: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    first = cells_of(boundary, "boundary").iloc[0]
    config = write(tmp_path, BOUNDARY)
    with monkeypatch.context() as patch:
        failing(patch, lambda data, keys: data.n == first.x + first.y)
        code, out, _ = call(capsys, "run", config)
    assert code == 1
    assert f"FAILED  {first.case}" in out
    found = boundaries_of(tmp_path, "boundary")
    assert (found["kind"] == "crossing").sum() >= 2, "the others are known"
    assert len(cells_of(tmp_path, "boundary")) > 1, "and the failed one was asked for once"


# Impossible requests end with one line; which and how: tests/config/test_phase.py.


@pytest.mark.parametrize(
    ("command", "override", "words"),
    [
        ("run", "study.map.x.values=[0, 100]", "has no limit .*give loop.n_fresh"),
        ("plan", "study.loop.kind=fully_synthetic", "n_initial"),
        ("run", "study.seeds=1", "needs 2 seeds or more"),
        ("run", "study.kind=curves", "study.map does not go with kind curves"),
        ("run", "study.limit.half_width=3", "study.limit.half_width=3.0"),
        ("plan", "study.map.x.field=loop.n_fesh", "did you mean n_fresh"),
        ("run", "study.n_generations=9", "ends before study.limit.min_generations=16"),
    ],
)
def test_bad_maps_are_one_line(command: str, override: str, words: str, tmp_path: Path, capsys) -> None:
    message = refused(capsys, command, write(tmp_path, GRID), "--set", override)
    assert re.search(words, message), message
    assert not (tmp_path / "store").exists(), "nothing was started"


# Other families.

SMALL = {"n_generations": 64, "seeds": 4, "limit": {"half_width": 0.5, "drift": 0.3}}
CATEGORICAL = {
    "data": {"name": "zipf", "n_symbols": 20},
    "family": "categorical",
    "metrics": {"names": ["total_variation"]},
}
GMM = {
    "data": {"name": "modes", "side": 2},
    "family": {"name": "gmm", "n_components": 4, "max_iterations": 20},
    "metrics": {"names": ["frechet"], "n": 100, "per_octave": 4},
}


@pytest.mark.parametrize("blocks", [CATEGORICAL, GMM], ids=["categorical", "gmm"])
def test_maps_of_any_cheap_family(blocks: dict[str, Any], tmp_path: Path, capsys) -> None:
    study = {**GRID, **SMALL, **blocks, "name": "other", "baseline": {"n": {"log": [30, 400, 5]}, "seeds": 8}}
    study["map"] = merge(GRID["map"], {"x": {"values": [40, 80]}, "y": {"values": [0, 100]}})
    cells = cells_of(finish(tmp_path, study), "other").set_index(["x", "y"])
    assert len(cells) == 4
    assert np.isfinite(cells["limit"]).all()
    assert cells.loc[(80, 0), "limit"] < cells.loc[(40, 0), "limit"], "more real data is better"
    assert "4 of 4 cells done, 0 stopped" in call(capsys, "status", write(tmp_path, study))[1]


def test_a_boundary_of_a_family_that_reads_rows(tmp_path: Path, capsys) -> None:
    study = {**BOUNDARY, **SMALL, **GMM, "name": "modes", "loop": {"kind": "fresh_data", "bias": 0.5}}
    study["map"] = {
        "x": {"field": "loop.n_fresh", "values": [40, 80]},
        "y": {"field": "loop.n_synthetic", "values": [5, 200]},
    }
    study["baseline"] = {"n": {"log": [10, 400, 5]}, "seeds": 8}
    study["search"] = {"tolerance": 0.3, "batch": 4, "budget": 8}
    finish(tmp_path, study)
    found = boundaries_of(tmp_path, "modes")
    assert list(found["x"]) == [40, 80]
    assert 1 <= len(cells_of(tmp_path, "modes")) <= 8
    assert Gmm.redraw


DDPM = {
    "name": "images",
    "kind": "boundary",
    "n_generations": 8,
    "seeds": 2,
    "data": "digits",
    "family": {
        "name": "ddpm",
        "T": 4,
        "schedule": "squaredcos_cap_v2",
        "n_steps": 2,
        "channels": [4],
        "sampler_steps": 2,
    },
    "metrics": {"names": ["frechet"], "n": 20},
    "loop": {"kind": "fresh_data", "n_initial": 10},
    "map": {
        "value": "limit",
        "level": 1e9,
        "x": {"field": "loop.n_fresh", "values": [4, 8]},
        "y": {"field": "loop.n_synthetic", "values": [0, 4]},
    },
    "limit": {"metric": "frechet", "half_width": 0.9, "drift": 0.9, "min_generations": 8},
    "search": {"rises": True, "tolerance": 0.5, "batch": 1, "budget": 2},
}


def test_a_boundary_of_a_family_that_stores_samples(tmp_path: Path, capsys) -> None:
    """Networks, images, files of samples: the same search, generation by generation."""
    finish(tmp_path, DDPM)
    config = write(tmp_path, DDPM)
    cells = cells_of(tmp_path, "images")
    assert len(cells) == 2
    assert (cells["generations"] == 8).all()
    assert np.isfinite(cells["value"]).all()
    assert set(boundaries_of(tmp_path, "images")["x"]) == {4, 8}
    assert f"{len(cells)} of {len(cells)} cells done, 0 stopped" in call(capsys, "status", config)[1]
    code, out, _ = call(capsys, "plan", config)
    assert code == 0
    assert "0 fits on real samples alone" in out
    before = results(tmp_path)
    assert len([key for key in before if "/ledger/" in key]) == len(cells) * 2 * 8, "two seeds, each a ledger"
    assert call(capsys, "run", config)[0] == 0
    assert results(tmp_path) == before
    assert "; 0 bad" in call(capsys, "verify", config)[1]
