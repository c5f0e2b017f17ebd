"""plan --calibrate: how long a study will take, before anything of it is computed."""

import re
from pathlib import Path

import pytest
import yaml

from mad_ray.commands.plan_time import Estimate, duration
from mad_ray.core.errors import Missing
from mad_ray.core.loop import fully_synthetic, synthetic_augmentation
from mad_ray.core.trajectory import Cohort
from mad_ray.data import GaussianData
from mad_ray.engine.calibrate import CheapPace, Pace, calibrate, units
from mad_ray.families import Gaussian
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.overlay import Overlay
from tests.command_line import call
from tests.engine.made_up import new_store, study
from tests.families.toy_network import Toy

NETWORK = {
    "name": "calibrated",
    "n_generations": 3,
    "seeds": 2,
    "data": "digits",
    "family": {"name": "ddpm", "n_steps": 40, "channels": [8, 16], "sampler_steps": 2, "chunk": 64},
    "loop": {"kind": "fully_synthetic", "n_initial": 100},
    "metrics": {"features": "identity", "n": 100},
}
GAUSSIAN = {
    "name": "cheap",
    "n_generations": 40,
    "seeds": 4,
    "data": {"name": "gaussian", "d": 3},
    "family": "gaussian",
    "loop": {"kind": "fully_synthetic", "n_initial": 100},
    "metrics": {"features": "identity", "n": 100},
}


def config(folder: Path, settings: dict) -> str:
    path = folder / "study.yaml"
    run = {"store": str(folder / "store"), "output": str(folder / "out"), "runtime": "local"}
    path.write_text(yaml.safe_dump({"study": settings, "run": run}))
    return str(path)


def toy(n_generations: int = 4, loop=None) -> Cohort:
    return study(GaussianData(d=2), Toy(), loop or fully_synthetic(n_initial=30, n_synthetic=40), n_generations)


@pytest.mark.parametrize("settings", [NETWORK, GAUSSIAN], ids=["network", "gaussian"])
def test_it_predicts_and_writes_nothing(settings, tmp_path, capsys) -> None:
    path = config(tmp_path, settings)
    code, out, err = call(capsys, "plan", path, "--calibrate")
    assert code == 0, err
    assert re.search(r"^time: about .* \[.*, .*\] \(.*\d+%.*\); 95 % interval, from a calibration of 1 kind", out, re.M)
    assert not (tmp_path / "store").exists() or not [f for f in (tmp_path / "store").rglob("*") if f.is_file()]


def test_without_it_an_unknown_pace_says_how_to_learn_it(tmp_path, capsys) -> None:
    _, out, _ = call(capsys, "plan", config(tmp_path, NETWORK))
    assert "time: unknown until a first generation is committed; add --calibrate" in out


def test_a_pace_counts_what_each_generation_holds() -> None:
    pace = Pace(fit_s_per_image=1.0, sample_s_per_image=10.0, measure_s=100.0, once_s=0.0, error=0.1)
    cohort = toy()
    assert pace.seconds(cohort, 1) == {"fit": 4 * 20 * 8, "sample": 4 * 10 * 40, "measure": 400}
    assert pace.seconds(cohort, 4) == {"fit": 20 * 8, "sample": 10 * 40, "measure": 100}
    growing = study(GaussianData(d=2), Toy(epochs=2), synthetic_augmentation(n_initial=40, accumulate=True), 3)
    # Two epochs of 40, 80 and 120 rows, in batches of 8.
    assert pace.seconds(growing, 1)["fit"] == 2 * (40 + 80 + 120)


def test_units_of_cheap_families_are_summaries_or_rows() -> None:
    small, large = (study(GaussianData(d=2), Gaussian(), fully_synthetic(n_initial=n), 5) for n in (100, 1000))
    assert units(small) == units(large), "moments are drawn, however many rows they stand for"
    small, large = (
        study(GaussianData(d=2), Gaussian(draws="rows"), fully_synthetic(n_initial=n), 5) for n in (100, 1000)
    )
    assert units(large) == 10 * units(small)


def test_calibration_measures_this_machine(monkeypatch) -> None:
    monkeypatch.setattr("mad_ray.engine.calibrate.BUDGET_S", 0.2)
    store = new_store()
    pace = calibrate(toy(), store)
    assert isinstance(pace, Pace)
    assert 0 < pace.fit_s_per_image < 1
    assert 0 < pace.sample_s_per_image < 1
    assert 0 < pace.error < 1
    cheap = calibrate(study(GaussianData(d=2), Gaussian(), fully_synthetic(n_initial=30), 5), store)
    assert isinstance(cheap, CheapPace)
    assert cheap.fit_s_per_unit > 0
    assert list(store.list("")) == []


def test_an_estimate_is_no_shorter_than_its_longest_cohort() -> None:
    estimate = Estimate(seconds={"a": 1000.0, "b": 10.0, "c": 10.0})
    assert estimate.wall_s(3) > 1000
    assert estimate.wall_s(1) > 1020
    assert Estimate(seconds={"a": 600.0, "b": 600.0}).wall_s(2) < Estimate(seconds={"a": 600.0, "b": 600.0}).wall_s(1)


def test_independent_errors_add_in_squares() -> None:
    assert Estimate(seconds={"a": 100.0, "b": 100.0}, variance=2 * 10.0**2).error == pytest.approx(0.05 * 2**0.5)


def test_durations_read_well() -> None:
    assert [duration(s) for s in (3, 89, 100, 3000, 7200, 4e5)] == [
        "3 s",
        "89 s",
        "1.7 min",
        "50 min",
        "2.0 h",
        "4.6 days",
    ]


def test_an_overlay_reads_through_and_writes_on_top() -> None:
    base, top = MemoryStore("overlay-base"), MemoryStore("overlay-top")
    base.put("a", b"base")
    both = Overlay(base, top)
    assert both.get("a") == b"base"
    assert both.put("a", b"other", if_absent=True) is False
    assert both.put("b", b"new", if_absent=True) is True
    both.put("a", b"over")
    assert (both.get("a"), both.get("b"), base.get("a")) == (b"over", b"new", b"base")
    assert [entry.key for entry in both.list("")] == ["a", "b"]
    both.delete("a")
    assert both.get("a") == b"base"
    with pytest.raises(Missing):
        base.get("b")
