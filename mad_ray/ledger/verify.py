"""Read every committed byte again and say which objects are not what was committed."""

from collections.abc import Iterator
from dataclasses import dataclass

from mad_ray.core.errors import Corrupt, InvalidInput, Missing
from mad_ray.core.manifest import Manifest
from mad_ray.ledger.chain import Chain, blob_key, read_manifest
from mad_ray.ledger.store import Entry, Store

# InvalidInput: a manifest names an object that no store could hold.
_PROBLEMS = (Corrupt, Missing, InvalidInput)
_UNREACHED = "cannot be chained: the ledger does not lead here, since a manifest before it is damaged or lost"


@dataclass(frozen=True)
class Finding:
    """An object that is not what was committed."""

    key: str
    problem: str


@dataclass
class Tally:
    """What a verification has read so far: whole objects, good or bad, and their bytes."""

    n_objects: int = 0
    n_bytes: int = 0


def verify_cohort(store: Store, cohort_id: str, tally: Tally | None = None) -> Iterator[Finding]:
    """Every problem of a cohort's manifests and of all objects they name; none if all is well.

    Behind a damaged or lost manifest the chain cannot be followed; what lies there is checked by itself.
    """
    chain = Chain(_Counting(store, Tally() if tally is None else tally), cohort_id)
    listed, broken = chain.listed(), None
    try:
        chain.history()
    except Corrupt as error:
        broken = str(error)
    for manifest in chain.verified:
        yield from _verify_blobs(chain, manifest)
    strays = chain.unreached(listed)
    if broken is not None:
        strays = sorted({*strays, chain.next_key})
    elif strays and strays[-1] > chain.next_key:
        yield Finding(chain.next_key, "missing, though later objects of this ledger exist; restore it from a copy")
    for key in strays:
        yield from _verify_stray(chain, key, broken if broken and key == chain.next_key else _UNREACHED)


def _verify_blobs(chain: Chain, manifest: Manifest) -> Iterator[Finding]:
    for blob in manifest.blobs():
        try:
            chain.read_blob(manifest, blob)
        except _PROBLEMS as error:
            yield Finding(blob_key(manifest, blob), str(error))


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
