"""What is computed, apart from where and how: a trajectory, and the cohort of trajectories that share a ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import Json, digest, identity
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
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

    @property
    def is_cell(self) -> bool:
        """Whether it is run until it settles and committed as a whole, cheaper to compute again than to keep."""
        return self.until is not None and self.family.redraw

    def identity(self) -> dict[str, Json]:
        """What it is, without its seed, name and length: a longer run continues the same ledger.

        Not so a cell of a family that redraws: it keeps no models, and is one commit of at most n_generations.
        """
        found = {
            "data": identity(self.data),
            "family": {**identity(self.family), "name": _family_name(type(self.family))},
            "loop": identity(self.loop),
            "metrics": identity(self.metrics),
        }
        if self.until is not None:
            found["until"] = {**identity(self.until)}
            if self.is_cell:
                found["until"]["n_generations"] = self.n_generations
        return found


def _family_name(kind: type) -> str:
    """The name of a family that mad_ray brings; of the user's own its module:Name, since two could be named alike."""
    is_ours = kind.__module__.partition(".")[0] == __name__.partition(".")[0]
    return kind.name if is_ours else f"{kind.__module__}:{kind.__qualname__}"  # type: ignore[attr-defined]


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
        return Keys(self.seeds)

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
