"""Read every committed byte again and say which objects are not what was committed."""

from collections.abc import Iterator
from contextlib import suppress

from mad_ray.core.errors import Corrupt, InvalidInput, Missing
from mad_ray.core.manifest import Blob, Manifest
from mad_ray.ledger.chain import Chain, blob_key, manifest_key, read_manifest
from mad_ray.ledger.findings import Finding, Tally
from mad_ray.ledger.index import EMPTY, Head
from mad_ray.ledger.retired import is_retired, verify_retired
from mad_ray.ledger.store import Entry, Store

# InvalidInput: a manifest names an object that no store could hold.
_PROBLEMS = (Corrupt, Missing, InvalidInput)
_UNREACHED = "cannot be chained: the ledger does not lead here, since a manifest before it is damaged or lost"


def verify_cohort(store: Store, cohort_id: str, tally: Tally | None = None, head: Head = EMPTY) -> Iterator[Finding]:
    """Every problem of a cohort's manifests and of all objects they name; none if all is well.

    Behind a damaged or lost manifest the chain cannot be followed; what lies there is checked by itself. Samples that
    were retired are not missed. head: where the ledger ended once (a study's index), so that a lost end shows too.
    """
    counting = _Counting(store, Tally() if tally is None else tally)
    chain = Chain(counting, cohort_id)
    listed, broken = chain.listed(), None
    try:
        chain.history()
    except Corrupt as error:
        broken = str(error)
    for manifest in chain.verified:
        yield from _verify_blobs(chain, manifest)
    yield from _verify_eaten(chain)
    strays = chain.unreached(listed)
    if broken is not None:
        strays = sorted({*strays, chain.next_key})
    elif strays and strays[-1] > chain.next_key:
        yield Finding(chain.next_key, "missing, though later objects of this ledger exist; restore it from a copy")
    elif (lost := _lost_end(chain, head)) is not None:
        yield lost
    for key in strays:
        problem = broken if broken and key == chain.next_key else _UNREACHED
        yield from _verify_stray(chain, key, problem)
    # Behind a break the documents cannot be told from strays.
    if broken is None and not strays:
        yield from verify_retired(counting, cohort_id, chain.verified)


def _lost_end(chain: Chain, head: Head) -> Finding | None:
    """The manifest that the index speaks of, if the ledger does not hold it."""
    if head.last == 0 or any((m.last, m.digest) == (head.last, head.digest) for m in chain.verified):
        return None
    key = manifest_key(chain.cohort_id, head.first)
    return Finding(
        key,
        f"was committed (generations {head.first}..{head.last}), says the study's index, and is not there; restore it "
        "from a copy, or delete the index to compute it again",
    )


def _verify_eaten(chain: Chain) -> Iterator[Finding]:
    """Manifests that were made from samples of another cohort's ledger that is not, or no longer, what it was then."""
    others: dict[str, set[str]] = {}
    for manifest in chain.verified:
        for cohort_id, digest in manifest.eaten.items():
            if cohort_id not in others:
                others[cohort_id] = _digests(chain.store, cohort_id)
            if digest not in others[cohort_id]:
                yield Finding(
                    manifest_key(chain.cohort_id, manifest.first),
                    f"was made from samples of cohort {cohort_id}, whose manifest ({digest[:16]}) is not in that "
                    "ledger; restore that ledger from a copy",
                )
                break


def _digests(store: Store, cohort_id: str) -> set[str]:
    """Of every manifest of a ledger, as far as it can be followed; what is wrong with it is said of itself."""
    chain = Chain(store, cohort_id)
    with suppress(*_PROBLEMS):
        chain.history()
    return {manifest.digest for manifest in chain.verified}


def _verify_blobs(chain: Chain, manifest: Manifest) -> Iterator[Finding]:
    for blob in manifest.blobs():
        try:
            _verify_blob(chain, manifest, blob)
        except _PROBLEMS as error:
            yield Finding(blob_key(manifest, blob), str(error))


def _verify_blob(chain: Chain, manifest: Manifest, blob: Blob) -> None:
    try:
        chain.read_blob(manifest, blob)
    except Missing:
        if not is_retired(chain.store, manifest, blob):
            raise


def _verify_stray(chain: Chain, key: str, problem: str) -> Iterator[Finding]:
    """What is wrong with a manifest that the chain does not reach, and with the objects that it names."""
    try:
        manifest = read_manifest(chain.store, chain.cohort_id, key)
    except _PROBLEMS as error:
        yield Finding(key, str(error))
        return
    yield Finding(key, problem)
    yield from _verify_blobs(chain, manifest)


class _Counting:
    """A store that counts what is read through it, each object once."""

    def __init__(self, store: Store, tally: Tally) -> None:
        self.store = store
        self.url = store.url
        self.tally = tally
        self._seen: set[str] = set()

    def get(self, key: str) -> bytes:
        data = self.store.get(key)
        if key not in self._seen:
            self._seen.add(key)
            self.tally.n_objects += 1
            self.tally.n_bytes += len(data)
        return data

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        return self.store.put(key, data, if_absent=if_absent)

    def list(self, prefix: str) -> Iterator[Entry]:
        return self.store.list(prefix)

    def delete(self, key: str) -> None:
        self.store.delete(key)
