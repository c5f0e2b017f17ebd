"""A process that kills itself, with SIGKILL, at the k-th thing it does."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from mad_ray.engine.local import LocalRuntime
from mad_ray.ledger.store import Entry, Store

T = TypeVar("T")
BEFORE, MIDDLE, AFTER = "before", "in the middle of", "after"
VERBS = ("get", "put", "list", "delete")


@dataclass(frozen=True)
class Doom:
    """Die at operation k (1, 2, ...): before it, after it, or, of a put, with the data on disk and no name yet."""

    k: int
    moment: str = BEFORE


@dataclass(frozen=True)
class Line:
    """One thing that a process did: an operation on the store, or "fit" (one begins), "step" (of a fit), "done"."""

    at_s: float
    verb: str
    key: str


class Diary:
    """Counts what the process does, writes it down where a kill cannot undo it, and dies when the time has come."""

    def __init__(self, path: Path, doom: Doom | None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._doom, self._k = doom, 0
        # Ledgers are looked at by several threads at once.
        self._lock = threading.Lock()

    def note(self, verb: str, key: str) -> None:
        """Write a line. The monotonic clock is that of the machine, the same in all processes."""
        os.write(self._file, f"{time.monotonic():.4f} {verb} {key}\n".encode())

    def act(self, verb: str, key: str, act: Callable[[], T]) -> T:
        """Do it, unless this is the end."""
        with self._lock:
            self._k += 1
            self.note(verb, key)
            doomed = self._doom if self._doom is not None and self._doom.k == self._k else None
        if doomed and doomed.moment == BEFORE:
            die()
        if doomed and doomed.moment == MIDDLE:
            # What gives a complete temporary file its name.
            os.link = os.replace = die  # type: ignore[assignment]
        try:
            found = act()
            if verb == "put" and "/ledger/" in key:
                self.note("done", key)
            return found
        finally:
            # Whether it found something or raised: it is over.
            if doomed:
                die()


class DiaryStore:
    """A store whose every operation goes through a diary."""

    def __init__(self, store: Store, diary: Diary) -> None:
        self._store, self._diary, self.url = store, diary, store.url

    def get(self, key: str) -> bytes:
        return self._diary.act("get", key, lambda: self._store.get(key))

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        return self._diary.act("put", key, lambda: self._store.put(key, data, if_absent=if_absent))

    def list(self, prefix: str) -> Iterator[Entry]:
        return self._diary.act("list", prefix, lambda: iter(list(self._store.list(prefix))))

    def delete(self, key: str) -> None:
        self._diary.act("delete", key, lambda: self._store.delete(key))


def watch_fits(diary: Diary) -> None:
    """From now on every fit of this process, and every step that it tells of, is in the diary."""
    fit = LocalRuntime.fit

    def watched(self: LocalRuntime, job: Any, report: Any) -> Any:
        name = f"{job.cohort.id} {job.generation}"
        diary.note("fit", name)

        def told(stage: str, generation: int, share: float) -> None:
            diary.act("step", name, lambda: report(stage, generation, share))

        return fit(self, job, told)

    LocalRuntime.fit = watched  # type: ignore[method-assign]


def die(*_: Any, **__: Any) -> NoReturn:
    """As `kill -9` does it: nothing is flushed, nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def read_diary(path: Path) -> list[Line]:
    """In the order of time."""
    lines = []
    for text in path.read_text().splitlines():
        at_s, verb, key = text.split(" ", 2)
        lines.append(Line(float(at_s), verb, key))
    return lines


def operations(diary: list[Line]) -> list[Line]:
    """Those at which a process can be doomed."""
    return [line for line in diary if line.verb in (*VERBS, "step")]
