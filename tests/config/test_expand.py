"""A study -> its trajectories, and every reason why one could not run to its end, before anything starts."""

from typing import Any

import numpy as np
import pytest

from mad_ray.config import expand, parse_config
from mad_ray.config.expand import _quantile
from mad_ray.config.identity import study_identity
from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop, fresh_data, fully_synthetic
from mad_ray.engine.plan import plan_cohorts

GAUSSIAN = {
    "name": "a",
    "data": {"name": "gaussian", "d": 2},
    "family": "gaussian",
    "loop": {"kind": "fully_synthetic", "n_initial": 20},
}
DIGITS = {"name": "a", "loop": {"kind": "fully_synthetic", "n_initial": 20}, "metrics": {"n": 100}}


def trajectories(study: dict[str, Any], **run: Any) -> list:
    return expand(parse_config({"study": study, "run": run}))


def refused(study: dict[str, Any], **run: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        trajectories(study, **run)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_seeds_are_a_number_or_a_list() -> None:
    assert [t.seed for t in trajectories({**GAUSSIAN, "seeds": 3})] == [0, 1, 2]
    assert [t.seed for t in trajectories({**GAUSSIAN, "seeds": [7, 3]})] == [7, 3]


def test_cases_lay_over_the_study() -> None:
    cases = {
        "first": {},
        "second": {"loop": {"bias": 0.5}, "seeds": 2, "n_generations": 9},
        "third": {"loop": {"kind": "fresh_data", "n_fresh": 5, "n_synthetic": 6}, "data": {"d": 3}},
        "fourth": {"family": "ddpm", "data": "digits", "metrics": {"n": 50}},
    }
    found = trajectories({**GAUSSIAN, "cases": cases})
    assert [(t.case, t.seed) for t in found] == [
        ("first", 0),
        ("second", 0),
        ("second", 1),
        ("third", 0),
        ("fourth", 0),
    ]
    first, second, _, third, fourth = found
    assert first.loop == fully_synthetic(n_initial=20)
    assert second.loop == fully_synthetic(n_initial=20, bias=0.5)
    assert second.n_generations == 9
    assert third.loop == fresh_data(n_fresh=5, n_synthetic=6), "another kind of loop starts from nothing"
    assert third.data.d == 3
    assert (fourth.family.name, fourth.data.name, fourth.metrics.n) == ("ddpm", "digits", 50)


def test_a_grid_is_every_combination_of_every_case() -> None:
    grid = {"loop.bias": [1, 0.5], "data.d": [2, 3, 4]}
    found = trajectories({**GAUSSIAN, "cases": {"a": {}, "b": {"seeds": 2}}, "grid": grid})
    assert len(found) == 6 * 3
    assert {(t.case, t.loop.bias, t.data.d) for t in found if t.case.startswith("a, ")} == {
        (f"a, loop.bias={bias}, data.d={d}", bias, d) for bias in (1, 0.5) for d in (2, 3, 4)
    }
    assert [t.case for t in trajectories({**GAUSSIAN, "grid": {"loop.bias": [0.5]}})] == ["loop.bias=0.5"]
    assert [t.case for t in trajectories(GAUSSIAN)] == ["a"], "a plain study is called by its name"


def test_values_that_differ_have_labels_that_differ() -> None:
    found = trajectories({**GAUSSIAN, "grid": {"loop.bias": [0.12345678, 0.12345679]}})
    assert len({t.case for t in found}) == 2


def test_a_grid_of_names_and_whole_blocks() -> None:
    study = {**GAUSSIAN, "grid": {"loop": [{"n_fresh": 3}, {"memory": 2}]}}
    assert [(t.loop.n_fresh, t.loop.memory) for t in trajectories(study)] == [(3, 1), (0, 2)]


def test_random_search_draws_each_field_by_itself_and_keeps_its_points() -> None:
    space = {"loop.bias": {"uniform": [0.2, 0.9]}, "loop.n_synthetic": {"log_integers": [10, 1000]}}

    def points(n: int, seed: int = 0, space: dict = space) -> list[tuple]:
        found = trajectories({**GAUSSIAN, "random": {"n": n, "seed": seed, "space": space}})
        return [(t.loop.bias, t.loop.n_synthetic) for t in found]

    assert points(20)[:5] == points(5), "point i stays when n grows"
    assert points(5) != points(5, seed=1)
    only = {"loop.bias": space["loop.bias"]}
    assert [p[0] for p in points(5, space=only)] == [p[0] for p in points(5)], "or when a field joins"
    assert all(0.2 <= bias <= 0.9 and 10 <= n <= 1000 for bias, n in points(50))


@pytest.mark.parametrize(
    ("law", "u", "expected"),
    [
        ({"uniform": [2, 4]}, 0.5, 3.0),
        ({"log_uniform": [1, 100]}, 0.5, 10.0),
        ({"integers": [1, 3]}, 0.0, 1),
        ({"integers": [1, 3]}, 0.5, 2),
        ({"integers": [1, 3]}, 0.999999, 3),
        ({"log_integers": [1, 100]}, 0.0, 1),
        ({"log_integers": [1, 100]}, 0.999999, 100),
        ({"choice": ["a", "b"]}, 0.49, "a"),
        ({"choice": ["a", "b"]}, 0.999999, "b"),
    ],
)
def test_quantiles(law: dict, u: float, expected: object) -> None:
    assert (
        _quantile("x", law, u) == pytest.approx(expected)
        if isinstance(expected, float)
        else _quantile("x", law, u) == expected
    )


def test_integers_are_equally_likely() -> None:
    counts = np.bincount([_quantile("x", {"integers": [1, 4]}, u) for u in np.linspace(0, 1, 4000, endpoint=False)])
    assert counts.tolist() == pytest.approx([0, 1000, 1000, 1000, 1000], abs=2)


@pytest.mark.parametrize(
    "law",
    [
        {"uniform": 5},
        {"uniform": [1]},
        {"uniform": [2, 1]},
        {"uniform": ["a", "b"]},
        {"uniform": [0, float("inf")]},
        {"uniform": [float("nan"), 1]},
        {"log_uniform": [0, 1]},
        {"integers": [1.5, 3]},
        {"integers": [False, True]},
        {"choice": []},
        {"choice": 3},
        {"unifrom": [0, 1]},
        {"uniform": [0, 1], "choice": [1]},
        {},
    ],
)
def test_a_law_that_is_none_is_refused(law: dict) -> None:
    assert "study.random.space.loop.bias" in refused({**GAUSSIAN, "random": {"n": 1, "space": {"loop.bias": law}}})


def test_points_drawn_twice_are_computed_once() -> None:
    found = trajectories({**GAUSSIAN, "random": {"n": 30, "space": {"loop.bias": {"choice": [0.5, 1.0]}}}})
    assert len(found) == 30
    assert sorted(c.seeds for c in plan_cohorts(found)) == [(0,), (0,)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"loop": {"n_initial": 7, "n_fixed": 8}}, "study.loop.n_fixed=8 exceeds n_initial=7; the fixed set is part"),
        ({"loop": {"n_initial": 7, "n_fixed": 7, "bias": 1.5}}, "study.loop.bias=1.5 is outside [0, 1]"),
        ({"loop": {"n_initial": 7, "n_fixed": 7, "bias": "high"}}, "study.loop.bias='high'"),
        ({"loop": {"n_initial": 7.5, "n_fixed": 7}}, "study.loop.n_initial=7.5"),
        ({"loop": {"n_fixed": 7}}, "study.loop: a loop without kind needs 'n_initial'"),
        ({"loop": {}}, "study.loop: a loop without kind needs 'n_initial'"),
        ({"loop": {"kind": "fresh_data", "n_fresh": 3}}, "study.loop: kind fresh_data needs 'n_synthetic'"),
        ({"loop": {"kind": "fresh"}}, "study.loop.kind='fresh'"),
        ({"loop": {"n_initail": 3}}, "study.loop.n_initail: unknown key; did you mean n_initial?"),
        ({"loop": {"n_initial": 7}}, "study.loop: D^2 would be empty"),
        ({"data": "digit"}, "study.data.name=digit: unknown name; did you mean digits?"),
        ({"data": {"d": 3}}, "study.data.name is missing; one of digits, gaussian"),
        ({"data": {"name": "gaussian", "dd": 3}}, "study.data.dd: unknown key; did you mean d?"),
        ({"data": {"name": "gaussian", "d": 0}}, "study.data.d=0: a Gaussian needs"),
        ({"data": {"name": "gaussian", "d": "x"}}, "study.data.d='x'"),
        ({"data": {"name": "mnist"}}, "data.path is missing"),
        ({"data": {"name": "mnist", "path": "/nowhere"}}, "data.path=/nowhere"),
        ({"family": "gaussain"}, "study.family.name=gaussain: unknown name; did you mean gaussian?"),
        ({"family": {"name": "gaussian", "x": 1}}, "study.family.x: unknown key; remove it (known here: draws)"),
        ({"metrics": {"names": ["fid"]}}, "study.metrics.names: unknown 'fid'"),
        ({"metrics": {"names": "recall"}}, "study.metrics.names="),
        ({"metrics": {"features": "lent"}}, "study.metrics.features='lent'"),
        ({"metrics": {"n": 1}}, "study.metrics.n=1"),
        ({"metrics": {"n": 5, "k": 5}}, "study.metrics.k=5 with n=5"),
        ({"seeds": [1, 1]}, "study.seeds=[1, 1]: a seed stands twice"),
        ({"seeds": 0}, "study.seeds=0"),
        ({"seeds": []}, "study.seeds="),
        ({"seeds": [-1]}, "study.seeds="),
        ({"seeds": [2**63]}, "study.seeds="),
        ({"grid": {"loop.bias": []}}, "study.grid.loop.bias: no values"),
        ({"grid": {"lop.bias": [1]}}, "study.grid.lop.bias: unknown key; did you mean loop?"),
        ({"grid": {"loop.bais": [1]}}, "study.loop.bais: unknown key; did you mean bias?"),
        ({"cases": {"x": {"lop": {}}}}, "study.cases.x.lop: unknown key; did you mean loop?"),
        ({"cases": {"x": {"seeds": "y"}}}, "study.cases.x.seeds='y'"),
        ({"cases": {"x": {"n_generations": 0}}}, "study.cases.x.n_generations=0"),
        ({"cases": {"x": {"loop": 5}}}, "study.cases.x.loop=5"),
        ({"cases": {"x": {"loop": {"bias": 2}}}}, "study.cases.x.loop.bias=2"),
    ],
)
def test_what_cannot_be_is_named_by_its_field(change: dict, expected: str) -> None:
    assert refused({**GAUSSIAN, **change}).startswith(expected), refused({**GAUSSIAN, **change})


def test_fresh_data_that_run_out_say_when() -> None:
    loop = {"kind": "fresh_data", "n_fresh": 300, "n_synthetic": 10}
    message = refused({**DIGITS, "loop": loop, "n_generations": 9})
    assert "fresh data exhausted at t=5: 1,500 rows needed, 1,200 exist" in message
    assert "lower loop.n_fresh or n_generations" in message
    assert len(trajectories({**DIGITS, "loop": loop, "n_generations": 4})) == 1
    message = refused({**DIGITS, "loop": {"kind": "fully_synthetic", "n_initial": 1201}})
    assert "loop.n_initial=1201 exceeds the 1,200 training rows of digits" in message


def test_metrics_need_as_many_real_samples() -> None:
    assert "metrics.n=598 exceeds the 597 held-out samples of digits" in refused({**DIGITS, "metrics": {"n": 598}})
    assert len(trajectories({**DIGITS, "metrics": {"n": 597}})) == 1


def test_features_need_what_they_look_at() -> None:
    assert "metrics.features=lenet needs images" in refused({**GAUSSIAN, "metrics": {"features": "lenet"}})
    assert "family=gaussian needs vectors" in refused({**DIGITS, "family": "gaussian"})
    assert "family=ddpm needs images" in refused({**GAUSSIAN, "family": "ddpm"})


def test_absent_inception_weights_are_told_before_anything_starts(tmp_path) -> None:
    message = refused({**DIGITS, "metrics": {"features": "inception", "n": 100}})
    assert "metrics.weights" in message
    message = refused({**DIGITS, "metrics": {"features": "inception", "n": 100, "weights": str(tmp_path / "no.pt")}})
    assert "no.pt" in message


@pytest.mark.parametrize("workers", [4, {"min": 1, "max": 4}])
def test_every_worker_needs_a_part_of_each_step(workers: Any) -> None:
    message = refused({**DIGITS, "family": {"name": "ddpm", "batch_size": 60, "micro_batches": 3}}, workers=workers)
    assert "run.workers=4 needs family.micro_batches of 4 or more (found 3)" in message
    assert len(trajectories({**DIGITS, "family": {"name": "ddpm", "micro_batches": 4}}, workers=workers)) == 1
    three = {"name": "ddpm", "batch_size": 60, "micro_batches": 3}
    assert len(trajectories({**DIGITS, "family": three}, workers=2)) == 1, "shares need not be even"


def test_how_many_workers_compute_it_is_no_part_of_a_result() -> None:
    settings = {**DIGITS, "family": {"name": "ddpm", "micro_batches": 4}}
    first, *others = [trajectories(settings, workers=workers)[0] for workers in (0, 2, {"min": 1, "max": 4})]
    assert all(other.identity() == first.identity() for other in others)


@pytest.mark.parametrize(
    ("workers", "line"),
    [
        ({"min": 3, "max": 2}, "run.workers.min=3 exceeds run.workers.max=2; swap or correct them"),
        ({"min": 0, "max": 2}, "run.workers.min=0: input should be greater than or equal to 1"),
        ({"min": 1}, "run.workers.max is missing"),
        ({"min": 1, "max": 2, "most": 3}, "run.workers.most: unknown key"),
        (-1, "run.workers=-1: input should be greater than or equal to 0"),
        ("two", "run.workers='two': input should be"),
        (1.5, "run.workers=1.5: input should be"),
    ],
)
def test_a_wrong_number_of_workers_is_told_in_one_line(workers: Any, line: str) -> None:
    message = refused(DIGITS, workers=workers)
    assert message.startswith(line), message
    assert "\n" not in message


def identity_of(**changes: Any) -> dict:
    return study_identity(parse_config({"study": {**GAUSSIAN, **changes}}).study)


def test_the_studys_identity_leaves_out_names_defaults_and_places() -> None:
    assert identity_of(title="x", seeds=1, n_generations=5) == identity_of()
    assert identity_of(family={"name": "gaussian"}) == identity_of()
    assert (
        identity_of(data={"name": "digits"})
        == identity_of(data="digits")
        == {
            "family": "gaussian",
            "loop": GAUSSIAN["loop"],
        }
    )
    assert identity_of(data={"name": "mnist", "path": "/a"}) == identity_of(data={"name": "mnist", "path": "/b"})
    assert identity_of(metrics={"weights": "/a"})["metrics"] == {}
    assert identity_of(cases={"c": {"data": {"path": "/a"}}}) == identity_of(cases={"c": {"data": {}}})
    assert identity_of(loop={"n_initial": 5}) != identity_of()
    assert Loop(5, 5) == Loop(5, 5)
