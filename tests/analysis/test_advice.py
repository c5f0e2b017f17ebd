"""Advice read from boundaries: the two directions agree, and what nobody looked at is not made up."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_ray.analysis.advice import (
    admissible_synthetic,
    fresh_for_share,
    fresh_for_synthetic,
    nearest_cells,
    studied_bias,
)
from mad_ray.analysis.phase import BOUNDARY_COLUMNS, CELL_COLUMNS, Axis, PhaseResult
from mad_ray.core.errors import InvalidInput

NAN = float("nan")
X = (30.0, 100.0, 300.0, 1000.0)
LOW, HIGH = 10.0, 100_000.0


def row(x: float, crossing: float, panel: float = NAN) -> tuple[Any, ...]:
    """A crossing known to a tenth; infinite: "above"; 0: "below"."""
    if crossing == math.inf:
        return (panel, x, NAN, NAN, NAN, "above")
    if crossing == 0:
        return (panel, x, NAN, NAN, NAN, "below")
    return (panel, x, crossing, 0.9 * crossing, 1.1 * crossing, "crossing")


def result(rows: list[tuple[Any, ...]], panel: Axis | None = None, bias: float | None = None, **rest: Any):
    """A boundary study that found these rows."""
    study = {"loop": {"kind": "fresh_data", **({} if bias is None else {"bias": bias})}}
    fields: dict[str, Any] = {
        "name": "made-up",
        "title": "",
        "kind": "boundary",
        "value": "n_e/n_r",
        "metric": "w2_squared",
        "level": 1.0,
        "x": Axis("loop.n_fresh", "n_r", X),
        "y": Axis("loop.n_synthetic", "n_s", (LOW, HIGH)),
        "panel": panel,
        "cells": pd.DataFrame(columns=list(CELL_COLUMNS)),
        "boundaries": pd.DataFrame(rows, columns=list(BOUNDARY_COLUMNS)),
        "baseline": pd.DataFrame(),
        "n_cells": 0,
        "n_done": 0,
        "identity": {"study": study},
    }
    return PhaseResult(**{**fields, **rest})


def line(*crossings: float) -> PhaseResult:
    return result([row(x, y) for x, y in zip(X, crossings, strict=True)])


BIASES = Axis("loop.bias", "lambda", (0.5, 0.9), is_log=False)
PANELS = result([row(x, y * x, panel) for panel, y in ((0.5, 0.5), (0.9, 3.0)) for x in X], BIASES)


def refused(function, *args: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_at_a_column_the_answer_is_the_columns_own() -> None:
    found = admissible_synthetic(line(20, 60, 90, 100), 300, None)
    assert (found.value, found.low, found.high, found.kind) == pytest.approx((90, 81, 99, "crossing"))


def test_between_columns_a_power_law_is_read_exactly() -> None:
    """Linear in both logarithms."""
    law = line(*(0.5 * x**1.3 for x in X))
    for n in (31, 57, 99, 512, 999):
        found = admissible_synthetic(law, n, None)
        assert found.value == pytest.approx(0.5 * n**1.3)
        assert (found.low, found.high) == pytest.approx((0.9 * found.value, 1.1 * found.value))


def test_beside_a_column_without_a_crossing_the_worse_is_said() -> None:
    assert admissible_synthetic(line(20, 60, math.inf, math.inf), 200, None).value == 60
    found = admissible_synthetic(line(20, 60, math.inf, math.inf), 500, None)
    assert (found.kind, found.value) == ("above", HIGH)
    found = admissible_synthetic(line(0, 60, 70, 80), 50, None)
    assert (found.kind, found.value, found.high) == ("below", 0, LOW)


def test_a_share_of_the_largest_data_set_is_not_one_of_the_smallest() -> None:
    """n_s = 3 n_r^0.5: at n_r = 36 a third of n_s + n_r is synthetic, and less beyond."""
    start, end = fresh_for_share(line(*(3 * x**0.5 for x in X)), 1 / 3, None)
    assert start.kind == "above", "from the smallest that was studied on"
    assert end.value == pytest.approx(36, rel=1e-6)
    assert end.low == 0, "with the worse end of the intervals at none that was studied"
    assert end.high == pytest.approx(36 * 1.1**2)


def test_a_share_may_need_much_fresh_data() -> None:
    start, end = fresh_for_share(line(*(0.01 * x**2 for x in X)), 0.5, None)
    assert start.value == pytest.approx(100)
    assert start.low < 100 < start.high
    assert (end.kind, end.value) == ("above", 1000)


def test_a_share_that_is_never_admissible_is_said_with_where_one_looked() -> None:
    start, end = fresh_for_share(line(*(0.1 * x for x in (300, 300, 400, 1000))), 0.9, None)
    assert start.kind == end.kind == "below"
    assert (start.low, start.high) == (30, 1000)
    rising = fresh_for_share(line(*(0.01 * x**2 for x in X)), 10 / 11.05, None)[0]
    assert rising.value < 1000
    assert rising.high == math.inf, "admissible at 1,000, if the truth is not at the worse end"


def test_what_lies_beyond_the_searched_n_s_is_neither_admissible_nor_not() -> None:
    """n_s above 10^5 was not looked at: "above" says nothing of it, a crossing below says that it hurts."""
    above = line(*[math.inf] * 4)
    _, end = fresh_for_share(above, 0.995, None)
    assert end.kind == "above", "up to the largest that was looked at"
    assert end.value == 300, "where n_s = 59,700; at 1,000 it would be 199,000"
    assert "takes n_s outside what made-up studied (10 to 100000)" in refused(fresh_for_share, above, 0.99999, None)
    assert fresh_for_share(line(20, 60, 90, 100), 0.99999, None)[0].kind == "below"
    message = refused(fresh_for_synthetic, above, 200_000, None)
    assert "n_synthetic=200000 is outside what made-up studied (10 to 100000)" in message
    assert "is outside" in refused(fresh_for_synthetic, line(0, 0, 0, 0), 5, None)


def test_fresh_data_for_a_number_of_synthetic_ones() -> None:
    law = line(*(0.5 * x for x in X))
    found = fresh_for_synthetic(law, 100, None)
    assert found.value == pytest.approx(200)
    assert found.low == pytest.approx(200 / 1.1)
    assert found.high == pytest.approx(200 / 0.9)
    assert fresh_for_synthetic(law, 12, None).kind == "above", "already at the smallest n_r"
    assert fresh_for_synthetic(law, 5000, None).kind == "below", "not even at the largest"


@given(
    st.lists(st.floats(1.01, 30), min_size=4, max_size=4),
    st.floats(X[0], X[-1]),
)
def test_the_directions_agree_on_a_rising_boundary(factors: list[float], n_fresh: float) -> None:
    """n_r -> admissible n_s -> the n_r that it needs: the same n_r, in its interval; and so for shares."""
    crossings = np.minimum(5 * np.cumprod(factors), HIGH)
    rising = line(*(float(y) * (1 + 1e-6 * i) for i, y in enumerate(crossings)))
    n_synthetic = admissible_synthetic(rising, n_fresh, None).value
    if not LOW <= n_synthetic <= HIGH:
        return
    back = fresh_for_synthetic(rising, n_synthetic, None)
    assert back.value == pytest.approx(n_fresh, rel=1e-6)
    assert back.low <= n_fresh * (1 + 1e-6)
    assert n_fresh * (1 - 1e-6) <= back.high
    share = n_synthetic / (n_synthetic + n_fresh)
    start, end = fresh_for_share(rising, share * (1 - 1e-9), None)
    assert start.value <= n_fresh * (1 + 1e-6)
    assert n_fresh * (1 - 1e-6) <= end.value


def test_what_was_not_studied_is_refused() -> None:
    message = refused(admissible_synthetic, line(20, 60, 90, 100), 29, None)
    assert "n_fresh=29 is outside what made-up studied (30 to 1000); widen study.map.x" in message
    assert "n_fresh=2000" in refused(admissible_synthetic, line(20, 60, 90, 100), 2000, None)
    other = result([row(30, 20)], x=Axis("loop.bias", "lambda", (0.5,)))
    assert "made-up maps loop.bias and loop.n_synthetic; advice needs" in refused(admissible_synthetic, other, 30, None)
    lines = result([row(30, 20)], y=None)
    assert "maps loop.n_fresh and nothing" in refused(fresh_for_share, lines, 0.5, None)
    assert "has no boundary yet" in refused(admissible_synthetic, result([]), 30, None)


def test_each_lambda_has_its_answer() -> None:
    for bias, slope in ((0.5, 0.5), (0.9, 3.0)):
        assert admissible_synthetic(PANELS, 100, bias).value == pytest.approx(100 * slope)
        assert fresh_for_synthetic(PANELS, 150, bias).value == pytest.approx(150 / slope)
    assert "studied several lambdas (0.5, 0.9): name one with --bias" in refused(
        admissible_synthetic, PANELS, 100, None
    )
    message = refused(admissible_synthetic, PANELS, 100, 0.7)
    assert "bias=0.7 is not one that made-up studied (0.5, 0.9)" in message
    memory = result([row(x, x, 2) for x in X], Axis("loop.memory", "K", (2,)))
    assert "a panel for each loop.memory; advice needs panels over loop.bias" in refused(studied_bias, memory, None)


def test_a_lambda_that_stands_alone_need_not_be_named_and_no_other_is_answered_for() -> None:
    """A study at lambda = 0.7 knows nothing of 0.9."""
    fixed = result([row(x, x) for x in X], bias=0.7)
    assert admissible_synthetic(fixed, 100, None) == admissible_synthetic(fixed, 100, 0.7)
    assert "bias=0.9 is not one that made-up studied (0.7)" in refused(admissible_synthetic, fixed, 100, 0.9)
    assert studied_bias(line(1, 1, 1, 1), None) == 1, "the loop's default"
    alone = result([row(x, x, 0.7) for x in X], Axis("loop.bias", "lambda", (0.7,)))
    assert admissible_synthetic(alone, 100, None).value == pytest.approx(100)


def test_the_evidence_is_the_cells_nearest_to_the_level() -> None:
    values = {
        (x, y): 2.0 - i / 10 for i, (x, y) in enumerate((x, y) for x in X for y in (10.0, 50.0, 90.0, 200.0, 400.0))
    }
    rows = [{"case": f"{x:g} {y:g}", "panel": NAN, "x": x, "y": y, "value": v} for (x, y), v in values.items()]
    rows.append({"case": "failed", "panel": NAN, "x": 100.0, "y": 7.0, "value": NAN})
    cells = pd.DataFrame(rows, columns=list(CELL_COLUMNS))
    study = result([row(x, 50) for x in X], cells=cells)
    near = nearest_cells(study, 110, None)
    assert set(near["x"]) == {100.0}
    assert list(near["y"]) == [50.0, 90.0, 200.0, 400.0]
    anywhere = nearest_cells(study, None, None)
    assert len(anywhere) == 4
    assert (anywhere["value"] - 1).abs().max() <= 0.25
