"""Laws of the loop: which rows make up D^t, and when the real data run out."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import (
    PRESETS,
    Loop,
    Slice,
    compose,
    describe,
    fresh_data,
    fully_synthetic,
    make_loop,
    synthetic_augmentation,
)

LAST = 9
GENERATIONS = range(2, LAST + 1)


@st.composite
def loops(draw: st.DrawFn, **given_fields: object) -> Loop:
    n_initial = draw(st.integers(1, 40))
    fields = {
        "n_initial": n_initial,
        "n_fixed": draw(st.integers(0, n_initial)),
        "n_fresh": draw(st.integers(0, 20)),
        "n_synthetic": draw(st.integers(0, 40)),
        "accumulate": draw(st.booleans()),
        "bias": draw(st.floats(0, 1)),
    }
    fields["memory"] = 1 if fields["accumulate"] else draw(st.integers(1, 5))
    fields |= given_fields
    if fields["n_fixed"] + fields["n_fresh"] + fields["n_synthetic"] == 0:
        fields["n_synthetic"] = 1
    return Loop(**fields)


def real_rows(slices: tuple[Slice, ...]) -> list[int]:
    return [row for part in slices if part.is_real for row in range(part.start, part.stop)]


def synthetic_rows(slices: tuple[Slice, ...]) -> list[tuple[int, int]]:
    return [(part.generation, i) for part in slices if not part.is_real for i in range(part.start, part.stop)]


@given(loops())
def test_the_first_training_set_is_initial_real_data_only(loop: Loop) -> None:
    assert compose(loop, 1) == (Slice(0, 0, loop.n_initial),)


@given(loops())
def test_counts(loop: Loop) -> None:
    for t in GENERATIONS:
        slices = compose(loop, t)
        assert len(real_rows(slices)) == loop.n_fixed + loop.n_fresh
        assert len(synthetic_rows(slices)) == loop.n_synthetic * (t - 1 if loop.accumulate else 1)
        assert all(part.n > 0 for part in slices)


@given(loops())
def test_no_row_stands_twice_in_one_training_set(loop: Loop) -> None:
    for t in GENERATIONS:
        rows = real_rows(compose(loop, t)), synthetic_rows(compose(loop, t))
        assert all(len(set(found)) == len(found) for found in rows)


@given(loops())
def test_real_rows_come_before_synthetic_and_the_oldest_generation_first(loop: Loop) -> None:
    for t in GENERATIONS:
        generations = [part.generation for part in compose(loop, t)]
        assert generations == sorted(generations)


@given(loops())
def test_fresh_rows_are_never_seen_before(loop: Loop) -> None:
    seen = set(real_rows(compose(loop, 1)))
    for t in GENERATIONS:
        rows = real_rows(compose(loop, t))
        assert rows[: loop.n_fixed] == list(range(loop.n_fixed))
        fresh = rows[loop.n_fixed :]
        assert len(fresh) == loop.n_fresh
        assert not seen & set(fresh)
        seen |= set(fresh)
        assert seen == set(range(loop.n_real(t))), "real rows are used without gaps"


@given(loops())
def test_synthetic_rows_come_from_the_past_and_within_what_is_published(loop: Loop) -> None:
    for t in GENERATIONS:
        for generation, i in synthetic_rows(compose(loop, t)):
            assert 1 <= generation < t
            assert 0 <= i < loop.n_synthetic


@given(loops(accumulate=False))
def test_memory_takes_equal_shares_of_the_last_k_generations(loop: Loop) -> None:
    for t in GENERATIONS:
        m = min(loop.memory, t - 1)
        rows = synthetic_rows(compose(loop, t))
        shares = [sum(generation == t - age for generation, _ in rows) for age in range(1, m + 1)]
        assert sum(shares) == loop.n_synthetic
        assert max(shares) - min(shares) <= 1


@given(loops(accumulate=False))
def test_past_the_memory_no_published_sample_enters_two_training_sets(loop: Loop) -> None:
    used: list[tuple[int, int]] = []
    for t in range(loop.memory + 1, loop.memory + 8):
        used += synthetic_rows(compose(loop, t))
    assert len(set(used)) == len(used)


def test_which_samples_a_memory_takes_never_changes() -> None:
    """Another assignment of shares to ages would keep all laws, and change every committed result."""
    loop = Loop(n_initial=7, n_fixed=2, n_fresh=3, n_synthetic=10, memory=3)
    assert compose(loop, 3) == (Slice(0, 0, 2), Slice(0, 10, 13), Slice(1, 5, 10), Slice(2, 0, 5))
    assert compose(loop, 6) == (Slice(0, 0, 2), Slice(0, 19, 22), Slice(3, 6, 10), Slice(4, 3, 6), Slice(5, 0, 3))


@given(loops(accumulate=False, memory=1))
def test_memory_one_is_the_previous_generation_only(loop: Loop) -> None:
    for t in GENERATIONS:
        assert synthetic_rows(compose(loop, t)) == [(t - 1, i) for i in range(loop.n_synthetic)]


@given(loops(accumulate=True, memory=1))
def test_accumulate_keeps_every_generation_whole(loop: Loop) -> None:
    for t in GENERATIONS:
        expected = [(g, i) for g in range(1, t) for i in range(loop.n_synthetic)]
        assert synthetic_rows(compose(loop, t)) == expected


@given(loops(), st.integers(0, 1))
def test_bias_changes_no_row(loop: Loop, bias: int) -> None:
    for t in GENERATIONS:
        assert compose(loop, t) == compose(replace(loop, bias=bias), t)


@settings(max_examples=300)
@given(loops(), st.integers(0, 200), st.integers(1, 12))
def test_exhaustion_is_what_counting_finds(loop: Loop, n_rows: int, n_generations: int) -> None:
    def fits(t: int) -> bool:
        return all(row < n_rows for row in real_rows(compose(loop, t)))

    short = [t for t in range(1, n_generations + 1) if not fits(t)]
    assert loop.exhausted_at(n_rows, n_generations) == (short[0] if short else None)


def test_the_numbers_of_the_paper_on_mnist() -> None:
    """60,000 images, 2,000 to start from and 2,000 fresh ones a generation last for 30 generations."""
    loop = fresh_data(n_fresh=2000, n_synthetic=2000)
    assert loop.exhausted_at(60_000, 30) is None
    assert loop.exhausted_at(60_000, 100) == 31
    assert loop.n_real(31) == 62_000


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.floats(0, 1))
def test_presets_are_the_general_loop(n_r: int, n_s: int, n_ini: int, bias: float) -> None:
    assert fully_synthetic(n_initial=n_ini, bias=bias) == Loop(n_ini, n_synthetic=n_ini, bias=bias)
    assert fully_synthetic(n_initial=n_ini, n_synthetic=n_s) == Loop(n_ini, n_synthetic=n_s)
    assert synthetic_augmentation(n_initial=n_ini) == Loop(n_ini, n_ini, 0, n_ini)
    assert synthetic_augmentation(n_initial=n_ini, n_synthetic=n_s, accumulate=True) == Loop(
        n_ini, n_ini, 0, n_s, accumulate=True
    )
    assert fresh_data(n_fresh=n_r, n_synthetic=n_s) == Loop(n_r, 0, n_r, n_s)
    assert fresh_data(n_fresh=n_r, n_synthetic=n_s, n_initial=n_ini, memory=3) == Loop(n_ini, 0, n_r, n_s, memory=3)


def test_make_loop_takes_a_preset_or_the_fields_themselves() -> None:
    fields = {"n_initial": 5, "n_synthetic": 3, "bias": 0.5}
    assert make_loop({"kind": "fully_synthetic", **fields}) == make_loop(fields) == Loop(**fields)
    assert set(PRESETS) == {"fully_synthetic", "synthetic_augmentation", "fresh_data", "fresh_share"}


@pytest.mark.parametrize("t", [0, -1])
def test_generations_count_from_one(t: int) -> None:
    with pytest.raises(ValueError, match="count from 1"):
        compose(Loop(1, 1), t)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"n_initial": 70_000, "n_fixed": 80_000},
            "loop.n_fixed=80000 exceeds n_initial=70000.*lower n_fixed or raise",
        ),
        ({"n_initial": 0, "n_synthetic": 1}, "loop.n_initial=0.*raise n_initial"),
        ({"n_initial": 1, "n_synthetic": -1}, "loop.n_synthetic=-1 is negative"),
        ({"n_initial": 1, "n_fixed": -1}, "loop.n_fixed=-1 is negative"),
        ({"n_initial": 1, "n_fresh": -1}, "loop.n_fresh=-1 is negative"),
        ({"n_initial": 1, "n_synthetic": 1, "bias": 1.01}, r"loop.bias=1.01 is outside \[0, 1\]"),
        ({"n_initial": 1, "n_synthetic": 1, "bias": -0.1}, r"loop.bias=-0.1 is outside \[0, 1\]"),
        ({"n_initial": 1, "n_synthetic": 1, "bias": float("nan")}, r"loop.bias=nan is outside \[0, 1\]"),
        ({"n_initial": 1, "n_synthetic": 1, "memory": 0}, "loop.memory=0"),
        ({"n_initial": 1, "n_synthetic": 1, "memory": 2, "accumulate": True}, "loop.memory=2 with accumulate"),
        ({"n_initial": 1}, r"D\^2 would be empty"),
    ],
)
def test_a_loop_that_cannot_be_is_refused_with_field_and_remedy(fields: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        Loop(**fields)
    assert "\n" not in str(caught.value)


def test_loops_in_the_papers_words() -> None:
    assert describe(fully_synthetic(n_initial=100)) == "fully synthetic: n_s = 100 synthetic; lambda = 1"
    assert (
        describe(fresh_data(n_fresh=100, n_synthetic=900, memory=4, bias=0.8))
        == "fresh data: n_r = 100 fresh real + n_s = 900 synthetic from the last 4 generations; lambda = 0.8"
    )
    assert describe(synthetic_augmentation(n_initial=5, accumulate=True)) == (
        "synthetic augmentation: 5 fixed real + n_s = 5 a generation, all kept synthetic; lambda = 1"
    )
    assert describe(Loop(5, 5)).startswith("real data only")
    assert describe(Loop(5, 5, 5, 5)).startswith("mixed")
