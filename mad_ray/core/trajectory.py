"""What is computed, apart from where and how: a trajectory, and the cohort of trajectories that share a ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mad_ray.core import ecosystem as several
from mad_ray.core.ecosystem import POOL, Ecosystem, Pool
from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import Json, digest, family_identity, identity
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop, Slice, compose, describe, pieces
from mad_ray.core.stopping import Limit


@dataclass(frozen=True)
class Trajectory:
    """One run of a loop. data, family, metrics are settings dataclasses; `case` is the reader's name for it."""

    data: Any
    family: Any
    loop: Loop
    metrics: Any
    n_generations: int
    seed: int
    case: str = ""
    until: Limit | None = None
    """Run until this rule calls it settled, n_generations at most."""
    interventions: tuple[Any, ...] = ()
    """Settings of what is done to samples on their way, in the order in which it is done."""
    ecosystem: Ecosystem | None = None
    """The models that this one feeds on, or that feed on it."""
    member: str = ""
    """Which of them it is; `pool` for all together."""

    @property
    def is_pool(self) -> bool:
        """Whether it is nobody's, but what all members publish: measured, never fitted or stored."""
        return self.member == POOL

    @property
    def keeps_step(self) -> bool:
        """Whether it goes generation by generation, since others wait for it, or it for them."""
        return self.ecosystem is not None and not self.ecosystem.is_plain

    @property
    def enters(self) -> int:
        """The ecosystem's time at which its generation 1 is published."""
        return 1 if self.ecosystem is None or self.is_pool else self.ecosystem[self.member].enters

    @property
    def max_cohort(self) -> int:
        """Seeds that a cohort can hold: as many as every member's family allows."""
        if self.ecosystem is None:
            return self.family.max_cohort
        return min(member.family.max_cohort for member in self.ecosystem.members)

    def training(self, t: int) -> tuple[Slice, ...]:
        """Where every row of D^t lies; of the pool, the samples that its generation t is measured on."""
        if self.ecosystem is None:
            return compose(self.loop, t)
        if self.is_pool:
            return self.ecosystem.pool(t, self.metrics.n)
        return self.ecosystem.compose(self.member, t)

    def pieces(self, part: Slice) -> tuple[Slice, ...]:
        """A slice of D^t, cut so that any two training sets share pieces as a whole (loop.pieces)."""
        if self.ecosystem is None:
            return pieces(self.loop, part)
        return self.ecosystem.pieces(self.member, part)

    @property
    def n_eaten(self) -> int:
        """Samples of each generation that training sets are made of, its own and those of others."""
        if self.ecosystem is None or self.is_pool:
            return self.loop.n_synthetic
        return self.ecosystem.n_eaten(self.member)

    @property
    def n_learnt(self) -> int:
        """Real rows beyond the loop's that its interventions learn from: all from the same ones."""
        return max((one.n_real for one in self.active.values()), default=0)

    def n_real(self, n_generations: int) -> int:
        """Real rows that generations 1..n_generations use up."""
        if self.is_pool:
            return 0
        return self.loop.n_real(n_generations) - (self.loop.n_initial if self.enters > 1 else 0)

    def exhausted_at(self, n_rows: int) -> int | None:
        """The first generation whose D^t would need more real rows than exist; None if there are enough."""
        if self.is_pool:
            return None
        n_rows += self.loop.n_initial if self.enters > 1 else 0
        return self.loop.exhausted_at(n_rows, self.n_generations)

    @property
    def description(self) -> str:
        """The loop in the paper's words, and what a member eats."""
        if self.ecosystem is None:
            return describe(self.loop)
        if self.is_pool:
            return f"what {', '.join(self.ecosystem.names)} publish, in equal shares"
        return f"{describe(self.loop)}; {several.describe(self.ecosystem[self.member])}"

    @property
    def active(self) -> dict[int, Any]:
        """Place -> intervention, of those that do anything at all."""
        return {i: one for i, one in enumerate(self.interventions) if not one.is_identity}

    @property
    def is_cell(self) -> bool:
        """Whether it is run until it settles and committed as a whole, cheaper to compute again than to keep."""
        return self.until is not None and self.family.redraw

    def identity(self) -> dict[str, Json]:
        """What it is, without its seed, name and length: a longer run continues the same ledger.

        Not so a cell of a family that redraws: it keeps no models, and is one commit of at most n_generations.
        """
        found: dict[str, Json] = {
            "data": identity(self.data),
            "family": family_identity(self.family),
            "loop": identity(self.loop),
            "metrics": identity(self.metrics),
        }
        if self.interventions:
            found["interventions"] = [identity(one) for one in self.interventions]
        if self.until is not None:
            found["until"] = {**identity(self.until)}
            if self.is_cell:
                found["until"]["n_generations"] = self.n_generations
        if self.ecosystem is not None:
            found |= {"ecosystem": self.ecosystem.identity, "member": self.member}
        return found


def member_trajectory(
    data: Any, metrics: Any, n_generations: int, ecosystem: Ecosystem, name: str, seed: int = 0
) -> Trajectory:
    """A member's, of an ecosystem that is watched for n_generations; of its own, a late one has fewer."""
    one = ecosystem[name]
    settings = data, one.family, one.loop, metrics, n_generations - one.enters + 1, seed, name
    return Trajectory(*settings, interventions=one.interventions, ecosystem=ecosystem, member=name)


def pool_trajectory(data: Any, metrics: Any, n_generations: int, ecosystem: Ecosystem, seed: int = 0) -> Trajectory:
    """The pool's: metrics.n samples a generation, in equal shares of what every member published at that time."""
    loop = Loop(n_initial=metrics.n, n_synthetic=metrics.n)
    return Trajectory(data, Pool(), loop, metrics, n_generations, seed, POOL, ecosystem=ecosystem, member=POOL)


def keys_of(identity_of: Mapping[str, Any]) -> Keys:
    """The streams of a cohort of that identity.

    Of several members each has its own, addressed by name: who was written first changes nothing. A single one has
    those of the plain loop.
    """
    keys = Keys(tuple(identity_of["seeds"]))
    is_one_of_several = len(identity_of.get("ecosystem", {}).get("members", ())) > 1
    return keys.at("member", identity_of["member"]) if is_one_of_several else keys


@dataclass(frozen=True)
class Cohort:
    """B trajectories equal but for their seed, advanced together and written to one ledger."""

    trajectories: tuple[Trajectory, ...]

    def __post_init__(self) -> None:
        first = self.trajectories[0]
        if any(t.identity() != first.identity() or t.n_generations != first.n_generations for t in self.trajectories):
            raise InvalidInput("a cohort's trajectories may differ in their seed only")

    @property
    def head(self) -> Trajectory:
        """Any one of them, for all that they share."""
        return self.trajectories[0]

    @property
    def case(self) -> str:
        return self.head.case

    @property
    def n_generations(self) -> int:
        return self.head.n_generations

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(t.seed for t in self.trajectories)

    @property
    def keys(self) -> Keys:
        return keys_of(self.identity)

    @property
    def herd(self) -> str:
        """The same for all members of an ecosystem with these seeds; of a plain loop its own."""
        of = self.identity
        shared = [of[name] for name in ("ecosystem", "data", "metrics", "seeds") if name in of]
        return digest(shared) if self.head.ecosystem is not None else self.id

    @cached_property
    def siblings(self) -> "dict[str, Cohort]":
        """Every member of its ecosystem, of the same seeds, by name; itself among them. Empty for a plain loop."""
        ecosystem = self.head.ecosystem
        return {} if ecosystem is None else {member.name: self._sibling(member) for member in ecosystem.members}

    def _sibling(self, member: several.Member) -> "Cohort":
        settings = {"family": member.family, "loop": member.loop, "interventions": member.interventions}
        n = self.n_generations + self.head.enters - member.enters
        return Cohort(tuple(replace(t, **settings, member=member.name, n_generations=n) for t in self.trajectories))

    @cached_property
    def identity(self) -> dict[str, Json]:
        return {**self.head.identity(), "seeds": list(self.seeds)}

    @cached_property
    def id(self) -> str:
        """16 hex digits of the identity's digest; the cohort's name in the store."""
        return digest(self.identity)[:16]

    @property
    def prefix(self) -> str:
        return f"cohorts/{self.id}"

    def manifest_key(self, first: int) -> str:
        """The commit marker of the span that starts at generation `first`."""
        return f"{self.prefix}/ledger/{first:06d}.json"

    def attempt_prefix(self, first: int, attempt: str) -> str:
        """Where one attempt at that span puts its objects; no two attempts share one."""
        return f"{self.prefix}/attempts/{first:06d}-{attempt}"


def cohorts_of(trajectories: Sequence[Trajectory], max_cohort: int) -> list[Cohort]:
    """Group equal trajectories in order of appearance, at most max_cohort seeds together."""
    groups: dict[str, list[Trajectory]] = {}
    for trajectory in trajectories:
        groups.setdefault(digest([trajectory.identity(), trajectory.n_generations]), []).append(trajectory)
    return [
        Cohort(tuple(group[i : i + max_cohort])) for group in groups.values() for i in range(0, len(group), max_cohort)
    ]
