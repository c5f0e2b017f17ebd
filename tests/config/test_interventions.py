"""study.interventions: order, names, overlays, axes; and what cannot be is one clear line."""

from typing import Any

import pytest

from mad_ray.config import expand, parse_config
from mad_ray.config.rebuild import cohort_of
from mad_ray.core.errors import InvalidInput
from mad_ray.core.trajectory import Cohort, Trajectory
from tests.command_line import call

GAUSSIAN = {"data": {"name": "gaussian", "d": 3}, "family": "gaussian", "metrics": {"n": 50}}
LOOP = {"kind": "fresh_data", "n_fresh": 50, "n_synthetic": 50}


def trajectories(interventions: Any, **over: Any) -> list[Trajectory]:
    study = {"name": "x", **GAUSSIAN, "loop": LOOP, "interventions": interventions, **over}
    return expand(parse_config({"study": study}))


def names(trajectory: Trajectory) -> list[str]:
    return [one.name for one in trajectory.interventions]


def test_they_act_in_the_order_in_which_they_are_written() -> None:
    (a,) = trajectories({"watermark": {}, "mark_detector": {}})
    (b,) = trajectories({"mark_detector": {}, "watermark": {}})
    assert names(a) == ["watermark", "mark_detector"]
    assert a.identity() != b.identity()


def test_a_key_is_a_name_where_name_says_what_it_is() -> None:
    (found,) = trajectories({"first": {"name": "detector", "hit_rate": 0.5}, "second": {"name": "detector"}})
    assert names(found) == ["detector", "detector"]
    (same,) = trajectories({"detector": {"hit_rate": 0.5}, "other": {"name": "detector"}})
    assert found.identity() == same.identity(), "what the reader calls them is no part of it"


def test_cases_lay_over_and_null_leaves_out() -> None:
    cases = {"both": {}, "stronger": {"interventions": {"watermark": {"strength": 3}}}}
    cases |= {"unguarded": {"interventions": {"mark_detector": None}}}
    both, stronger, unguarded = trajectories({"watermark": {}, "mark_detector": {}}, cases=cases)
    assert names(both) == names(stronger) == ["watermark", "mark_detector"]
    assert stronger.interventions[0].strength == 3
    assert names(unguarded) == ["watermark"]


def test_they_may_be_axes() -> None:
    found = trajectories({"detector": {}}, grid={"interventions.detector.hit_rate": [0, 0.5, 1]})
    assert [t.interventions[0].hit_rate for t in found] == [0, 0.5, 1]
    assert [len(t.active) for t in found] == [0, 1, 1]


def test_no_interventions_leave_the_identity_as_it_was() -> None:
    (plain,) = trajectories({})
    assert "interventions" not in plain.identity()


def test_a_cohort_is_made_again_from_its_identity() -> None:
    (found,) = trajectories({"watermark": {"strength": 2}, "mark_detector": {"false_alarm": 0.05}})
    cohort = Cohort((found,))
    assert cohort_of(cohort.identity, cohort.id, 5).head.interventions == found.interventions


UNLABELLED = {"reweight_classes": {}}
LINES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a mark that nobody sets": ({"mark_detector": {}}, {}, "interventions.mark_detector: no watermark is set"),
    "labels where there are none": (UNLABELLED, {}, "interventions.reweight_classes"),
    "an unknown one": ({"watermork": {}}, {}, "did you mean watermark?"),
    "an unknown setting": ({"detector": {"hits": 1}}, {}, "study.interventions.detector.hits: unknown key"),
    "a rate beyond 1": ({"detector": {"hit_rate": 2}}, {}, "interventions.detector.hit_rate=2"),
    "no mapping": (["detector"], {}, "study.interventions"),
    "no settings": ({"detector": 0.5}, {}, "study.interventions.detector=0.5: expected a mapping of settings"),
    "two that choose": (
        {"a": {"name": "cherry_pick", "by": "likelihood"}, "b": {"name": "cherry_pick", "by": "likelihood"}},
        {},
        "more than one chooses",
    ),
    "two green lists": (
        {"a": {"name": "token_mark"}, "b": {"name": "token_mark", "secret": 1}},
        {"data": "language", "family": "lm", "metrics": {"features": "ngrams", "n": 50}},
        "more than one prefers tokens",
    ),
    "more real rows than there are": (
        {"learnt_detector": {"n_real": 1000}},
        {"data": "digits", "family": "ddpm", "loop": {"kind": "fresh_data", "n_fresh": 100, "n_synthetic": 100}},
        "interventions learn from 1,000 real rows beyond the loop's 500, and digits has 1,200",
    ),
    "a preference of tokens in a family of vectors": ({"token_mark": {}}, {}, "interventions.token_mark"),
    "too few rows for the rate": (
        {"watermark": {}, "mark_detector": {"false_alarm": 0.001, "n_real": 50}},
        {},
        "interventions.mark_detector",
    ),
}


@pytest.mark.parametrize("case", LINES)
def test_what_cannot_be_is_one_line(case: str) -> None:
    given, over, says = LINES[case]
    with pytest.raises(InvalidInput) as caught:
        trajectories(given, **over)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_says_it_and_exits_with_2(capsys, tmp_path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        "study: {name: x, data: {name: gaussian, d: 3}, family: gaussian, loop: {n_initial: 100, n_synthetic: 50},\n"
        "        interventions: {mark_detector: {}}}\n"
    )
    code, _, err = call(capsys, "run", str(path), "--set", f"run.store={tmp_path / 'store'}")
    assert code == 2
    assert err.count("\n") == 1
    assert "no watermark is set" in err
    assert not (tmp_path / "store").exists(), "nothing was started"
