"""What interventions learn from, and where what they learn once is kept."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mad_ray.core.errors import Missing
from mad_ray.core.fingerprint import Json, digest, identity
from mad_ray.core.keys import Keys
from mad_ray.core.samples import Event, Samples, concatenate
from mad_ray.core.sealed import seal, unseal
from mad_ray.core.trajectory import Cohort, keys_of
from mad_ray.data.source import Source
from mad_ray.engine.dataset import open_source
from mad_ray.interventions.intervention import Rows, State
from mad_ray.ledger.beside import read_beside, write_beside
from mad_ray.ledger.store import Store

if TYPE_CHECKING:
    from mad_ray.engine.published import Published

LOOK_BACK = 4
"""Of so many generations, up to G^{t-2}, it is known before generation t which samples were theirs."""


@dataclass(frozen=True)
class Lesson:
    """What the intervention at one place may learn from before generation t (interventions.intervention.Lesson)."""

    cohort: Cohort
    store: Store
    place: int
    generation: int = 0
    rows: Rows | None = None
    """D^t as it comes to the intervention; None before generation 1."""
    published: "Callable[[int], Published] | None" = None
    """What a generation published, by its number."""

    @property
    def event(self) -> Event:
        return self.cohort.head.data.event

    @property
    def keys(self) -> Keys:
        return self.cohort.keys.at("intervention", self.place, self.generation)

    @property
    def others(self) -> Sequence[Any]:
        return tuple(self.cohort.head.active.values())

    def real(self, n: int) -> Samples:
        """The last n rows of each trajectory's order, which its loop never reaches; of endless data others."""
        source: Source = open_source(self.store, self.cohort.head.data)
        if source.n_rows is None:
            return source.rows(0, n, self.cohort.keys.at("intervention", "real"))
        return source.rows(source.n_rows - n, source.n_rows, self.cohort.keys.at("real"))

    def training_set(self) -> Rows:
        """D^t, as the interventions before this one let it in."""
        if self.rows is None:
            raise ValueError("there is no D^t before generation 1")
        return self.rows

    def synthetic(self, n: int) -> Samples | None:
        """Samples of the LOOK_BACK generations up to G^{t-2}, as many of each."""
        known = range(max(1, self.generation - 1 - LOOK_BACK), self.generation - 1)
        if self.published is None or not known:
            return None
        share = -(-n // len(known))
        parts = [block for g in known for block in self.published(g).blocks(0, share)]
        return concatenate(parts).rows(0, n)


def looks_back(interventions: Iterable[Any], generation: int) -> int:
    """The oldest generation whose samples they may ask for before `generation` and later ones."""
    return generation - 1 - LOOK_BACK if any(getattr(one, "looks_back", False) for one in interventions) else generation


_states: dict[str, State] = {}


def open_state(cohort: Cohort, store: Store, place: int) -> State:
    """What the intervention there has learnt once: from this process, else the store, else learnt now and kept."""
    one = cohort.head.interventions[place]
    if not hasattr(one, "learn_once"):
        return {}
    key = state_key(identity(cohort.head.data), one, cohort.keys, place)
    found = _kept(store, key)
    if found is None:
        _learn(cohort, store, place, key)
        # As whoever reads it will see it.
        found = _kept(store, key)
    return found or {}


def read_state(store: Store, identity_of: dict[str, Json], one: Any, place: int) -> State:
    """The same of a cohort that is known by its manifest's identity only. Missing if nobody has learnt it."""
    if not hasattr(one, "learn_once"):
        return {}
    key = state_key(identity_of["data"], one, keys_of(identity_of), place)
    found = _kept(store, key)
    if found is None:
        raise Missing(f"{key}: what the intervention {one.name} learnt is not there; restore it from a copy")
    return found


def learnt_by(cohort: Cohort) -> list[str]:
    """Keys of what its interventions learn once, in a store that holds a generation of it."""
    data, active = identity(cohort.head.data), cohort.head.active
    return [state_key(data, one, cohort.keys, i) for i, one in active.items() if hasattr(one, "learn_once")]


def state_key(data: Json, one: Any, keys: Keys, place: int) -> str:
    """Where the state of an intervention lies in a store."""
    return f"interventions/{digest([data, identity(one), list(keys.seeds), place, list(keys.path)])[:16]}/state.json"


def _kept(store: Store, key: str) -> State | None:
    """From this process, else the store; None if nobody has learnt it."""
    known = f"{store.url} {key}"
    if known not in _states:
        try:
            document = unseal(store.get(key), key, needs=("intervention",))
        except Missing:
            return None
        _states[known] = read_beside(store, key, document["state"]) if document.get("state") else {}
    return _states[known]


def _learn(cohort: Cohort, store: Store, place: int, key: str) -> None:
    one = cohort.head.interventions[place]
    state = one.learn_once(Lesson(cohort, store, place))
    named = write_beside(store, key, "state", dict(state)) if state else None
    what: dict[str, Json] = {"data": identity(cohort.head.data), "intervention": identity(one)}
    what |= {"seeds": list(cohort.seeds), "place": place, "path": list(cohort.keys.path)}
    store.put(key, seal({**what, "state": named}), if_absent=True)
