"""Verifying what lies beside the ledgers: sealed JSON documents, and the objects that they name."""

from collections.abc import Iterator
from typing import Any

from mad_ray.core.errors import Corrupt, Missing
from mad_ray.core.manifest import Blob
from mad_ray.core.sealed import unseal
from mad_ray.ledger.chain import read_checked
from mad_ray.ledger.store import Store
from mad_ray.ledger.verify import Finding, Tally


def verify_documents(store: Store, prefix: str, tally: Tally | None = None) -> Iterator[Finding]:
    """Every sealed document below the prefix that is not as it was written, and every bad object that one names."""
    tally = Tally() if tally is None else tally
    for entry in store.list(prefix):
        if not entry.key.endswith(".json"):
            continue
        try:
            data = store.get(entry.key)
            document = unseal(data, entry.key)
        except Missing:
            # Deleted since it was listed.
            continue
        except Corrupt as error:
            yield Finding(entry.key, str(error))
            continue
        tally.n_objects, tally.n_bytes = tally.n_objects + 1, tally.n_bytes + len(data)
        yield from _verify_named(store, entry.key, document, tally)


def _verify_named(store: Store, key: str, document: dict[str, Any], tally: Tally) -> Iterator[Finding]:
    for value in document.values():
        if not (isinstance(value, dict) and value.keys() == {"name", "n_bytes", "sha256"}):
            continue
        named = f"{key.rpartition('/')[0]}/{value['name']}"
        try:
            data = read_checked(store, named, Blob(**value))
        except (Corrupt, Missing) as error:
            yield Finding(named, str(error))
            continue
        tally.n_objects, tally.n_bytes = tally.n_objects + 1, tally.n_bytes + len(data)
