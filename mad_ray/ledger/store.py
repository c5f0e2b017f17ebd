"""The store protocol. Four verbs over whole objects are all that the ledger asks of a memory, a disk or S3."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from mad_ray.core.errors import InvalidInput, StoreError

PROBES = ".probe/"
# A disk keeps half-written objects here; no store lets a key enter it.
RESERVED = ".tmp"


@dataclass(frozen=True)
class Entry:
    """One listed object. modified_s: seconds since the epoch, by the store's clock."""

    key: str
    n_bytes: int
    modified_s: float


class Store(Protocol):
    """Objects by key ("a/b/c.json"). Readers follow manifests; only `gc` and `status` list."""

    url: str

    def get(self, key: str) -> bytes:
        """The whole object. Missing if there is none, Transient if asking again may help."""
        ...

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Write a whole object, visible all at once. With if_absent: False, and nothing written, if it exists."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key starts with the prefix, in the order of keys."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens if there is none."""
        ...


class Resumable(Store, Protocol):
    """A store whose listing can be taken up again where it broke, as those need that lie behind a network."""

    def list_after(self, prefix: str, after: str) -> Iterator[Entry]:
        """As `list`, from the first key beyond `after` ("": from the first)."""
        ...


def check_key(key: str) -> str:
    """The key itself. InvalidInput unless it is relative, printable and has neither empty nor dotted-out segments."""
    parts = key.split("/")
    if not key.isprintable() or "\\" in key or parts[0] == RESERVED or any(part in ("", ".", "..") for part in parts):
        raise InvalidInput(
            f"store key {key!r} is not allowed: give segments of printable characters joined by single slashes, "
            f"none of them '.' or '..', and the first not {RESERVED!r}"
        )
    return key


def check_prefix(prefix: str) -> str:
    """The prefix itself. InvalidInput if no key can start with it."""
    folder = prefix.rpartition("/")[0]
    if folder or prefix.startswith("/"):
        check_key(folder)
    return prefix


def probe(store: Store) -> None:
    """Refuse a store that cannot commit: StoreError unless a conditional write leaves an existing object alone."""
    key, first, second = f"{PROBES}{uuid.uuid4().hex}", b"first", b"second"
    # False is no failure yet: a retried write may meet its own first try. What counts is what can be read.
    store.put(key, first, if_absent=True)
    try:
        if store.get(key) != first:
            raise StoreError(f"store {store.url} does not return what was just written to it; use another store")
        if store.put(key, second, if_absent=True) or store.get(key) != first:
            raise StoreError(
                f"store {store.url} ignores conditional writes (If-None-Match): mad_ray cannot commit safely there; "
                "use a store that honours them: a directory, Amazon S3, or a recent MinIO or Ceph"
            )
    finally:
        store.delete(key)
