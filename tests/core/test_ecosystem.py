"""Who eats whose samples: pure, so every law of it can be tried on the slices alone."""

import random
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise, product

import pytest

from mad_ray.core.ecosystem import POOL, Ecosystem, Member, compose_of, eaters_of, of_identity
from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop, Slice, compose, fresh_data, fully_synthetic, pieces, synthetic_augmentation
from mad_ray.core.trajectory import member_trajectory, pool_trajectory
from mad_ray.data import GaussianData
from mad_ray.families import Gaussian
from mad_ray.metrics.measure import Metrics

LOOPS = {
    "fully synthetic": fully_synthetic(n_initial=9, n_synthetic=21),
    "memory": fresh_data(n_fresh=3, n_synthetic=17, memory=5),
    "growing pool": synthetic_augmentation(n_initial=6, n_synthetic=7, accumulate=True),
    "everything": Loop(n_initial=9, n_fixed=4, n_fresh=3, n_synthetic=12, memory=2, bias=0.5),
    "real only": Loop(n_initial=9, n_fixed=4, n_fresh=3),
}
N = fully_synthetic(n_initial=20, n_synthetic=20)
T = 24


def member(name: str, loop: Loop = N, *, lag: int = 1, enters: int = 1, **eats: float) -> Member:
    return Member(name, Gaussian(), loop, (), tuple(eats.items()), lag, enters)


def of(*members: Member) -> Ecosystem:
    return Ecosystem(members)


def synthetic(parts: tuple[Slice, ...]) -> list[Slice]:
    return [part for part in parts if not part.is_real]


MIXED = {
    "pair": of(member("A", A=0.5, B=0.5), member("B", A=0.25, B=0.75)),
    "ping-pong": of(member("A", B=1), member("B", A=1)),
    "shared pool": of(*(member(name, pool=1) for name in "ABC")),
    "late": of(member("A"), member("B", pool=1, enters=4), member("C", LOOPS["growing pool"], A=0.3, pool=0.7)),
    "lags and memories": of(
        member("A", LOOPS["memory"], lag=3, A=0.4, B=0.6),
        member("B", LOOPS["everything"], lag=2, pool=1),
        member("C", fresh_data(n_fresh=2, n_synthetic=42, n_initial=13, memory=3), enters=5, lag=2, B=0.5, pool=0.5),
    ),
    "late and accumulating": of(
        member("A"),
        member("B", fully_synthetic(n_initial=5, n_synthetic=8, accumulate=True), enters=3, A=0.5, pool=0.5),
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_an_ecosystem_of_one_is_the_plain_loop(name: str) -> None:
    loop = LOOPS[name]
    for one in (of(member("A", loop)), of(member("A", loop, A=1)), of(member("A", loop, pool=1))):
        assert one.is_plain
        assert one.n_eaten("A") == loop.n_synthetic
        for t in range(1, T):
            assert one.compose("A", t) == compose(loop, t)
            assert [one.pieces("A", part) for part in compose(loop, t)] == [pieces(loop, p) for p in compose(loop, t)]


@pytest.mark.parametrize("name", LOOPS)
def test_members_that_eat_only_themselves_are_plain_loops(name: str) -> None:
    both = of(member("A", LOOPS[name]), member("B"))
    for t in range(1, T):
        assert both.compose("A", t) == compose(LOOPS[name], t)
        cut = [[both.pieces("A", part), pieces(LOOPS[name], part)] for part in compose(LOOPS[name], t)]
        assert all(ours == theirs for ours, theirs in cut)


@pytest.mark.parametrize("name", MIXED)
def test_the_order_in_which_members_are_written_changes_nothing(name: str) -> None:
    one = MIXED[name]
    shuffled = list(one.members)
    random.Random(1).shuffle(shuffled)
    backwards = [replace(member, eats=member.eats[::-1]) for member in shuffled]
    assert Ecosystem(tuple(backwards)) == one
    assert Ecosystem(tuple(backwards)).identity == one.identity


@pytest.mark.parametrize("name", MIXED)
def test_counts_are_the_loops_and_shares_are_kept_to_a_row(name: str) -> None:
    one = MIXED[name]
    for reader, g in product(one.members, range(1, T)):
        parts, t = one.compose(reader.name, g), one.time_of(reader.name, g)
        if g == 1:
            assert all(part.is_real for part in parts) == (reader.enters == 1)
            assert sum(part.n for part in parts) == reader.loop.n_initial
            continue
        assert sum(part.n for part in parts if part.is_real) == reader.loop.n_fixed + reader.loop.n_fresh
        shares = one.shares(reader.name, t)
        assert sum(shares.values()) == pytest.approx(1)
        if not reader.loop.accumulate:
            eaten: dict[str, int] = defaultdict(int)
            for part in synthetic(parts):
                eaten[part.member or reader.name] += part.n
            assert sum(eaten.values()) == reader.loop.n_synthetic
            assert all(abs(eaten[who] - share * reader.loop.n_synthetic) <= 1 for who, share in shares.items())


@pytest.mark.parametrize("name", MIXED)
def test_only_what_is_there_is_eaten_and_from_as_far_back_as_said(name: str) -> None:
    one = MIXED[name]
    for reader, g in product(one.members, range(1, T)):
        t = one.time_of(reader.name, g)
        newest: dict[str, int] = defaultdict(int)
        for part in synthetic(one.compose(reader.name, g)):
            who = part.member or reader.name
            assert part.member != reader.name, "its own are its own"
            assert part.generation >= 1
            assert one.time_of(who, part.generation) < t
            assert part.stop <= one.n_eaten(who)
            newest[who] = max(newest[who], part.generation)
        for who, found in newest.items():
            assert found == max(1, t - reader.lag - one[who].enters + 1)


@pytest.mark.parametrize("name", MIXED)
def test_no_published_row_goes_to_two_readers(name: str) -> None:
    one = MIXED[name]
    taken: dict[tuple[str, int, int], str] = {}
    for reader, g in product(one.members, range(1, T)):
        for part in synthetic(one.compose(reader.name, g)):
            for i in range(part.start, part.stop):
                row = part.member or reader.name, part.generation, i
                assert taken.setdefault(row, reader.name) == reader.name


@pytest.mark.parametrize("name", MIXED)
def test_pieces_of_any_two_training_sets_are_equal_or_disjoint(name: str) -> None:
    """What is drawn for a piece as a whole must be the same draw wherever it returns."""
    one = MIXED[name]
    for reader in one.members:
        found = {
            piece
            for g in range(1, T)
            for part in one.compose(reader.name, g)
            for piece in one.pieces(reader.name, part)
        }
        for part in (part for g in range(1, T) for part in one.compose(reader.name, g)):
            cut = one.pieces(reader.name, part)
            assert [cut[0].start, *(piece.stop for piece in cut)] == [*(piece.start for piece in cut), part.stop]
        by_source = defaultdict(list)
        for piece in found:
            by_source[piece.member, piece.generation].append((piece.start, piece.stop))
        for ends in by_source.values():
            assert all(before[1] <= after[0] for before, after in pairwise(sorted(ends)))


@pytest.mark.parametrize("name", MIXED)
def test_nothing_older_than_the_oldest_needed_is_ever_read_again(name: str) -> None:
    one = MIXED[name]
    for source, last in product(one.members, range(1, T - 8)):
        oldest, now = one.oldest_needed(source.name, last), one.time_of(source.name, last)
        read = [
            part.generation
            for reader in one.members
            for g in range(1, T)
            # Who is one step behind reads at the same time.
            if one.time_of(reader.name, g) >= now
            for part in synthetic(one.compose(reader.name, g))
            if (part.member or reader.name) == source.name and part.generation <= last
        ]
        assert min(read, default=last + 1) >= oldest


def test_what_is_let_go_is_not_too_little() -> None:
    """Of a ping-pong with lag 1 the newest generation is all that is needed; with lag 3 the last four, at most."""
    assert [MIXED["ping-pong"].oldest_needed("A", last) for last in (1, 5, 9)] == [1, 4, 8]
    slow = of(member("A", B=1, lag=3), member("B", A=1, lag=3))
    assert slow.oldest_needed("A", 9) == 6
    idle = of(member("A"), member("B"), member("C", LOOPS["real only"]))
    assert idle.oldest_needed("C", 5) == 6, "nobody eats of it"


def test_equal_members_are_treated_alike() -> None:
    """Renaming A to B and B to A maps one's meals to the other's, row by row, with odd counts too."""
    loop = fully_synthetic(n_initial=7, n_synthetic=7)
    one = of(member("A", loop, A=0.5, B=0.5), member("B", loop, A=0.5, B=0.5))
    for t in range(2, 6):
        a, b = (one.compose(name, t) for name in "AB")
        assert [(part.start, part.stop, bool(part.member)) for part in a] == [
            (part.start, part.stop, bool(part.member)) for part in b
        ]


def test_the_pool_takes_equal_shares_of_who_is_there() -> None:
    one = of(member("A"), member("B"), member("C", enters=3, pool=1))
    assert one.pool(2, 10) == (Slice(2, 0, 5, "A"), Slice(2, 0, 5, "B"))
    assert one.pool(4, 10) == (Slice(4, 0, 3, "A"), Slice(4, 0, 4, "B"), Slice(2, 0, 3, "C"))
    assert all(sum(part.n for part in one.pool(t, n)) == n for t in range(1, 9) for n in (1, 2, 10, 101))


def test_a_late_entrant_takes_no_initial_real_rows() -> None:
    late = member("B", fresh_data(n_fresh=4, n_synthetic=6, n_initial=10), enters=3, A=1)
    one = of(member("A"), late)
    assert all(not part.is_real for part in one.compose("B", 1))
    assert [part for g in (2, 3) for part in one.compose("B", g) if part.is_real] == [Slice(0, 0, 4), Slice(0, 4, 8)]
    head = member_trajectory(GaussianData(), Metrics(), 6, one, "B")
    assert head.n_generations == 4
    assert head.n_real(4) == 12
    assert head.exhausted_at(12) is None
    assert head.exhausted_at(11) == 4


@pytest.mark.parametrize("name", MIXED)
def test_an_identity_leads_back(name: str) -> None:
    one = MIXED[name]
    for who in one.names:
        found = member_trajectory(GaussianData(), Metrics(), 9, one, who).identity()
        back = of_identity(found, lambda block: Gaussian(), tuple)
        assert back == one
        assert compose_of(found, 7) == one.compose(who, 7)
        eaters = eaters_of(found)
        assert eaters is not None
        assert eaters(6) == one.oldest_needed(who, 6)
    pool = pool_trajectory(GaussianData(), Metrics(), 9, one).identity()
    assert (compose_of(pool, 3), eaters_of(pool)) == ((), None)


def test_a_plain_loop_has_no_eaters() -> None:
    assert eaters_of({"loop": {"n_initial": 3}}) is None
    assert compose_of({"loop": {"n_initial": 3, "n_fixed": 3}}, 4) == (Slice(0, 0, 3),)


BAD = {
    "sum": (lambda: member("A", A=0.5, B=0.6), r"members\.A\.eats sums to 1\.1, not to 1.*A: 0\.4545"),
    "nothing": (lambda: member("A", A=0.0), r"members\.A\.eats sums to 0"),
    "negative": (lambda: member("A", A=1.5, B=-0.5), r"members\.A\.eats\.B=-0\.5 is negative"),
    "unknown": (lambda: of(member("A", C=1)), r"members\.A\.eats\.C: there is no such member; one of A, pool"),
    "pool": (lambda: member(POOL), r"members\.pool: pool is the name of all members"),
    "name": (lambda: member("a b"), r"members\.a b: name it by letters"),
    "twice": (lambda: of(member("A"), member("A")), r"name one twice"),
    "nobody": (lambda: Ecosystem(()), r"members is empty"),
    "all late": (lambda: of(member("A", enters=2, pool=1)), r"nobody is there at time 1"),
    "hungry": (lambda: of(member("A"), member("B", enters=2)), r"members\.B\.eats: of B nobody has published before"),
    "too early": (lambda: of(member("A", B=1), member("B", enters=3, pool=1)), r"members\.A\.eats: of B nobody"),
    "fixed": (
        lambda: member("B", LOOPS["everything"], enters=3, A=1),
        r"members\.B\.loop\.n_fixed=4 with enters=3: a late entrant has no real initial",
    ),
    "lag": (lambda: member("A", lag=0), r"members\.A\.lag=0"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_told_in_one_line(name: str) -> None:
    make, message = BAD[name]
    with pytest.raises(InvalidInput, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_shares_that_decimals_cannot_sum_are_taken() -> None:
    third = of(member("A", A=0.1, B=0.2, C=0.7), member("B"), member("C", A=1 / 3, B=1 / 3, C=1 / 3))
    assert sum(part.n for part in third.compose("C", 5)) == 20
