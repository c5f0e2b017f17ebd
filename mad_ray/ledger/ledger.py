"""A cohort's ledger: read what is committed, write objects under an attempt, commit with one conditional put."""

from mad_ray.core.errors import Corrupt
from mad_ray.core.fingerprint import digest_bytes
from mad_ray.core.manifest import Blob, Manifest
from mad_ray.core.trajectory import Cohort
from mad_ray.ledger.chain import Chain, require_follows
from mad_ray.ledger.fate import LAST, write_last
from mad_ray.ledger.store import Store


class Ledger(Chain):
    """The chain of a cohort that this process computes, and may therefore extend."""

    def __init__(self, store: Store, cohort: Cohort) -> None:
        super().__init__(store, cohort.id)
        self.cohort = cohort
        self.others: dict[str, Chain] = {}
        """Chains of other cohorts that this one reads, as far as they were followed."""

    def other(self, cohort_id: str) -> Chain:
        """The chain of another cohort, kept: what was read and verified once is not read again."""
        return self.others.setdefault(cohort_id, Chain(self.store, cohort_id))

    def put_blob(self, attempt_prefix: str, name: str, data: bytes) -> Blob:
        """Write an object of an attempt. It stays invisible until a manifest names it."""
        self.store.put(f"{attempt_prefix}/{name}", data)
        return Blob(name, len(data), digest_bytes(data))

    def put_last(self, attempt_prefix: str, data: bytes) -> Blob:
        """Write the last object of an attempt, before its commit. Buried: there must be none (fate.py)."""
        write_last(self.store, attempt_prefix, data)
        return Blob(LAST, len(data), digest_bytes(data))

    def winner(self, first: int) -> Manifest | None:
        """The manifest of the span that starts there, if any attempt has committed it. Asks the store."""
        return self._committed(first)

    def commit(self, manifest: Manifest) -> Manifest:
        """Make a manifest part of the ledger, for ever, and return it; or the one that another attempt put there first.

        Corrupt if the manifest does not follow what is committed: it was computed from something else.
        """
        key = self.cohort.manifest_key(manifest.first)
        data = manifest.to_json()
        if (winner := self._committed(manifest.first)) is not None:
            return winner
        # As every reader will see it: tuples have become lists, and what cannot be read is not written.
        ours = Manifest.from_json(data, key)
        require_follows(ours, self._verified[-1] if self._verified else None, key)
        if self.store.put(key, data, if_absent=True):
            self._verified.append(ours)
            return ours
        # Another attempt won, or our own first try did though its answer was lost. Ours is garbage, or the same.
        winner = self._committed(manifest.first)
        if winner is None:
            raise Corrupt(f"{key}: the store says it exists but does not return it; run `mad-ray verify`")
        return winner

    def _committed(self, first: int) -> Manifest | None:
        return next((manifest for manifest in self.history() if manifest.first == first), None)


def require_same(ours: Manifest, winner: Manifest) -> None:
    """Corrupt if two attempts at one span came to different results. For studies that must repeat bit by bit."""
    if ours.digest != winner.digest:
        raise Corrupt(
            f"cohort {ours.cohort}, generations {ours.first}..{ours.last}: this attempt's results differ from those "
            f"committed by attempt {winner.attempt}; the two did not run the same code on the same kind of device"
        )
