"""How far a study's ledgers had come when somebody last looked: where readers start from, and nothing is built on.

One document instead of a manifest for each commit. It is disposable: without it, or with an old or a damaged one, the
same questions take longer. Whoever computes follows the chain itself, from its first manifest.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from mad_ray.core.errors import Corrupt, Missing
from mad_ray.core.manifest import Manifest
from mad_ray.core.sealed import seal, unseal
from mad_ray.ledger.chain import ROOT, manifest_key, read_manifest, require_follows
from mad_ray.ledger.store import Store

FORMAT = 1


@dataclass(frozen=True)
class Head:
    """The end of a cohort's ledger. wall_s, n_bytes: of all its commits together.

    first, last: the generations of the last commit; digest: its manifest's. settled_of: of how many generations at most
    it was found settled here; 0 if it was not. n_retired, retired_bytes: generations whose samples a retention rule
    deleted, and what that freed.
    """

    first: int = 0
    last: int = 0
    digest: str = ROOT
    wall_s: float = 0.0
    n_bytes: int = 0
    settled_of: int = 0
    n_retired: int = 0
    retired_bytes: int = 0

    def after(self, manifest: Manifest) -> "Head":
        """The end once that manifest follows."""
        return replace(
            self,
            first=manifest.first,
            last=manifest.last,
            digest=manifest.digest,
            wall_s=self.wall_s + manifest.provenance.get("wall_s", 0.0),
            n_bytes=self.n_bytes + manifest.provenance.get("n_bytes", 0),
            settled_of=0,
        )

    @property
    def of_retention(self) -> "Head":
        """An empty ledger's, that remembers what was retired."""
        return Head(n_retired=self.n_retired, retired_bytes=self.retired_bytes)


EMPTY = Head()


def index_key(study: str) -> str:
    """Where a study's index lies."""
    return f"studies/{study}/index.json"


def write_index(store: Store, study: str, heads: Mapping[str, Head]) -> None:
    """Keep where the cohorts' ledgers end. Of two who write at once the later one stays; both were true."""
    document = {"format": FORMAT, "study": study, "cohorts": {cohort: asdict(head) for cohort, head in heads.items()}}
    store.put(index_key(study), seal(document))


def read_index(store: Store, study: str) -> dict[str, Head]:
    """Where each cohort's ledger ended; empty where there is no index, or none that can be used."""
    try:
        return dict(open_index(store, study))
    except (Missing, Corrupt):
        return {}


def open_index(store: Store, study: str) -> Iterator[tuple[str, Head]]:
    """(cohort, head) of the index. Missing if there is none, Corrupt if it is no index of that study."""
    key = index_key(study)
    document = unseal(store.get(key), key)
    if document.get("study") != study or document.get("format") != FORMAT:
        raise Corrupt(f"{key}: no index of this study and version; delete it, the next run makes it again")
    try:
        for cohort, given in document["cohorts"].items():
            yield cohort, _head(given)
    except (AttributeError, KeyError, TypeError) as error:
        raise Corrupt(f"{key}: not an index ({error}); delete it, the next run makes it again") from error


def _head(given: Mapping[str, Any]) -> Head:
    head = Head(**given)
    for field in fields(Head):
        # A whole number of seconds comes back as an integer.
        if not isinstance(getattr(head, field.name), (int, float) if field.name == "wall_s" else type(field.default)):
            raise TypeError(f"{field.name}={getattr(head, field.name)!r}")
    return head


def grown(store: Store, cohort_id: str, head: Head, seen: Callable[[Manifest], None] = lambda manifest: None) -> Head:
    """Where the ledger ends now, followed on from where it ended once; from its beginning if it does not go on there.

    Asks for the next manifest until there is none. seen: told every manifest that was read. Corrupt at one that is
    damaged or does not follow.
    """
    while (manifest := _read(store, cohort_id, manifest_key(cohort_id, head.last + 1))) is not None:
        if (manifest.first, manifest.parent) != (head.last + 1, head.digest):
            if not head.last:
                require_follows(manifest, None, manifest_key(cohort_id, 1))
            return grown(store, cohort_id, head.of_retention, seen)
        seen(manifest)
        head = head.after(manifest)
    return head


def _read(store: Store, cohort_id: str, key: str) -> Manifest | None:
    try:
        return read_manifest(store, cohort_id, key)
    except Missing:
        return None


def is_at(store: Store, cohort_id: str, head: Head) -> bool:
    """Whether the ledger holds the manifest that the head speaks of. One request."""
    if head.last == 0:
        return True
    try:
        manifest = read_manifest(store, cohort_id, manifest_key(cohort_id, head.first))
    except (Missing, Corrupt):
        return False
    return (manifest.last, manifest.digest) == (head.last, head.digest)
