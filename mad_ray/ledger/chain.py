"""A cohort's manifests as a verified hash chain, followed key by key and never listed."""

from dataclasses import replace

from mad_ray.core.errors import Corrupt, Missing
from mad_ray.core.fingerprint import digest, digest_bytes
from mad_ray.core.manifest import Blob, Manifest
from mad_ray.ledger.store import Store

# The parent of a first manifest.
ROOT = ""


def ledger_prefix(cohort_id: str) -> str:
    """The folder of a cohort's manifests."""
    return f"cohorts/{cohort_id}/ledger/"


def manifest_key(cohort_id: str, first: int) -> str:
    """Cohort.manifest_key for those who have the id only."""
    return f"{ledger_prefix(cohort_id)}{first:06d}.json"


def blob_key(manifest: Manifest, blob: Blob) -> str:
    """Where an object that a manifest names lies."""
    return f"cohorts/{manifest.cohort}/attempts/{manifest.first:06d}-{manifest.attempt}/{blob.name}"


def read_checked(store: Store, key: str, blob: Blob) -> bytes:
    """The object's bytes. Corrupt unless they are those whose size and SHA-256 the manifest holds."""
    data = store.get(key)
    if len(data) != blob.n_bytes:
        raise Corrupt(f"{key}: {len(data)} bytes, but {blob.n_bytes} were committed; restore the object from a copy")
    if digest_bytes(data) != blob.sha256:
        raise Corrupt(f"{key}: its bytes are not those that were committed; restore the object from a copy")
    return data


def read_manifest(store: Store, cohort_id: str, key: str) -> Manifest:
    """One manifest by itself. Corrupt unless it is whole, this cohort's, and lies where it belongs."""
    manifest = Manifest.from_json(store.get(key), key)
    if manifest.cohort != cohort_id or digest(manifest.identity)[:16] != cohort_id:
        raise Corrupt(f"{key}: belongs to cohort {manifest.cohort}, not to {cohort_id}; objects were moved or mixed up")
    if key != manifest_key(cohort_id, manifest.first) or manifest.last < manifest.first:
        raise Corrupt(f"{key}: holds generations {manifest.first}..{manifest.last}, which belong elsewhere")
    if not isinstance(manifest.provenance.get("attempt"), str):
        raise Corrupt(f"{key}: does not say which attempt wrote its objects (provenance.attempt)")
    return manifest


def require_follows(manifest: Manifest, before: Manifest | None, key: str) -> None:
    """Corrupt unless the manifest continues the chain after `before` (None: it is the first)."""
    first, parent = (1, ROOT) if before is None else (before.last + 1, before.digest)
    if manifest.first != first:
        raise Corrupt(f"{key}: starts at generation {manifest.first}, but the ledger goes on at {first}")
    if manifest.parent != parent:
        raise Corrupt(
            f"{key}: was computed after another manifest than the one before it; the ledger was tampered with"
        )


class Chain:
    """The committed manifests of one cohort. What was read and verified once is not read again: commits are final."""

    def __init__(self, store: Store, cohort_id: str) -> None:
        self.store = store
        self.cohort_id = cohort_id
        self._verified: list[Manifest] = []

    def history(self) -> list[Manifest]:
        """All manifests committed so far, in order. Corrupt at the first that is damaged or does not follow."""
        while (manifest := self._read_next()) is not None:
            self._verified.append(manifest)
        return self.verified

    @property
    def verified(self) -> list[Manifest]:
        """The manifests read so far, without asking the store."""
        return list(self._verified)

    @property
    def next_key(self) -> str:
        """The key at which the manifest after the verified ones is, or will be."""
        return manifest_key(self.cohort_id, self._verified[-1].last + 1 if self._verified else 1)

    @property
    def last(self) -> int:
        """The last committed generation, 0 if there is none. Asks the store."""
        history = self.history()
        return history[-1].last if history else 0

    def read_blob(self, manifest: Manifest, blob: Blob) -> bytes:
        """An object that the manifest names. Corrupt, with its key, if its bytes are not those committed."""
        return read_checked(self.store, blob_key(manifest, blob), blob)

    def listed(self) -> list[str]:
        """Every key in the ledger's folder. List before history(): what is committed in between is then reached."""
        return [entry.key for entry in self.store.list(ledger_prefix(self.cohort_id))]

    def unreached(self, listed: list[str]) -> list[str]:
        """Those keys that the verified chain does not reach, since one before them is damaged or lost."""
        reached = {manifest_key(self.cohort_id, manifest.first) for manifest in self._verified}
        return [key for key in listed if key not in reached]

    def _read_next(self) -> Manifest | None:
        key = self.next_key
        try:
            manifest = read_manifest(self.store, self.cohort_id, key)
        except Missing:
            return None
        before = self._verified[-1] if self._verified else None
        require_follows(manifest, before, key)
        return manifest if before is None else _sharing(manifest, before)


def _sharing(manifest: Manifest, before: Manifest) -> Manifest:
    """The same manifest, holding what is equal in both only once: thousands of them are read for a report."""
    told = manifest.provenance
    if told.get("versions") == before.provenance.get("versions"):
        told = {**told, "versions": before.provenance.get("versions")}
    # A ledger's manifests have one identity.
    return replace(manifest, identity=before.identity, provenance=told)
