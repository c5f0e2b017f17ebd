"""Decoded data sets: arrays in a folder of this machine, opened as mapped memory, however large they are.

They are made part by part, here or by whoever has many processes (engine/dataset.py), and are the same either way.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeGuard

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.samples import Event
from mad_ray.downloads import cache_folder

# Decoded bytes of a part, and rows at most: small enough for memory, large enough to be worth a task.
PART_BYTES, PART_ROWS = 16 << 20, 2048


class Bad(NamedTuple):
    """A row that cannot be used: where it lies, in which way it is bad, and what was found."""

    name: str
    problem: str
    found: str


class Part(NamedTuple):
    """Decoded rows: x [n, *event], label [n] int32; those of bad rows are of no meaning."""

    x: np.ndarray
    label: np.ndarray
    bad: list[Bad]


class Decodable(Protocol):
    """A source whose rows are decoded once, before anything reads them."""

    @property
    def event(self) -> Event: ...

    @property
    def dataset(self) -> str:
        """The name under which the decoded rows are kept: equal for equal content and equal rules."""
        ...

    @property
    def n_decoded(self) -> int:
        """Rows, held-out ones included."""
        ...

    def decode(self, start: int, stop: int) -> Part:
        """Rows start..stop."""
        ...

    def refusal(self, bad: list[Bad]) -> InvalidInput:
        """What to say of rows that cannot be used, one at least."""
        ...


def is_decodable(source: Any) -> TypeGuard[Decodable]:
    """Whether it is a source of that kind. By its class: asking the source itself for all this could be dear."""
    return hasattr(type(source), "dataset")


def bounds_of(source: Decodable) -> list[tuple[int, int]]:
    """The rows start..stop of every part."""
    row_bytes = int(np.prod(source.event.shape)) * np.dtype(source.event.dtype).itemsize
    size = min(PART_ROWS, max(1, PART_BYTES // row_bytes))
    return [(start, min(start + size, source.n_decoded)) for start in range(0, source.n_decoded, size)]


@dataclass(frozen=True)
class Cached:
    """The decoded rows of a source in this machine's cache."""

    source: Decodable

    @property
    def folder(self) -> Path:
        return cache_folder() / "datasets" / self.source.dataset

    @property
    def is_there(self) -> bool:
        return self.folder.is_dir()

    def open(self) -> tuple[np.ndarray, np.ndarray]:
        """(x [n, *event], label [n]); x is mapped memory, of which only those rows are read that are asked for."""
        try:
            x = np.load(self.folder / "x.npy", mmap_mode="r", allow_pickle=False)
            label = np.load(self.folder / "label.npy", allow_pickle=False)
            if x.shape != (self.source.n_decoded, *self.source.event.shape) or x.dtype != self.source.event.dtype:
                raise ValueError(f"{x.dtype} {list(x.shape)}")
        except (OSError, ValueError, EOFError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InvalidInput(
                f"{self.folder}: these decoded images cannot be read ({reason}); remove the folder, and they are made "
                "again"
            ) from error
        return x.view(np.ndarray), label

    def write(self, parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Keep the parts (x, label), in order. Visible as a whole, and only then; whoever was first is kept."""
        event, n = self.source.event, self.source.n_decoded
        with self._temporary() as folder:
            labels = []
            with open(folder / "x.npy", "xb") as file:
                np.lib.format.write_array_header_1_0(file, _header((n, *event.shape), event.dtype))
                for x, label in parts:
                    # Written, not mapped: of a full disk a write tells, where mapped memory kills.
                    file.write(np.ascontiguousarray(x, event.dtype).data)
                    labels.append(label)
                file.flush()
                os.fsync(file.fileno())
            label = np.concatenate(labels).astype(np.int32)
            assert len(label) == n, "parts make up the whole"
            np.save(folder / "label.npy", label)
            # Onto a folder that holds something, renaming fails: then somebody else was faster.
            with contextlib.suppress(OSError):
                os.rename(folder, self.folder)
        if not self.is_there:
            raise _cannot_keep(self.folder, "the folder cannot be renamed")

    def make(self) -> None:
        """Decode here, one part after another. InvalidInput if any row is bad: all of them are looked at."""
        bad: list[Bad] = []

        def parts() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for start, stop in bounds_of(self.source):
                part = self.source.decode(start, stop)
                bad.extend(part.bad)
                yield part.x, part.label
            if bad:
                raise self.source.refusal(bad)

        self.write(parts())

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=self.folder.parent, prefix=f".{self.folder.name}-"))
        except OSError as error:
            raise _cannot_keep(self.folder, error.strerror or str(error)) from error
        try:
            yield folder
        except OSError as error:
            raise _cannot_keep(self.folder, error.strerror or str(error)) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _header(shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    return {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}


def _cannot_keep(folder: Path, reason: str) -> InvalidInput:
    return InvalidInput(
        f"{folder}: the decoded images cannot be kept there ({reason}); let MAD_RAY_CACHE name a folder on a disk with "
        "room"
    )
