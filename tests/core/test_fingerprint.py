"""Identity: what a thing is, in canonical JSON; golden fingerprints pin it."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import canonical_json, digest, drift, identity
from mad_ray.core.loop import Loop, fresh_data, fully_synthetic
from mad_ray.core.trajectory import Cohort, Trajectory, cohorts_of
from mad_ray.data import Digits, GaussianData, Mnist
from mad_ray.families import DDPM, Gaussian
from mad_ray.metrics.measure import Metrics


@dataclass(frozen=True)
class Inner:
    depth: float = 2.0


@dataclass(frozen=True)
class Settings:
    name: ClassVar[str] = "made up"
    n: int
    rate: float = 0.5
    inner: Inner = Inner()
    many: tuple[int, ...] = ()
    table: dict[str, float] = field(default_factory=dict)
    where: str = field(default="", metadata={"execution": True})


def test_canonical_json_has_one_form() -> None:
    assert canonical_json({"b": [1, "ü"], "a": None}) == b'{"a":null,"b":[1,"\\u00fc"]}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # sha256 of "{}"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), b""])
def test_what_has_no_stable_bytes_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical_json(value)


def test_defaults_are_left_out_and_the_name_stands() -> None:
    assert identity(Settings(3)) == {"name": "made up", "n": 3}
    assert identity(Settings(3, 0.25, Inner(1.5), (1, 2), {"a": 2.0})) == {
        "name": "made up",
        "n": 3,
        "rate": 0.25,
        "inner": {"depth": 1.5},
        "many": [1, 2],
        "table": {"a": 2},
    }


def test_a_new_field_at_its_default_orphans_nothing() -> None:
    @dataclass(frozen=True)
    class Grown(Settings):
        name: ClassVar[str] = "made up"
        new: str = "as before"

    assert identity(Grown(3, rate=0.25)) == identity(Settings(3, rate=0.25))
    assert identity(Grown(3, new="other")) != identity(Settings(3))


def test_where_it_runs_is_not_what_it_is() -> None:
    assert identity(Settings(3, where="/somewhere")) == identity(Settings(3))
    assert identity(Mnist(path="a")) == identity(Mnist(path="b")) == {"name": "mnist"}
    assert "weights" not in identity(Metrics(features="inception", weights="/x"))


def test_one_is_one() -> None:
    """YAML users write 1 or 1.0."""
    assert canonical_json(identity(Settings(3, rate=1.0))) == canonical_json(identity(Settings(3, rate=1)))
    assert identity(Loop(3, n_synthetic=3, bias=1)) == identity(Loop(3, n_synthetic=3, bias=1.0))


def test_drift_names_every_leaf_that_changed() -> None:
    stored = {"loop": {"bias": 1, "n": 3}, "same": [1], "gone": 0}
    given = {"loop": {"bias": 0.5, "n": 3}, "same": [1], "new": {"x": 1}}
    assert drift(stored, given) == [("gone", 0, None), ("loop.bias", 1, 0.5), ("new", None, {"x": 1})]
    assert drift(stored, stored) == []
    assert drift([1], [2]) == [("", [1], [2])]


GAUSSIAN = Trajectory(GaussianData(d=5), Gaussian(), fresh_data(n_fresh=10, n_synthetic=90, bias=0.8), Metrics(), 9, 0)
SMALL = Trajectory(Digits(), DDPM(n_steps=3, channels=[8, 16]), fully_synthetic(n_initial=20), Metrics(n=20), 3, 4)


def cohort(trajectory: Trajectory, *seeds: int) -> Cohort:
    return Cohort(tuple(replace(trajectory, seed=seed) for seed in seeds))


def test_golden_cohorts() -> None:
    """Never change these: ledgers lie under these names. A new field has its old behaviour as the default.

    (The Gaussian's changed once, on purpose: it draws moments since, so that the same settings give other numbers.)
    """
    assert cohort(GAUSSIAN, 0, 1, 2).id == "800ca18608e86a40"
    assert cohort(SMALL, 4).id == "3d6481c49ad9f276"


def test_length_and_name_are_not_identity() -> None:
    assert cohort(replace(GAUSSIAN, n_generations=99, case="other"), 0, 1).id == cohort(GAUSSIAN, 0, 1).id


def test_everything_else_is_identity() -> None:
    others = [
        cohort(GAUSSIAN, 0, 1),
        cohort(GAUSSIAN, 1, 0),
        cohort(GAUSSIAN, 0),
        cohort(replace(GAUSSIAN, data=GaussianData(d=6)), 0, 1),
        cohort(replace(GAUSSIAN, family=DDPM()), 0, 1),
        cohort(replace(GAUSSIAN, loop=replace(GAUSSIAN.loop, bias=0.7)), 0, 1),
        cohort(replace(GAUSSIAN, metrics=Metrics(n=999)), 0, 1),
    ]
    assert len({one.id for one in others}) == len(others)


def test_a_cohort_differs_in_seeds_only() -> None:
    with pytest.raises(InvalidInput, match="seed only"):
        Cohort((GAUSSIAN, SMALL))
    with pytest.raises(InvalidInput, match="seed only"):
        Cohort((GAUSSIAN, replace(GAUSSIAN, n_generations=3)))


def test_cohorts_are_grouped_in_order_and_no_wider_than_allowed() -> None:
    mixed = [replace(base, seed=seed) for seed in range(5) for base in (GAUSSIAN, SMALL)]
    found = cohorts_of(mixed, 2)
    assert [one.seeds for one in found] == [(0, 1), (2, 3), (4,)] * 2
    assert {one.head.family.name for one in found[:3]} == {"gaussian"}


def test_keys_of_objects() -> None:
    one = cohort(GAUSSIAN, 0)
    assert one.manifest_key(12) == f"cohorts/{one.id}/ledger/000012.json"
    assert one.attempt_prefix(12, "abc") == f"cohorts/{one.id}/attempts/000012-abc"
