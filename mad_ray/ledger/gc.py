"""Delete what no manifest names: the remains of attempts that died or lost, and of fits that were never ended."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mad_ray.core.errors import Corrupt
from mad_ray.ledger.chain import Chain, blob_key
from mad_ray.ledger.store import PROBES, Entry, Store


@dataclass(frozen=True)
class Collected:
    """Objects deleted (or, dry, to be deleted), their bytes, and how many unnamed ones were too young."""

    n_objects: int
    n_bytes: int
    kept_young: int


def collect(
    store: Store, cohort_ids: Sequence[str], grace_s: float, now_s: float | None = None, dry: bool = False
) -> Collected:
    """Delete objects of the cohorts' attempts that no manifest names, where the whole attempt is older than grace_s.

    Safe beside a running study as long as no attempt is silent for grace_s; run again if interrupted. Corrupt, and
    nothing deleted, if a manifest of any of the cohorts is damaged or lost: what it named would look like garbage.
    """
    before_s = (time.time() if now_s is None else now_s) - grace_s
    chains = [Chain(store, cohort_id) for cohort_id in cohort_ids]
    for chain in chains:
        _named(chain)
    n_objects = n_bytes = kept_young = 0
    for entry in _unnamed(store, chains):
        if entry.modified_s > before_s:
            kept_young += 1
            continue
        n_objects, n_bytes = n_objects + 1, n_bytes + entry.n_bytes
        if not dry:
            store.delete(entry.key)
    return Collected(n_objects, n_bytes, kept_young)


def _unnamed(store: Store, chains: Sequence[Chain]) -> Iterator[Entry]:
    """Objects that no manifest names, each as old as the youngest of its attempt: one at work keeps all it has."""
    yield from store.list(PROBES)
    for chain in chains:
        listed = list(store.list(f"cohorts/{chain.cohort_id}/attempts/"))
        # Manifests are read after the listing: an attempt that was committed in between is spared.
        named = _named(chain)
        youngest: dict[str, float] = {}
        for entry in listed:
            attempt = _attempt(entry.key)
            youngest[attempt] = max(entry.modified_s, youngest.get(attempt, entry.modified_s))
        # A fit at work renews its checkpoint; an old one costs whoever resumes it a few steps.
        yield from store.list(f"cohorts/{chain.cohort_id}/progress/")
        for entry in listed:
            if entry.key not in named:
                yield Entry(entry.key, entry.n_bytes, youngest[_attempt(entry.key)])


def _attempt(key: str) -> str:
    """cohorts/ID/attempts/ATTEMPT/... -> ATTEMPT."""
    return key.split("/")[3]


def _named(chain: Chain) -> set[str]:
    """Keys of all objects that the chain's manifests name. Corrupt if the chain is not whole."""
    listed = chain.listed()
    history = chain.history()
    if strays := chain.unreached(listed):
        raise Corrupt(f"{strays[0]}: the ledger does not lead here; run `mad-ray verify` before anything is deleted")
    return {blob_key(manifest, blob) for manifest in history for blob in manifest.blobs()}
