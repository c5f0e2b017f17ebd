"""Which generations are measured."""

import itertools

import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.metrics.measure import NAMES, Metrics


def measured(last: int, **settings: object) -> list[int]:
    metrics = Metrics(**settings)  # type: ignore[arg-type]
    return [t for t in range(1, last + 1) if metrics.is_measured(t)]


def test_every_generation_unless_told_otherwise() -> None:
    assert measured(300) == list(range(1, 301))


@pytest.mark.parametrize("per_octave", [4, 5, 8, 12])
def test_so_many_in_every_doubling_and_its_end_always(per_octave: int) -> None:
    found = measured(4096, per_octave=per_octave)
    assert found[: 2 * per_octave] == list(range(1, 2 * per_octave + 1))
    for k in range(2 * per_octave, 4096):
        if k & (k - 1) == 0:
            inside = [t for t in found if k < t <= 2 * k]
            assert len(inside) == per_octave
            assert inside[-1] == 2 * k, "the rule that stops a cell looks at powers of two"
            gaps = {later - t for t, later in itertools.pairwise(inside)}
            assert max(gaps) - min(gaps) <= 1


def test_snapshots_are_measured_too() -> None:
    assert {1, 200, 1999} <= set(measured(2000, per_octave=4, snapshots=(1999, 200, 1)))


@pytest.mark.parametrize("settings", [{"per_octave": 2}, {"snapshots": (0,)}, {"names": ()}, {"names": ("w2",)}])
def test_impossible_settings_are_refused(settings: dict) -> None:
    with pytest.raises(InvalidInput):
        Metrics(**settings)


def test_left_out_names_mean_all_that_samples_and_family_allow() -> None:
    assert Metrics().of_samples == NAMES
    assert Metrics().of_model(("w2_squared", "support")) == ("w2_squared", "support")


def test_given_names_mean_these_only() -> None:
    metrics = Metrics(names=("support", "recall"))
    assert (metrics.of_samples, metrics.of_model(("w2_squared", "support"))) == (("recall",), ("support",))
