"""study.ecosystem -> members: what is laid over what, what they are called, and what cannot be."""

from pathlib import Path
from typing import Any

import pytest

from mad_ray.commands.session import session_of
from mad_ray.config import expand, load_config, parse_config
from mad_ray.config.rebuild import cohort_of
from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import fresh_data, fully_synthetic
from mad_ray.engine.plan import plan_cohorts

STUDY = {
    "name": "a",
    "n_generations": 5,
    "seeds": 2,
    "data": {"name": "gaussian", "d": 2},
    "family": "gaussian",
    "loop": {"kind": "fully_synthetic", "n_initial": 20},
    "metrics": {"names": ["frechet"], "n": 50},
}
PAIR: dict[str, Any] = {"members": {"B": {"eats": {"A": 0.25, "B": 0.75}}, "A": {"eats": {"A": 0.5, "B": 0.5}}}}


def config(ecosystem: dict[str, Any] | None = None, **study: Any):
    block = {} if ecosystem is None else {"ecosystem": ecosystem}
    return parse_config({"study": {**STUDY, **block, **study}, "run": {"store": "memory://ecosystems"}})


def trajectories(ecosystem: dict[str, Any] | None = None, **study: Any) -> list:
    return expand(config(ecosystem, **study))


def refused(ecosystem: dict[str, Any] | None = None, **study: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        session_of(config(ecosystem, **study))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_members_and_the_pool_are_cases() -> None:
    found = trajectories(PAIR)
    assert [(t.case, t.member, t.seed) for t in found] == [
        (name, name, seed) for name in ("B", "A", "pool") for seed in (0, 1)
    ]
    assert found[0].ecosystem["A"].eats == (("A", 0.5), ("B", 0.5))
    assert not any(t.is_pool for t in trajectories({**PAIR, "pool": False}))
    assert [t.case for t in trajectories({"members": {"A": {}}}, seeds=1)] == ["A"], "a pool of one is that one"


def test_settings_are_laid_over_the_studys() -> None:
    members = {
        "A": {},
        "B": {"loop": {"bias": 0.5}, "interventions": {"detector": {"hit_rate": 0.5}}},
        "C": {"loop": {"kind": "fresh_data", "n_fresh": 5, "n_synthetic": 6}, "family": {"draws": "rows"}},
        "D": {"family": "kde"},
    }
    a, b, c, d = trajectories({"members": members, "pool": False}, seeds=1, interventions={"detector": {}})
    assert a.loop == fully_synthetic(n_initial=20)
    assert (b.loop, b.interventions[0].hit_rate) == (fully_synthetic(n_initial=20, bias=0.5), 0.5)
    assert (c.loop, c.family.draws) == (fresh_data(n_fresh=5, n_synthetic=6), "rows")
    assert (d.family.name, d.interventions[0].hit_rate) == ("kde", 1.0)


def test_cases_and_the_grid_vary_members() -> None:
    cases = {
        "both": {},
        "A alone": {"ecosystem": {"members": {"B": None, "A": {"eats": {"A": 1, "B": 0}}}}},
        "none": {},
    }
    found = trajectories(PAIR, seeds=1, cases={"both": {}})
    assert [t.case for t in found] == ["both · B", "both · A", "both · pool"]
    grid = {"ecosystem.members.B.loop.bias": (1, 0.5)}
    found = trajectories(PAIR, seeds=1, grid=grid)
    assert [t.case for t in found][:2] == [f"ecosystem.members.B.loop.bias=1 · {name}" for name in "BA"]
    assert [t.ecosystem["B"].loop.bias for t in found] == [1, 1, 1, 0.5, 0.5, 0.5]
    found = trajectories(PAIR, seeds=1, cases=cases)
    assert [t.case for t in found if t.case.startswith("A")] == ["A alone · A"], "null leaves a member out"
    assert found[3].ecosystem.is_plain, "a share of 0 is none"
    mixed = trajectories(seeds=1, cases={"plain": {}, "pair": {"ecosystem": PAIR}})
    assert [t.case for t in mixed] == ["plain", "pair · B", "pair · A", "pair · pool"]
    assert mixed[0].ecosystem is None


def test_the_order_of_members_changes_no_ledger() -> None:
    backwards = {"members": dict(reversed(PAIR["members"].items()))}
    one, other = (plan_cohorts(trajectories(block)) for block in (PAIR, backwards))
    assert {c.case: c.id for c in one} == {c.case: c.id for c in other}
    assert len({c.id for c in one}) == 3


def test_whether_the_pool_is_measured_changes_no_members_ledger() -> None:
    with_pool, without = (plan_cohorts(trajectories({**PAIR, "pool": pool})) for pool in (True, False))
    assert [c.id for c in with_pool if not c.head.is_pool] == [c.id for c in without]


def test_numbers_written_as_whole_or_not_are_one_study() -> None:
    ids = [
        [c.id for c in plan_cohorts(trajectories({"members": {"A": {"eats": {"B": share}}, "B": {}}}))]
        for share in (1, 1.0)
    ]
    assert ids[0] == ids[1]


def test_a_late_entrant_has_the_generations_that_are_left() -> None:
    found = trajectories({"members": {"A": {}, "B": {"enters": 4, "eats": {"A": 1}}}}, seeds=1)
    assert {t.member: t.n_generations for t in found} == {"A": 5, "B": 2, "pool": 5}


def test_cohorts_are_made_from_their_identities_again() -> None:
    for cohort in plan_cohorts(trajectories(PAIR, interventions={"detector": {"hit_rate": 0.5}})):
        assert cohort_of(cohort.identity, cohort.id, 5).id == cohort.id


def test_all_of_an_ecosystem_are_drawn_together_and_told_apart() -> None:
    document = session_of(config({"members": {"A": {"family": "kde"}, "B": {"eats": {"A": 1}, "lag": 2}}})).document
    assert {case["group"] for case in document["cases"]} == {"ecosystem of gaussian, kde on gaussian"}
    told = {case["case"]: case["description"] for case in document["cases"]}
    assert told["B"].endswith("lambda = 1; B eats A 1, 2 generations back")
    assert told["A"].startswith("kde on gaussian. fully synthetic")
    assert "what A, B publish, in equal shares" in told["pool"]


def member(**settings: Any) -> dict[str, Any]:
    return {"members": {"A": {}, "B": settings}}


REFUSED = {
    "sum": (member(eats={"A": 0.5, "B": 0.4}), r"study.ecosystem.members.B.eats sums to 0.9, not to 1"),
    "unknown": (member(eats={"C": 1}), "study.ecosystem.members.B.eats.C: there is no such member; one of A, B, pool"),
    "negative": (member(eats={"A": 1.5, "B": -0.5}), "study.ecosystem.members.B.eats.B=-0.5 is negative"),
    "late": (member(enters=6, eats={"A": 1}), "members.B.enters=6 is after the last generation"),
    "lag": (member(lag=0), "study.ecosystem.members.B.lag=0"),
    "misspelt": (member(eat={"A": 1}), "study.ecosystem.members.B.eat: unknown key; did you mean eats?"),
    "family": (member(family="gausian"), "study.ecosystem.members.B.family.name=gausian"),
    "loop": (member(loop={"bias": 2}), "study.ecosystem.members.B.loop.bias=2"),
    "no member": ({"members": {}}, "study.ecosystem.members is empty"),
    "no members": ({"pool": True}, "study.ecosystem.members is missing"),
    "pool": ({"members": {"A": {}}, "pool": True}, "study.ecosystem.pool: a pool of one member is that member"),
    "text": ({"members": "A"}, "study.ecosystem.members"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_told_in_one_line(name: str) -> None:
    block, message = REFUSED[name]
    assert message in refused(block)


def test_a_case_is_named_where_it_is_at_fault() -> None:
    over = {"ecosystem": {"members": {"A": {"eats": {"A": 0.4}}}}}
    message = refused(PAIR, cases={"bad": over})
    assert message.startswith("study.cases.bad.ecosystem.members.A.eats sums to 0.9")


def test_a_pool_needs_something_to_measure() -> None:
    models_only = {"names": ["w2_squared"], "n": 50}
    assert not any(t.is_pool for t in trajectories(PAIR, metrics=models_only))
    assert "measures models only" in refused({**PAIR, "pool": True}, metrics=models_only)


def test_fresh_data_of_a_late_entrant_may_run_out_too() -> None:
    study = {"data": "digits", "family": {"name": "gaussian"}, "metrics": {"n": 50}}
    members = {
        "A": {},
        "B": {"enters": 2, "eats": {"A": 1}, "loop": {"kind": "fresh_data", "n_fresh": 1000, "n_synthetic": 9}},
    }
    study["family"] = {"name": "ddpm", "n_steps": 3}
    assert "B: fresh data exhausted at t=3" in refused({"members": members}, **study)


@pytest.mark.parametrize("kind", ["grid", "boundary"])
def test_maps_have_no_ecosystems(kind: str) -> None:
    axis = {"field": "loop.bias", "values": [0.5, 1]}
    message = refused(PAIR, kind=kind, map={"x": axis, "y": axis})
    assert message.startswith(f"study.ecosystem does not go with kind {kind}")
    axis = {"field": "ecosystem.members.A.loop.bias", "values": [0.5, 1]}
    assert "a cell is one loop" in refused(None, kind=kind, map={"x": axis, "y": {**axis, "field": "loop.bias"}})


def test_an_old_study_is_what_it_was() -> None:
    """A study without the block has no trace of it."""
    document = session_of(config()).document
    assert "ecosystem" not in document["study"]
    assert all("ecosystem" not in case["identity"] for case in document["cases"])


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "configs" / "ecosystems").glob("*.yaml")), ids=lambda path: path.stem
)
def test_shipped_ecosystems_are_made_from_their_identities_again(path: Path) -> None:
    session = session_of(parse_config(load_config(path, ["run.store=memory://shipped"])))
    for cohort in session.cohorts:
        assert cohort_of(cohort.identity, cohort.id, cohort.n_generations).id == cohort.id
