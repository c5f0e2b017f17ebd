"""What a store holds after a run, and how two stores are compared."""

from collections.abc import Mapping
from dataclasses import dataclass

from mad_ray.core.errors import Missing
from mad_ray.core.fingerprint import digest_bytes
from mad_ray.core.manifest import Manifest
from mad_ray.ledger.chain import blob_key
from mad_ray.ledger.store import PROBES, Store
from mad_ray.ledger.verify import verify_cohort


@dataclass(frozen=True)
class Evidence:
    """All that must be the same however often a run was killed, and what must not be there."""

    manifests: Mapping[str, bytes]
    """Key -> the bytes as committed, timings and all."""
    digests: Mapping[str, str]
    """Key of a manifest -> digest of its content, which holds the SHA-256 of every model, shard and metric."""
    blobs: Mapping[str, str]
    """Cohort, generation and name of a committed object -> SHA-256 of the bytes that lie there."""
    documents: Mapping[str, str]
    """Key of anything outside the cohorts -> SHA-256: the study, references, extractors. Not the index, which tells
    seconds and is disposable."""
    findings: tuple[str, ...]
    """What `mad-ray verify` finds."""


def evidence_of(store: Store) -> Evidence:
    """Read every byte."""
    keys = [entry.key for entry in store.list("") if not entry.key.startswith(PROBES)]
    manifests = {key: store.get(key) for key in keys if "/ledger/" in key}
    read = {key: Manifest.from_json(data, key) for key, data in manifests.items()}
    cohorts = sorted({manifest.cohort for manifest in read.values()})
    return Evidence(
        manifests=manifests,
        digests={key: manifest.digest for key, manifest in read.items()},
        blobs={
            f"{m.cohort} {m.first} {blob.name}": _digest_at(store, blob_key(m, blob))
            for m in read.values()
            for blob in m.blobs()
        },
        documents={key: digest_bytes(store.get(key)) for key in keys if _is_document(key)},
        findings=tuple(f"{found.key}: {found.problem}" for of in cohorts for found in verify_cohort(store, of)),
    )


def _digest_at(store: Store, key: str) -> str:
    try:
        return digest_bytes(store.get(key))
    except Missing:
        return "missing"


def _is_document(key: str) -> bool:
    return not key.startswith("cohorts/") and not key.endswith("/index.json")


def manifests_in(store: Store) -> dict[str, bytes]:
    """What is committed now."""
    return {entry.key: store.get(entry.key) for entry in store.list("cohorts/") if "/ledger/" in entry.key}


def differences(expected: Evidence, found: Evidence) -> tuple[str, ...]:
    """Each object that is there in one run only, or is not the same; and whatever verify finds."""
    unlike = [
        f"{name} {key}"
        for name in ("digests", "blobs", "documents")
        for key in _unlike(getattr(expected, name), getattr(found, name))
    ]
    return (*unlike, *found.findings)


def lost(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[str, ...]:
    """Commits of before that are gone, or are not the same bytes."""
    return tuple(key for key, data in before.items() if after.get(key) != data)


def _unlike(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))
