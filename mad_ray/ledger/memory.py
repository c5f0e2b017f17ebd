"""A store in this process's memory, for tests and trials."""

import time
import uuid
from collections.abc import Iterator
from threading import Lock

from mad_ray.core.errors import Missing, StoreError
from mad_ray.ledger.store import Entry, check_key, check_prefix

_PROCESS = uuid.uuid4().hex
_MEMORIES: dict[str, dict[str, tuple[bytes, float]]] = {}
_LOCK = Lock()


class MemoryStore:
    """memory://NAME. All stores of one name in one process are the same memory; nothing outlives the process."""

    def __init__(self, name: str) -> None:
        self.url = f"memory://{name}"
        self._name = name
        with _LOCK:
            self._objects = _MEMORIES.setdefault(name, {})

    def get(self, key: str) -> bytes:
        with _LOCK:
            if check_key(key) not in self._objects:
                raise Missing(f"{self.url}: no object {key}")
            return self._objects[key][0]

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        with _LOCK:
            if if_absent and check_key(key) in self._objects:
                return False
            self._objects[check_key(key)] = bytes(data), time.time()
            return True

    def list(self, prefix: str) -> Iterator[Entry]:
        check_prefix(prefix)
        with _LOCK:
            found = [Entry(key, len(data), at) for key, (data, at) in self._objects.items() if key.startswith(prefix)]
        yield from sorted(found, key=lambda entry: entry.key)

    def delete(self, key: str) -> None:
        with _LOCK:
            self._objects.pop(check_key(key), None)

    def __reduce__(self) -> tuple:
        return _reopen, (self._name, _PROCESS)


def _reopen(name: str, process: str) -> MemoryStore:
    """What a pickled MemoryStore becomes. StoreError in another process, where its objects do not exist."""
    if process != _PROCESS:
        raise StoreError(f"memory://{name} lives in one process only; set run.store to a directory or an s3:// URL")
    return MemoryStore(name)
