"""Several models that feed on each other: whose samples each of them eats, in which shares, from how far back. Pure.

Time counts for all members together. A member that enters at time e publishes its own generation t - e + 1 at time t,
and a slice of another member's samples names that member's own generation.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any, ClassVar

from mad_ray.core import loop as plain
from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import Json, family_identity, identity
from mad_ray.core.loop import Loop, Slice, cut
from mad_ray.core.samples import Event

POOL = "pool"
"""Whoever eats `pool` eats every member that is there, in equal shares; the pool's own curves go by this name too."""
NAME = "[A-Za-z0-9][A-Za-z0-9_-]{0,39}"
TOLERANCE = 1e-9
"""How far from 1 shares may sum, for they are decimals."""


@dataclass(frozen=True)
class Pool:
    """In the place of a family, for the pool: nothing is fitted, its samples are the members'."""

    name: ClassVar[str] = POOL
    max_cohort: ClassVar[int] = 1 << 20
    redraw: ClassVar[bool] = True
    distributed: ClassVar[bool] = False
    span: ClassVar[int] = 1
    chunk: ClassVar[int] = 1

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """Any samples will do."""


@dataclass(frozen=True)
class Member:
    """One model of an ecosystem: its own family, loop and interventions, and what it eats."""

    name: str
    family: Any
    loop: Loop
    interventions: tuple[Any, ...] = ()
    eats: tuple[tuple[str, float], ...] = ()
    """(whose samples, which share of n_synthetic). Left out: its own alone."""
    lag: int = 1
    """From how far back: at time t it eats what was published at time t - lag, or the oldest there is."""
    enters: int = 1
    """The time of its own generation 1. A late one finds no real samples to begin with: its D^1 is what it eats."""

    def __post_init__(self) -> None:
        where = f"ecosystem.members.{self.name}"
        _require(self.name != POOL, f"{where}: {POOL} is the name of all members together; give another one")
        _require(re.fullmatch(NAME, self.name) is not None, f"{where}: name it by letters, digits, dash, underscore")
        for field in ("lag", "enters"):
            value = getattr(self, field)
            _require(value >= 1, f"{where}.{field}={value}; give 1 or more generations")
        for source, share in self.eats:
            _require(share >= 0, f"{where}.eats.{source}={share:g} is negative; give a share, 0 or more")
        _require(
            not (self.is_late and self.loop.n_fixed),
            f"{where}.loop.n_fixed={self.loop.n_fixed} with enters={self.enters}: a late entrant has no real initial "
            "samples to keep; set its loop.n_fixed to 0 (n_fresh brings new real ones)",
        )
        total = math.fsum(share for _, share in self.eats)
        if self.eats and abs(total - 1) > TOLERANCE:
            scaled = ", ".join(f"{source}: {share / total:.6g}" for source, share in self.eats) if total else "..."
            raise InvalidInput(f"{where}.eats sums to {total:.10g}, not to 1; give shares of 1, say {{{scaled}}}")
        eaten = {source: share for source, share in self.eats if share > 0} or {self.name: 1.0}
        object.__setattr__(self, "eats", tuple(sorted(eaten.items())))

    @property
    def is_late(self) -> bool:
        return self.enters > 1

    @property
    def has_only_itself(self) -> bool:
        return self.eats == ((self.name, 1.0),)

    def identity(self) -> dict[str, Json]:
        """What it is, defaults left out."""
        found: dict[str, Json] = {"family": family_identity(self.family), "loop": identity(self.loop)}
        if self.interventions:
            found["interventions"] = [identity(one) for one in self.interventions]
        if not self.has_only_itself:
            found["eats"] = {who: int(share) if float(share).is_integer() else share for who, share in self.eats}
        return found | {name: getattr(self, name) for name in ("lag", "enters") if getattr(self, name) != 1}


@dataclass(frozen=True)
class Ecosystem:
    """Members by name; in which order they were written changes nothing."""

    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(sorted(self.members, key=lambda member: member.name)))
        names = [member.name for member in self.members]
        _require(bool(names), "ecosystem.members is empty; name at least one member")
        _require(len(set(names)) == len(names), f"ecosystem.members: {names} name one twice; give each its own name")
        _require(
            any(not member.is_late for member in self.members),
            "ecosystem.members: nobody is there at time 1; let one of them enter at 1",
        )
        for member in self.members:
            for source, _ in member.eats:
                _require(
                    source in (*names, POOL),
                    f"ecosystem.members.{member.name}.eats.{source}: there is no such member; one of "
                    f"{', '.join([*names, POOL])}",
                )
            self._require_fed(member)

    def _require_fed(self, member: Member) -> None:
        first = member.enters if member.is_late else 2
        if (member.is_late or member.loop.n_synthetic) and not self.shares(member.name, first):
            eaten = ", ".join(source for source, _ in member.eats)
            raise InvalidInput(
                f"ecosystem.members.{member.name}.eats: of {eaten} nobody has published before time {first}; let it "
                f"eat the {POOL} too, or change who enters when"
            )

    def __getitem__(self, name: str) -> Member:
        return next(member for member in self.members if member.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(member.name for member in self.members)

    @property
    def is_plain(self) -> bool:
        """Whether it is the loop of one model that feeds on itself, as if there were no ecosystem."""
        return len(self.members) == 1 and self.members[0].lag == 1

    @cached_property
    def identity(self) -> dict[str, Json]:
        """What it is, for ledgers. Whether the pool is measured is none of it."""
        return {"members": {member.name: member.identity() for member in self.members}}

    def time_of(self, name: str, generation: int) -> int:
        """When a member, or the pool, publishes its generation."""
        return generation + (0 if name == POOL else self[name].enters - 1)

    def shares(self, name: str, t: int) -> dict[str, float]:
        """Source -> its share of the synthetic rows of D at time t, of those who have published by then; sums to 1.

        The reader itself comes first, then who follows by name, so that equal members are treated alike.
        """
        there = [member.name for member in self.members if member.enters < t]
        found: dict[str, float] = {}
        for source, share in self[name].eats:
            for one in there if source == POOL else [source] if source in there else []:
                found[one] = found.get(one, 0.0) + (share / len(there) if source == POOL else share)
        total = math.fsum(found.values())
        return {source: found[source] / total for source in self._from(name) if source in found}

    def compose(self, name: str, generation: int) -> tuple[Slice, ...]:
        """Where every row of a member's D^generation lies; of the pool, which samples it is measured on by itself."""
        member = self[name]
        if self.is_plain or (generation == 1 and not member.is_late):
            return plain.compose(member.loop, generation)
        real = [] if generation == 1 else [part for part in plain.compose(member.loop, generation) if part.is_real]
        if member.is_late:
            # It has taken no initial ones.
            first = member.loop.n_initial
            real = [replace(part, start=part.start - first, stop=part.stop - first) for part in real]
        return (*real, *self._synthetic(name, self.time_of(name, generation)))

    def pool(self, t: int, n: int) -> tuple[Slice, ...]:
        """n samples in equal shares of what every member that is there published at time t."""
        there = [member for member in self.members if member.enters <= t]
        counts = _split(n, {member.name: 1 / len(there) for member in there})
        parts = [Slice(t - member.enters + 1, 0, counts[member.name], member.name) for member in there]
        return tuple(part for part in parts if part.n)

    def pieces(self, name: str, part: Slice) -> tuple[Slice, ...]:
        """`loop.pieces` for a slice of a member's D^t."""
        if part.is_real or self.is_plain:
            return plain.pieces(self[name].loop, part)
        return cut(part, _cuts(self, name, part.member or name, part.generation))

    def n_eaten(self, name: str) -> int:
        """Samples that the readers of a member need of each of its generations; no row goes to two readers."""
        return sum(self._reserved(reader, name) for reader in self._from(name))

    def oldest_needed(self, name: str, last: int) -> int:
        """The oldest generation of a member that any D to come can hold, once the member has committed `last`.

        Others may be one step behind it; last + 1 if none is ever needed again.
        """
        found, now = last + 1, self.time_of(name, last)
        for reader in self.members:
            if not self._reserved(reader.name, name):
                continue
            newest = max(1, now - reader.lag - self[name].enters + 1)
            found = min(found, 1 if reader.loop.accumulate else max(1, newest - reader.loop.memory + 1))
        return found

    def _from(self, name: str) -> list[str]:
        """All names, beginning with this one."""
        at = self.names.index(name)
        return [*self.names[at:], *self.names[:at]]

    def _eats_from(self, name: str) -> int:
        """The time of a member's first D that holds samples."""
        member = self[name]
        return member.enters if member.is_late else 2

    def _n_rows(self, name: str, t: int) -> int:
        loop = self[name].loop
        return loop.n_initial if t == self[name].enters else loop.n_synthetic

    def _counts(self, name: str, t: int) -> dict[str, int]:
        """Source -> rows of it in D at time t (of each of its generations, where the loop accumulates)."""
        return _split(self._n_rows(name, t), self.shares(name, t))

    def _synthetic(self, name: str, t: int) -> Iterator[Slice]:
        for source, n in self._counts(name, t).items():
            yield from self._slices(name, source, t, n)

    def _slices(self, name: str, source: str, t: int, n: int) -> Iterator[Slice]:
        """n rows of the source as `name` eats them at time t, from the oldest generation to the newest."""
        member, at = self[name], self._offset(name, source)
        newest = max(1, t - member.lag - self[source].enters + 1)
        label = "" if source == name else source
        if member.loop.accumulate and t > member.enters:
            parts = [Slice(g, at, at + n, label) for g in range(1, newest + 1)]
        else:
            m = min(member.loop.memory, newest)
            share = [at + n * age // m for age in range(m + 1)]
            parts = [Slice(newest + 1 - age, share[age - 1], share[age], label) for age in range(m, 0, -1)]
        return (part for part in parts if part.n > 0)

    def _reserved(self, reader: str, source: str) -> int:
        """Rows of each generation of the source that are this reader's alone: the most it ever takes."""
        return _reserved(self, reader, source)

    def _offset(self, reader: str, source: str) -> int:
        order = self._from(source)
        return sum(self._reserved(one, source) for one in order[: order.index(reader)])


@lru_cache(maxsize=4096)
def _reserved(ecosystem: Ecosystem, reader: str, source: str) -> int:
    # Shares change only when somebody enters.
    entered = {member.enters + 1 for member in ecosystem.members}
    first = ecosystem._eats_from(reader)
    times = {first, first + 1, *(t for t in entered if t > first)}
    return max(ecosystem._counts(reader, t).get(source, 0) for t in times)


@lru_cache(maxsize=4096)
def _cuts(ecosystem: Ecosystem, reader: str, source: str, g: int) -> tuple[int, ...]:
    """Where any D of the reader cuts generation g of the source."""
    member, enters = ecosystem[reader], ecosystem[source].enters
    oldest = max(ecosystem._eats_from(reader), enters + 1)
    newest = g + member.lag + enters - 1
    first = oldest if g == 1 else max(oldest, newest)
    entered = [one.enters + 1 for one in ecosystem.members]
    last = max(first, newest + member.loop.memory - 1)
    # An accumulating loop reads it in every D to come, and its shares change with who is there.
    later = {first + 1, *(t for t in entered if t > first)} if member.loop.accumulate else set()
    times = {*range(first, last + 1), *later}
    slices = (
        part
        for t in times
        for part in ecosystem._slices(reader, source, t, ecosystem._counts(reader, t).get(source, 0))
        if part.generation == g
    )
    return tuple(sorted({end for part in slices for end in (part.start, part.stop)}))


def _split(n: int, shares: Mapping[str, float]) -> dict[str, int]:
    """n rows by shares that sum to 1, in their order: every partial sum is its share of n, rounded."""
    found, before, total = {}, 0, 0.0
    for i, (source, share) in enumerate(shares.items(), start=1):
        total += share
        end = n if i == len(shares) else min(n, math.floor(n * total + 0.5))
        found[source], before = end - before, end
    return found


def of_identity(
    found: Mapping[str, Any],
    family_of: Callable[[Any], Any] = lambda block: None,
    interventions_of: Callable[[Any], tuple[Any, ...]] = lambda blocks: (),
) -> Ecosystem | None:
    """The ecosystem in a cohort's identity; None where there is none.

    Without families and interventions, unless told how to make them: who eats what needs neither.
    """
    if "ecosystem" not in found:
        return None
    return Ecosystem(
        tuple(
            Member(
                name=name,
                family=family_of(given["family"]),
                loop=Loop(**given["loop"]),
                interventions=interventions_of(given.get("interventions", ())),
                eats=tuple(given.get("eats", {}).items()),
                lag=given.get("lag", 1),
                enters=given.get("enters", 1),
            )
            for name, given in found["ecosystem"]["members"].items()
        )
    )


def eaters_of(found: Mapping[str, Any]) -> Callable[[int], int] | None:
    """`oldest_needed` of the member that a cohort's identity is of; None of a plain loop, or of the pool."""
    ecosystem, name = of_identity(found), found.get("member", POOL)
    return None if ecosystem is None or ecosystem.is_plain or name == POOL else partial(ecosystem.oldest_needed, name)


def compose_of(found: Mapping[str, Any], generation: int) -> tuple[Slice, ...]:
    """Where every row of D^generation lies, of a cohort that is known by its identity. The pool has none."""
    ecosystem = of_identity(found)
    if ecosystem is None:
        return plain.compose(Loop(**found["loop"]), generation)
    return () if found["member"] == POOL else ecosystem.compose(found["member"], generation)


def describe(member: Member) -> str:
    """What it eats, for readers: "eats A 50 %, B 50 %, 2 generations back; enters at 5, with nothing but samples"."""
    eaten = "itself" if member.has_only_itself else ", ".join(f"{who} {share:.4g}" for who, share in member.eats)
    parts = [f"{member.name} eats {eaten}"]
    if member.lag > 1:
        parts.append(f"{member.lag} generations back")
    if member.is_late:
        parts.append(f"enters at time {member.enters}, when its D^1 is samples of these")
    return ", ".join(parts)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidInput(message)
