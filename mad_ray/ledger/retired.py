"""Verifying what was written down when samples were retired."""

from collections.abc import Iterator, Sequence

from mad_ray.core.errors import Corrupt, Missing
from mad_ray.core.manifest import Blob, Manifest
from mad_ray.core.sealed import unseal
from mad_ray.ledger.documents import verify_documents
from mad_ray.ledger.findings import Finding
from mad_ray.ledger.retention import read_retired, require_retired, retired_key, retired_prefix
from mad_ray.ledger.store import Store


def is_retired(store: Store, manifest: Manifest, blob: Blob) -> bool:
    """Whether that object of the manifest was deleted by a retention rule. Corrupt if what says so speaks of others."""
    generations = [shard.generation for shard in manifest.shards if shard.blob == blob]
    return bool(generations) and read_retired(store, manifest, generations[0]) is not None


def verify_retired(store: Store, cohort_id: str, history: Sequence[Manifest]) -> Iterator[Finding]:
    """Every document of a retirement that is damaged or is not of this ledger, and what one names and is not whole."""
    prefix = retired_prefix(cohort_id)
    found = list(verify_documents(store, prefix))
    yield from found
    bad = {finding.key for finding in found}
    for key in [entry.key for entry in store.list(prefix) if entry.key.endswith(".json")]:
        if key not in bad and (problem := _problem(store, cohort_id, key, history)) is not None:
            yield Finding(key, problem)


def _problem(store: Store, cohort_id: str, key: str, history: Sequence[Manifest]) -> str | None:
    try:
        document = unseal(store.get(key), key)
    except Missing:
        return None
    generation = document.get("generation")
    of = [m for m in history if any(shard.generation == generation for shard in m.shards)]
    if not of or not isinstance(generation, int) or key != retired_key(cohort_id, generation):
        return "speaks of samples that no manifest of this ledger names; objects were moved or mixed up"
    try:
        require_retired(document, of[0], generation, key)
    except Corrupt as error:
        return str(error)
    return None
