"""Maps and boundaries: axes, baselines and cells worked out; what cannot be is one line, before anything starts."""

import math
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_ray.commands.session import session_of
from mad_ray.config import Config, parse_config
from mad_ray.config.load import merge
from mad_ray.config.model import AxisSettings
from mad_ray.config.phase import Phase, axis
from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop

X = {"field": "loop.n_fresh", "values": [20, 40]}
Y = {"field": "loop.n_synthetic", "values": [0, 10, 30]}
STUDY: dict[str, Any] = {
    "name": "a",
    "kind": "grid",
    "n_generations": 64,
    "seeds": 2,
    "data": {"name": "gaussian", "d": 5},
    "family": "gaussian",
    "metrics": {"names": ["w2_squared"]},
    "loop": {"kind": "fresh_data"},
    "map": {"x": X, "y": Y},
}
BOUNDARY = {"kind": "boundary", "map": {"y": {"field": "loop.n_synthetic", "log": [1, 1000, 9]}}}


def config_of(*changes: dict[str, Any]) -> Config:
    study = STUDY
    for change in changes:
        # An axis' values come in one of three ways: another way replaces the first.
        axes = change.get("map") or {}
        study = {**study, "map": {name: kept for name, kept in study["map"].items() if name not in axes}}
        study = merge(study, change)
    return parse_config({"study": study, "run": {"store": "memory://test-phase"}})


def phase_of(*changes: dict[str, Any]) -> Phase:
    return Phase(config_of(*changes))


def refused(*changes: dict[str, Any]) -> str:
    """The one line that a session ends with before it starts."""
    with pytest.raises(InvalidInput) as caught:
        session_of(config_of(*changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def values_of(**given: Any) -> tuple[float, ...]:
    return axis(AxisSettings.model_validate({"field": "loop.n_fresh", **given}), "study.map.x").values


# Axes.


def test_values_are_sorted_and_each_stands_once() -> None:
    assert values_of(values=(5, 1, 5, 3)) == (1, 3, 5)


def test_between_whole_numbers_lie_whole_numbers_each_once() -> None:
    assert values_of(log=(100, 10000, 3)) == (100, 1000, 10000)
    assert values_of(linear=(0, 10, 5)) == (0, 2, 5, 8, 10)
    assert values_of(log=(1, 4, 50)) == (1, 2, 3, 4)
    assert all(isinstance(value, int) for value in values_of(log=(2, 999, 17)))


@given(
    st.floats(1e-3, 1e3),
    st.floats(1.01, 1e4),
    st.integers(2, 40),
    st.sampled_from(["log", "linear"]),
)
def test_spaced_values_ascend_evenly_from_end_to_end(low: float, times: float, n: int, kind: str) -> None:
    values = values_of(**{kind: (low, low * times, n)})
    assert len(values) == n
    assert math.isclose(values[0], low, rel_tol=1e-5)
    assert math.isclose(values[-1], low * times, rel_tol=1e-5)
    steps = [(b / a if kind == "log" else b - a) for a, b in pairwise(values)]
    assert all(later > earlier for earlier, later in pairwise(values))
    # Six digits are kept of each value.
    assert max(steps) - min(steps) <= 1e-4 * values[-1] / min(values[0], 1)


def test_an_axis_is_logarithmic_if_it_says_so_or_spans_much() -> None:
    def is_log(**given: Any) -> bool:
        return axis(AxisSettings.model_validate({"field": "loop.n", **given}), "").is_log

    assert is_log(log=(1, 2, 3))
    assert is_log(values=(1, 10, 100))
    assert not is_log(values=(0.5, 1.0))
    assert not is_log(values=(0, 10, 1000)), "0 has no logarithm"
    assert not is_log(linear=(1, 1000, 3))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "expected exactly one of values, log and linear, found none"),
        ({"values": [1], "log": [1, 2, 3]}, r"exactly one of values, log and linear, found \['log', 'values'\]"),
        ({"values": []}, "study.map.x.values is empty"),
        ({"values": [1, math.nan]}, r"study.map.x.values.1=nan: expected a finite number"),
        ({"values": [1, math.inf]}, "expected a finite number"),
        ({"values": [True]}, "study.map.x.values.0=True"),
        ({"values": ["many"]}, "study.map.x.values.0='many'"),
        ({"log": [1, 2]}, r"log=\[1, 2\]: expected \[low, high, how many\]"),
        ({"log": [0, 2, 3]}, r"log: low > 0"),
        ({"log": [5, 2, 3]}, "low < high"),
        ({"linear": [5, 5, 3]}, "low < high"),
        ({"linear": [1, 5, 2.5]}, "how many is 2.5; expected a whole number, at least 2"),
        ({"linear": [1, 5, 1]}, "how many is 1"),
        ({"linear": [1, 5, math.nan]}, "expected a finite number"),
        ({"stepped": [1, 5, 2]}, "study.map.x.stepped: unknown key"),
    ],
)
def test_an_axis_that_cannot_be_is_one_line(given: dict[str, Any], words: str) -> None:
    message = refused({"map": {"x": {"field": "loop.n_fresh", **given}}})
    assert re.search(words, message), message
    assert "study.map.x" in message


# Cells.


def test_points_come_panel_by_panel_column_by_column_and_labels_tell_them_apart() -> None:
    phase = phase_of({"map": {"panel": {"field": "loop.bias", "values": [1, 0.5]}}})
    assert phase.points == [(p, x, y) for p in (0.5, 1) for x in (20, 40) for y in (0, 10, 30)]
    labels = [phase.label(point) for point in phase.points]
    assert len(set(labels)) == len(phase.points)
    assert labels[0] == "lambda=0.5, n_r=20, n_s=0"
    lines = phase_of({"map": {"y": None, "value": "limit"}})
    assert lines.points == [(None, 20, None), (None, 40, None)]
    assert [lines.label(point) for point in lines.points] == ["n_r=20", "n_r=40"]


def test_a_cell_is_the_loop_with_its_axes_values_until_the_rule_is_satisfied() -> None:
    phase = phase_of({"limit": {"half_width": 0.1}, "map": {"panel": {"field": "loop.bias", "values": [0, 0.5]}}})
    made = phase.trajectories((0, 20, 30))
    assert [trajectory.seed for trajectory in made] == [0, 1]
    assert made[0].loop == Loop(n_initial=20, n_fresh=20, n_synthetic=30, bias=0.0)
    assert made[0].until == phase.limit
    assert phase.limit.metric == "w2_squared", "the only metric measured"
    assert phase.limit.half_width == 0.1


def test_the_value_text_of_two_close_values_differs() -> None:
    phase = phase_of({"map": {"panel": {"field": "loop.bias", "values": [0.1234567, 0.1234568]}}})
    assert len({phase.label(point) for point in phase.points}) == len(phase.points)


def test_edges_of_the_theory_are_cells_like_others() -> None:
    """n_s = 0, lambda = 0, and more dimensions than samples."""
    edges = {"x": {"field": "loop.bias", "values": [0, 1]}, "y": Y}
    loop = {"kind": "fresh_data", "n_fresh": 3}
    phase = phase_of({"data": {"d": 50}, "loop": loop, "map": edges})
    assert [phase.trajectories(point)[0].loop.n_synthetic for point in phase.points] == [0, 10, 30] * 2
    assert len(session_of(phase.config).points) == 6


# The baseline.


def baseline_sizes(*changes: dict[str, Any]) -> list[int]:
    return sorted({trajectory.loop.n_initial for trajectory in phase_of(*changes).baseline()})


def test_a_baseline_left_out_reaches_beyond_what_the_cells_hold() -> None:
    found = baseline_sizes()
    assert found[0] == 2
    assert found[-1] == 4 * 40
    assert len(found) <= 40
    late = {"loop": {"kind": "fresh_data", "n_initial": 5}}
    assert baseline_sizes(late)[-1] == 4 * 40, "a small start does not make D^t small"


def test_a_baseline_is_fitted_once_on_real_samples_alone() -> None:
    made = phase_of({"baseline": {"n": {"values": [10, 90]}, "seeds": 3}}).baseline()
    assert [(t.loop, t.n_generations, t.seed, t.until) for t in made] == [
        (Loop(n_initial=n, n_fixed=n), 1, seed, None) for n in (10, 90) for seed in range(3)
    ]


def test_of_a_baseline_left_out_sizes_that_the_family_cannot_fit_are_left_out() -> None:
    modes = {
        "data": "modes",
        "family": {"name": "gmm", "n_components": 9},
        "metrics": {"names": ["modal_variance"]},
    }
    assert baseline_sizes(modes)[0] >= 9
    message = refused(modes, {"baseline": {"n": {"values": [5, 100]}}})
    assert "n_components=9" in message, "sizes that were asked for are not dropped in silence"


def test_a_map_of_limits_needs_no_baseline() -> None:
    assert phase_of({"map": {"value": "limit"}}).baseline() == []


@pytest.mark.parametrize(
    ("n", "words"),
    [
        ({}, "study.baseline.n: expected exactly one of values and log"),
        ({"values": [3, 9], "log": [2, 9, 3]}, "exactly one of values and log"),
        ({"values": []}, "study.baseline.n: give two or more n"),
        ({"values": [9]}, "study.baseline.n: give two or more n"),
        ({"values": [9, 9]}, "study.baseline.n: give two or more n"),
        ({"values": [-1, 9]}, "study.baseline.n=[-1, 9]: no model is fitted on fewer than 1 sample"),
        ({"values": [1, 9]}, "at least 2 samples"),
        ({"log": [9, 2, 4]}, "low < high"),
    ],
)
def test_a_baseline_that_cannot_be_is_one_line(n: dict[str, Any], words: str) -> None:
    assert words in refused({"baseline": {"n": n}})


# Sessions: everything else that cannot be.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"map": {"x": {"field": "loop.n_fesh", "values": [1]}}}, "loop.n_fesh: unknown key; did you mean n_fresh"),
        ({"map": {"x": {"field": "lop.n_fresh", "values": [1]}}}, "study.map.x.field.lop.n_fresh.*did you mean loop"),
        ({"map": {"y": {"field": "loop.n_fresh", "values": [1]}}}, "study.map: .* name one field twice"),
        ({"map": {"x": {"field": "loop.n_fresh", "values": [20.5]}}}, "loop.n_fresh=20.5: input should be a valid int"),
        (
            {"map": {"x": {"field": "loop.bias", "values": [0.5, 2]}}, "loop": {"n_fresh": 9}},
            "loop.bias=2.* is outside",
        ),
        ({"map": {"x": {"field": "data.d", "values": [2, 3]}}}, "axis over data.d would need a baseline for each"),
        ({"map": {"x": {"field": "loop.n_fresh", "values": [0, 20]}}}, "n_r=0.* has no limit.*give loop.n_fresh"),
        ({"kind": "curves"}, "study.map does not go with kind curves; set study.kind to grid or boundary"),
        ({"kind": "curves", "map": None, "limit": {"drift": 0.1}}, "study.limit does not go with kind curves"),
        ({"kind": "curves", "map": None, "baseline": {}}, "study.baseline does not go with kind curves"),
        ({"kind": "heatmap"}, "study.kind='heatmap'"),
        ({"map": None}, "study.map is missing: kind grid needs its axes"),
        ({"cases": {"a": {}}}, "study.cases does not go with kind grid"),
        ({"grid": {"loop.bias": [1]}}, "study.grid does not go with kind grid"),
        ({"random": {"n": 1, "space": {}}}, "study.random does not go with kind grid"),
        ({"seeds": 1}, "study.seeds=1: a limit's interval needs 2 seeds or more"),
        ({"seeds": [7]}, r"study.seeds=\(7,\): a limit's interval needs 2"),
        ({"n_generations": 8}, "study.n_generations=8 ends before study.limit.min_generations=16.*raise n_generations"),
        ({"limit": {"half_width": 2.0}}, "study.limit.half_width=2.0; a share between 0 and 1"),
        ({"limit": {"drift": 0.0}}, "study.limit.drift=0.0; a share between 0 and 1"),
        ({"limit": {"min_generations": 20}}, "study.limit.min_generations=20; give a power of two"),
        ({"limit": {"halfwidth": 0.1}}, "study.limit.halfwidth: unknown key; did you mean half_width"),
        ({"limit": {"metric": "frechet"}}, "study.limit.metric=frechet is not measured; add it to metrics.names"),
        ({"limit": {"metric": "w2"}}, "study.limit.metric=w2 is not measured"),
        ({"metrics": {"names": ["w2_squared", "trace_ratio"]}}, "study.limit.metric is missing"),
        ({"metrics": {"names": ["support"]}}, "family=gaussian does not measure support"),
        ({"map": {"value": "n_r"}}, "study.map.value='n_r'"),
        ({"map": {"level": math.nan}}, "study.map.level=nan: expected a finite number"),
        (
            {"data": "digits", "family": "ddpm", "n_generations": 16, "metrics": {"n": 100}},
            "family=ddpm does not measure w2_squared",
        ),
        ({"data": "digits", "family": "ddpm"}, "n_r=20, n_s=0: fresh data exhausted at t=61"),
    ],
)
def test_a_map_that_cannot_be_is_one_line(change: dict[str, Any], words: str) -> None:
    message = refused(change)
    assert re.search(words, message), message


def test_a_loop_without_real_data_says_why_it_has_no_limit() -> None:
    """Whichever axis takes them away; one that keeps its first data has a limit."""
    biases = {"map": {"x": {"field": "loop.bias", "values": [0.5, 1]}, "y": {**Y, "values": [10, 30]}}}
    message = refused({"loop": {"kind": "fully_synthetic", "n_initial": 9}}, biases)
    assert "a fully synthetic loop has no limit (n_r = 0: it drifts for ever)" in message
    assert "give loop.n_fresh or n_fixed, or ask for its course with study.kind=curves" in message
    kept = {"kind": "synthetic_augmentation", "n_initial": 9}
    assert session_of(config_of({"loop": kept}, biases)).points
    assert "n_r=0, n_s=0: a fully synthetic loop has no limit" in refused({"map": {"x": {**X, "values": [0, 20]}}})
    plain = {"loop": {"kind": None, "n_initial": 9}, "map": {"x": {**X, "values": [0, 20]}}}
    assert "has no limit" in refused(plain)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"map": {"y": None}}, "study.map.y is missing: it is the axis along which a boundary is searched"),
        ({"map": {"y": {"field": "loop.n_synthetic", "values": [9]}}}, "study.map.y has one value.*lies between two"),
        (
            {"map": {"y": {"field": "loop.n_synthetic", "log": [900, 9, 4]}}},
            "study.map.y.log=.*low < high",
        ),
        ({"map": {"value": "limit"}}, "study.map.level is missing: at which limit does the boundary lie"),
        ({"search": {"tolerance": 0.0}}, "study.search.tolerance=0.0"),
        ({"search": {"batch": 0}}, "study.search.batch=0"),
        ({"search": {"budgte": 5}}, "study.search.budgte: unknown key; did you mean budget"),
        ({"map": {"y": {"field": "loop.n_synthetic", "log": [-5, 9, 4]}}}, "log: low > 0"),
        ({"loop": {"kind": "fresh_data", "bias": -1.0}}, "loop.bias=-1.0 is outside"),
        ({"n_generations": 4}, "study.n_generations=4 ends before"),
    ],
)
def test_a_boundary_that_cannot_be_is_one_line_before_the_search(change: dict[str, Any], words: str) -> None:
    message = refused(BOUNDARY, change)
    assert re.search(words, message), message


def test_a_boundary_expands_its_baseline_and_checks_its_corners() -> None:
    session = session_of(config_of(BOUNDARY))
    assert {trajectory.case.split("=")[0] for trajectory in session.trajectories} == {"baseline n"}
    assert len(session.points) == 4
    assert session.document["map"]["level"] == 1.0
    limits = session_of(config_of(BOUNDARY, {"map": {"value": "limit", "level": 0.3}}))
    assert limits.trajectories == []


# Loops of a fixed size, as in the paper's figure 31.


def test_a_share_of_fresh_data_is_a_loop_and_may_be_an_axis() -> None:
    x, panel = {"field": "loop.n", "values": [100, 1000]}, {"field": "loop.real_share", "values": [0.1, 1]}
    phase = phase_of({"loop": {"kind": "fresh_share"}, "map": {"x": x, "y": None, "panel": panel, "value": "limit"}})
    loops = [phase.trajectories(point)[0].loop for point in phase.points]
    assert [(loop.n_fresh, loop.n_synthetic) for loop in loops] == [(10, 90), (100, 900), (100, 0), (1000, 0)]
    assert phase.label(phase.points[0]) == "p=0.1, n=100"


@pytest.mark.parametrize(
    ("loop", "words"),
    [
        ({"kind": "fresh_share"}, "kind fresh_share needs 'n' and 'real_share'"),
        ({"kind": "fresh_share", "n": 9}, "kind fresh_share needs 'real_share'"),
        ({"kind": "fresh_share", "n": 9, "real_share": 0.0}, "loop.real_share=0.0 is outside"),
        ({"kind": "fresh_share", "n": 9, "real_share": 0.01}, "loop.n=9 with real_share=0.01 leaves no real row"),
        ({"kind": "fresh_share", "n": 9.5, "real_share": 0.5}, "study.loop.n=9.5"),
        ({"kind": "fresh_data", "n": 9}, "study.loop.n goes with kind fresh_share only"),
        ({"kind": None, "n_initial": 9, "n": 9}, "study.loop.n goes with kind fresh_share only"),
    ],
)
def test_a_share_that_cannot_be_is_one_line(loop: dict[str, Any], words: str) -> None:
    curves = {"kind": "curves", "map": None, "loop": loop}
    assert words in refused(curves)
