"""Progress inside a fit, kept in the store: a killed fit goes on from there, wherever it is started again."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mad_ray.core.errors import Corrupt, Missing
from mad_ray.core.fingerprint import digest
from mad_ray.core.manifest import Manifest
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.provenance import versions
from mad_ray.families.progress import State
from mad_ray.ledger.store import Store
from mad_ray.ledger.tensors import decode_tensors, encode_tensors

_SEAL = hashlib.sha256().digest_size
CODE = ("mad-ray", "torch", "diffusers", "transformers")
"""Packages whose versions decide what the rest of a fit comes to."""


@dataclass(frozen=True)
class CheckpointRule:
    """When a fit's state is saved: every so many seconds, and every so many steps; 0 turns either off."""

    every_s: float = 60.0
    every_steps: int = 0

    @property
    def is_off(self) -> bool:
        return self.every_s <= 0 and self.every_steps <= 0


@dataclass
class StoredCheckpoints:
    """The state of one fit under one key of the store, the newest only. Disposable, and never part of a result.

    n_resumed: the steps that a fit did not have to repeat, once it has asked.
    """

    store: Store
    key: str
    rule: CheckpointRule
    n_resumed: int = 0
    _saved_s: float = field(default_factory=time.monotonic)

    def load(self) -> State | None:
        """What an earlier attempt saved last. None too where it is damaged: then the fit starts over."""
        self._saved_s = time.monotonic()
        try:
            data = self.store.get(self.key)
            if self._seal(data[_SEAL:]) != data[:_SEAL]:
                return None
            state = decode_tensors(data[_SEAL:])
            self.n_resumed = int(state["n_done"])
        except (Missing, Corrupt, KeyError):
            return None
        return state

    def is_due(self, n_done: int) -> bool:
        """By the rule's steps, or by its seconds since the last save."""
        if self.rule.every_steps > 0 and n_done % self.rule.every_steps == 0:
            return True
        return 0 < self.rule.every_s <= time.monotonic() - self._saved_s

    def save(self, n_done: int, state: State) -> None:
        """Written whole or not at all; a slower attempt at the same fit can only put an earlier state there."""
        data = encode_tensors(state)
        self.store.put(self.key, self._seal(data) + data)
        self._saved_s = time.monotonic()

    def _seal(self, data: bytes) -> bytes:
        """Over the key too: another fit's state is whole in itself, and would be taken up unseen."""
        return hashlib.sha256(self.key.encode() + b"\0" + data).digest()

    def clear(self) -> None:
        """The generation is committed; nobody will ask again."""
        self.store.delete(self.key)


def checkpoints_of(
    store: Store,
    cohort: Cohort,
    t: int,
    history: Sequence[Manifest],
    rule: CheckpointRule,
    eaten: Mapping[str, str] | None = None,
) -> StoredCheckpoints | None:
    """Those of the fit of generation t after this history; None for families whose fits are short, or by the rule.

    What was saved after another history, or by other versions of the code, is never taken up. eaten: the manifests of
    other members that D^t is read from, which are part of that history.
    """
    if rule.is_off or not cohort.head.family.distributed:
        return None
    found = versions()
    code = {package: found.get(package) for package in CODE}
    before = [history[-1].digest if history else "", code, *([dict(eaten)] if eaten else [])]
    name = digest(before)[:12]
    return StoredCheckpoints(store, f"{progress_prefix(cohort.id)}{t:06d}-{name}.state", rule)


def progress_prefix(cohort_id: str) -> str:
    """Where the checkpoints of a cohort's fits lie."""
    return f"cohorts/{cohort_id}/progress/"
