"""From cells to what a search is told, and from what it asks to cells: nothing gets lost on the way."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mad_ray.analysis.cells import NAN, CellRecord, value_of
from mad_ray.analysis.effective import Baseline
from mad_ray.analysis.levels import asked_of, level_set_of, place_of, told
from mad_ray.analysis.phase_table import cells_frame
from mad_ray.core.stopping import Judgement

SETTINGS: dict[str, Any] = {
    "x": {"values": [50, 100], "is_log": False},
    "y": {"values": [10, 1000], "is_log": True},
    "panel": {"values": [0.7, 1], "is_log": False},
    "level": 1.0,
    "search": {"rises": False, "tolerance": 0.05, "batch": 4, "budget": 30},
}
BASELINE = Baseline(
    np.array([10.0, 100.0, 1000.0]), np.array([1.0, 0.1, 0.01]), np.array([0.01, 1e-3, 1e-4]), np.full(3, 64)
)


def cell(mean: float, *, is_done: bool = True, failure: str | None = None, point: Any = (0.7, 50, 20)) -> CellRecord:
    """A settled cell whose limit is known to 5 %, of 50 real rows."""
    judgement = Judgement("settled", 64, 8, 33, mean=mean, low=0.95 * mean, high=1.05 * mean)
    return CellRecord("a cell", point, judgement, 50, failure, is_done, ())


def test_what_is_asked_for_is_a_cell_and_back() -> None:
    """Whole numbers where the field is a count; of one panel and of none."""
    search = level_set_of(SETTINGS)
    asked = search.ask()
    assert asked
    for point in asked:
        place = place_of(point, SETTINGS)
        assert asked_of(place) == point
        panel, x, y = place
        assert isinstance(x, int)
        assert isinstance(y, int)
        assert panel in (0.7, 1)
    flat = {**SETTINGS, "panel": None}
    for point in level_set_of(flat).ask():
        place = place_of(point, flat)
        assert place[0] is None
        assert asked_of(place) == point


def test_a_real_axis_is_asked_in_real_numbers() -> None:
    settings = {**SETTINGS, "panel": None, "y": {"values": [0.1, 0.9], "is_log": False}}
    asked = level_set_of(settings).ask()
    assert all(asked_of(place_of(point, settings)) == point for point in asked)
    assert any(point[-1] != int(point[-1]) for point in asked)


def told_of(*cells: CellRecord) -> list:
    return told(cells_frame(cells, [value_of(one, "n_e/n_r", BASELINE) for one in cells]))


def test_a_cell_is_told_with_its_standard_error() -> None:
    ((point, value, se),) = told_of(cell(0.02))
    assert point == (0.7, 50.0, 20.0)
    assert value == pytest.approx(10, rel=0.01), "E[metric] = 10/n: n_e = 500, of 50 real rows"
    assert 0.04 < 2 * 1.96 * se / (2 * value) < 0.08


def test_off_the_baselines_scale_the_side_is_told() -> None:
    worse, better = told_of(cell(2.0)), told_of(cell(0.001))
    assert worse[0][1] == 0
    assert better[0][1] == math.inf
    search = level_set_of(SETTINGS)
    assert search.tell([*worse, *better]).ask(), "both are of use"


def test_a_failed_cell_is_told_as_one_that_says_nothing() -> None:
    ((point, value, _),) = told_of(cell(0.02, failure="out of luck"))
    assert point == (0.7, 50.0, 20.0)
    assert math.isnan(value)


@pytest.mark.parametrize("mean", [0.02, 2.0, 0.001])
def test_a_cell_that_is_not_finished_is_not_told_whatever_it_looks_like(mean: float) -> None:
    """Its first generations may be off the scale, or on the wrong side."""
    assert value_of(cell(mean, is_done=False), "n_e/n_r", BASELINE).state == "not finished"
    assert told_of(cell(mean, is_done=False)) == []


def test_without_a_judgement_or_a_baseline_nothing_is_said() -> None:
    nothing = replace(cell(0.02), judgement=None, is_done=False)
    assert value_of(nothing, "limit", None).state == "not finished"
    assert math.isnan(value_of(cell(0.02), "n_e", None).value)
    assert value_of(cell(NAN), "limit", None).state == "settled"
    assert math.isnan(value_of(cell(NAN), "limit", None).value)


def test_the_kinds_of_value() -> None:
    limit, n_e, ratio = (value_of(cell(0.02), kind, BASELINE) for kind in ("limit", "n_e", "n_e/n_r"))
    assert limit.value == 0.02
    assert n_e.value == pytest.approx(50 * ratio.value)
    assert n_e.low < n_e.value < n_e.high
