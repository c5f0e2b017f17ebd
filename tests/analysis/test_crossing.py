"""The boundary of a grid is where its columns last cross the level, as sharply as the cells are known."""

import numpy as np
import pandas as pd
import pytest

from mad_ray.analysis.crossing import crossings_of_grid
from mad_ray.analysis.phase import BOUNDARY_COLUMNS, CELL_COLUMNS
from mad_ray.core.keys import Keys

KEYS = Keys((0,), ("test_crossing",))
Y = np.geomspace(10, 10_000, 20)


def column(value: np.ndarray, half: np.ndarray | float = 0.0, x: float = 1.0, panel: float = np.nan) -> pd.DataFrame:
    rows = pd.DataFrame({"panel": panel, "x": x, "y": Y, "value": value, "low": value - half, "high": value + half})
    return rows.reindex(columns=list(CELL_COLUMNS))


def only(cells: pd.DataFrame, **rest: bool) -> pd.Series:
    found = crossings_of_grid(cells, 1.0, True, **rest)
    assert tuple(found.columns) == BOUNDARY_COLUMNS
    assert len(found) == 1
    return found.iloc[0]


def falling(at: float) -> np.ndarray:
    """Linear in log y, 1 at `at`."""
    return 1 - 0.3 * np.log(Y / at)


def test_a_line_in_log_y_is_crossed_exactly():
    found = only(column(falling(321.0), half=0.06))
    assert found["kind"] == "crossing"
    assert found["crossing"] == pytest.approx(321)
    assert (found["low"], found["high"]) == pytest.approx((321 * np.exp(-0.2), 321 * np.exp(0.2)))


def test_the_last_crossing_counts():
    """Below, above, below: synthetic data first hurts, then helps, then hurts."""
    value = np.where(Y < 50, 0.9, falling(1000.0))
    assert only(column(value))["crossing"] == pytest.approx(1000)


@pytest.mark.parametrize(("value", "kind", "end"), [(1.5, "above", -1), (0.5, "below", 0)])
def test_no_crossing_is_an_answer(value, kind, end):
    found = only(column(np.full(20, value), half=0.1))
    assert found["kind"] == kind
    assert np.isnan(found["crossing"])
    assert found["low"] == found["high"] == pytest.approx(Y[end])


def test_admissible_up_to_the_end_may_be_uncertain():
    found = only(column(falling(Y[-1] * 1.01), half=0.06))
    assert found["kind"] == "above"
    assert found["low"] < Y[-1] == pytest.approx(found["high"])


def test_rising_metrics_cross_upwards():
    """The mirrored column has the same boundary; what lies beyond is above the level."""
    falls, rises = only(column(falling(321.0), 0.06)), only(column(2 - falling(321.0), 0.06), rises=True)
    assert tuple(falls[["crossing", "low", "high"]]) == pytest.approx(tuple(rises[["crossing", "low", "high"]]))
    assert only(column(np.full(20, 0.5)), rises=True)["kind"] == "below"
    assert only(column(np.full(20, 1.5)), rises=True)["kind"] == "above"


def test_unknown_cells_are_left_out():
    value = falling(321.0)
    value[[3, 10, 11, 19]] = np.nan
    assert only(column(value, half=0.06))["crossing"] == pytest.approx(321)
    assert crossings_of_grid(column(np.full(20, np.nan)), 1.0, True).empty


def test_a_cell_without_a_value_still_has_a_side():
    """A loop worse than a model of two samples has no n_e, but a bound on it, and lies below the level."""
    cells = column(np.where(Y < 100, 1.5, np.nan))
    cells.loc[cells["value"].isna(), ["low", "high"]] = 0.0, 0.01
    found = only(cells)
    assert found["kind"] == "crossing"
    assert Y[Y < 100].max() < found["crossing"] < Y[Y >= 100].min()


def test_cells_without_an_interval_widen_the_boundarys():
    value, half = falling(321.0), np.full(20, 0.0)
    half[:] = np.nan
    found = only(column(value, half))
    assert found["crossing"] == pytest.approx(321)
    assert (found["low"], found["high"]) == pytest.approx((Y[0], Y[-1]))


def test_panels_and_columns_are_apart_and_in_order():
    made = [column(falling(100.0 * (1 + i + 3 * j)), x=x, panel=p)
            for j, p in enumerate((0.7, 1.0)) for i, x in enumerate((10.0, 20.0, 30.0))]  # fmt: skip
    shuffled = pd.concat(made).sample(frac=1, random_state=0)
    found = crossings_of_grid(shuffled, 1.0, True)
    assert found[["panel", "x"]].to_numpy().tolist() == [[p, x] for p in (0.7, 1.0) for x in (10.0, 20.0, 30.0)]
    assert found["crossing"].to_numpy() == pytest.approx([100, 200, 300, 400, 500, 600])


def test_the_interval_covers_the_true_crossing():
    """Noise of 2 % on 300 columns: covered in 95 % within z = 3.3, or more (the last crossing is pulled outwards)."""
    covered = 0
    for i in range(300):
        value = falling(321.0) + 0.02 * KEYS.generator(0, i).normal(size=20)
        found = only(column(value, half=1.96 * 0.02))
        covered += found["low"] <= 321 <= found["high"]
    assert covered / 300 > 0.95 - 3.3 * np.sqrt(0.95 * 0.05 / 300)
