"""Retiring samples: those that no generation to come needs are deleted, since their model draws them again.

Manifests, models, metrics and references always stay. What goes is written down first, in a sealed document beside the
ledger, so that `verify` can tell what was retired from what was lost, and an interrupted retirement is taken up again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mad_ray.core.errors import Corrupt, Missing
from mad_ray.core.loop import Loop, reaches_back
from mad_ray.core.manifest import Manifest, Shard
from mad_ray.core.sealed import seal, unseal
from mad_ray.ledger.beside import read_beside, write_beside
from mad_ray.ledger.chain import blob_key, ledger_prefix, manifest_key, read_checked, read_manifest
from mad_ray.ledger.shards import decode_shard
from mad_ray.ledger.store import Entry, Store

PICTURE_ROWS = 20
"""Samples of each trajectory that a retired generation keeps for the report's pictures and texts."""


Eaters = Callable[[int], int]
"""The last generation of a member of an ecosystem -> the oldest that anybody can still need."""


@dataclass(frozen=True)
class Keep:
    """Whose samples stay: those of every k-th generation (k = 0: of none) and of the last ones, which come next."""

    every: int = 0

    def retires(self, loop: Loop, last: int, n_generations: int, oldest: int | None = None) -> list[int]:
        """The generations whose samples may go once `last` is committed.

        Never what a generation to come may need, however many there will be. A loop that accumulates needs them all:
        there samples go when its n_generations are done, and a longer study draws them again. oldest: the oldest
        generation that others need of it, where others eat of it too; loop does not tell then.
        """
        needed = min(reaches_back(loop, last) if oldest is None else oldest, last)
        if loop.accumulate and last >= n_generations:
            needed = last
        return [g for g in range(1, needed) if not (self.every and g % self.every == 0)]


@dataclass(frozen=True)
class Retired:
    """What a retirement came to: generations, objects and bytes deleted (or, dry, to be deleted).

    n_all: generations retired by now, earlier ones included.
    """

    n: int = 0
    n_objects: int = 0
    n_bytes: int = 0
    n_all: int = 0


def retired_prefix(cohort_id: str) -> str:
    """Where a cohort's retirements are written down."""
    return f"cohorts/{cohort_id}/retired/"


def retired_key(cohort_id: str, generation: int) -> str:
    """Where it is written that a generation's samples were retired."""
    return f"{retired_prefix(cohort_id)}{generation:06d}.json"


def retire(
    store: Store,
    cohort_id: str,
    loop: Loop,
    n_generations: int,
    keep: Keep,
    dry: bool = False,
    eaters: Eaters | None = None,
) -> Retired:
    """Delete the samples that the rule lets go. Killed at any moment and run again it ends the same.

    One listing of the cohort, and of each generation that goes its manifest and its first shard. eaters: of a member
    of an ecosystem, which of its generations are needed.
    """
    entries = {entry.key: entry for entry in store.list(f"cohorts/{cohort_id}/")}
    firsts = sorted(_firsts(cohort_id, entries))
    if not firsts:
        return Retired()
    newest = read_manifest(store, cohort_id, manifest_key(cohort_id, firsts[-1]))
    noted = {key for key in entries if key.startswith(retired_prefix(cohort_id)) and key.endswith(".json")}
    # Families that redraw have no shards at all.
    oldest = None if eaters is None else eaters(newest.last)
    due = keep.retires(loop, newest.last, n_generations, oldest) if newest.shards else []
    n = n_objects = n_bytes = 0
    for generation in due:
        first = max(f for f in firsts if f <= generation)
        present = _shards_there(entries, f"cohorts/{cohort_id}/attempts/{first:06d}-", generation)
        if not present:
            continue
        manifest = read_manifest(store, cohort_id, manifest_key(cohort_id, first))
        going = [entries[key] for key in _shard_keys(manifest, generation) if key in entries]
        if going and not dry:
            _retire(store, manifest, generation, going)
        n, n_objects = n + bool(going), n_objects + len(going)
        n_bytes += sum(entry.n_bytes for entry in going)
        noted |= {retired_key(cohort_id, generation)} if going else set()
    return Retired(n, n_objects, n_bytes, len(noted))


def _firsts(cohort_id: str, entries: dict[str, Entry]) -> Iterator[int]:
    prefix = ledger_prefix(cohort_id)
    names = (key.removeprefix(prefix).removesuffix(".json") for key in entries if key.startswith(prefix))
    return (int(name) for name in names if name.isdecimal())


def _shards_there(entries: dict[str, Entry], prefix: str, generation: int) -> bool:
    """Whether any attempt's samples of that generation are still in the store."""
    return any(key.startswith(prefix) and f"/samples/{generation:06d}-" in key for key in entries)


def _shard_keys(manifest: Manifest, generation: int) -> list[str]:
    return [blob_key(manifest, shard.blob) for shard in manifest.shards if shard.generation == generation]


def _retire(store: Store, manifest: Manifest, generation: int, going: Sequence[Entry]) -> None:
    """Write it down, then delete: from then on what is missing is known to be missed by nobody."""
    key = retired_key(manifest.cohort, generation)
    if read_retired(store, manifest, generation) is None:
        shards = [shard for shard in manifest.shards if shard.generation == generation]
        document = {
            "cohort": manifest.cohort,
            "generation": generation,
            "manifest": manifest.digest,
            "n_bytes": sum(shard.blob.n_bytes for shard in shards),
            "shown": write_beside(store, key, f"{generation:06d}-shown", {"x": _shown(store, manifest, shards[0])}),
        }
        store.put(key, seal(document), if_absent=True)
    for entry in going:
        store.delete(entry.key)


def _shown(store: Store, manifest: Manifest, shard: Shard) -> np.ndarray:
    """What the report shows of the generation, [B, m, *event]: a few samples; of points in the plane all of a shard."""
    x = decode_shard(read_checked(store, blob_key(manifest, shard.blob), shard.blob))[0].x
    is_plotted = x.shape[2:] == (2,) and shard.generation in manifest.identity["metrics"].get("snapshots", [])
    return x if is_plotted else x[:, :PICTURE_ROWS]


def read_retired(store: Store, manifest: Manifest, generation: int) -> dict[str, Any] | None:
    """What was written down when the generation's samples were retired; None if they were not.

    Corrupt if the document is not of this generation of this manifest.
    """
    key = retired_key(manifest.cohort, generation)
    try:
        document = unseal(store.get(key), key)
    except Missing:
        return None
    require_retired(document, manifest, generation, key)
    return document


def require_retired(document: dict[str, Any], manifest: Manifest, generation: int, key: str) -> None:
    """Corrupt unless the document speaks of that generation as the manifest committed it."""
    said = document.get("cohort"), document.get("generation"), document.get("manifest")
    if said != (manifest.cohort, generation, manifest.digest):
        raise Corrupt(f"{key}: speaks of other samples than those of generation {generation}; objects were mixed up")


def first_samples(store: Store, manifest: Manifest, shard: Shard) -> np.ndarray:
    """x [B, m, *event] of a generation's first shard; of a retired one the few that were kept to be shown."""
    try:
        return decode_shard(read_checked(store, blob_key(manifest, shard.blob), shard.blob))[0].x
    except Missing:
        document = read_retired(store, manifest, shard.generation)
        if document is None:
            raise
        return read_beside(store, retired_key(manifest.cohort, shard.generation), document["shown"])["x"]
