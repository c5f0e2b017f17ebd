"""A store that is read and never written: what is put lies in another one on top of it."""

from collections.abc import Iterator

from mad_ray.core.errors import Missing
from mad_ray.ledger.store import Entry, Store


class Overlay:
    """Objects of `top`, and below them those of `base`, which stays as it is."""

    def __init__(self, base: Store, top: Store) -> None:
        self.base, self.top = base, top
        self.url = top.url

    def get(self, key: str) -> bytes:
        try:
            return self.top.get(key)
        except Missing:
            return self.base.get(key)

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        if if_absent and self._is_below(key):
            return False
        return self.top.put(key, data, if_absent=if_absent)

    def list(self, prefix: str) -> Iterator[Entry]:
        found = {entry.key: entry for store in (self.base, self.top) for entry in store.list(prefix)}
        return iter([found[key] for key in sorted(found)])

    def delete(self, key: str) -> None:
        """Of the top only: what lies below shows again."""
        self.top.delete(key)

    def _is_below(self, key: str) -> bool:
        try:
            self.base.get(key)
        except Missing:
            return False
        return True
