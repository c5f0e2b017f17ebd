"""Arrays laid one after another: in memory as long as they fit, else in a temporary file that reads like memory."""

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np

from mad_ray.core.errors import TrajectoryFailed

MEMORY_BYTES = 4 << 30
"""What a pile keeps in memory where nobody says otherwise (run.memory)."""
# Smaller rows, read in random order, would each make the system read ahead many times their size.
_SMALL_ROW_BYTES = 64 << 10


class Pile:
    """At most n rows, in the order in which they come: in memory if so many fit, else in a temporary file.

    The file has no name: it goes with the array, or with the process.
    """

    def __init__(self, n: int, memory_bytes: int = MEMORY_BYTES) -> None:
        self._n_most, self._memory_bytes = n, memory_bytes
        self._n = 0
        self._array = np.empty(0)
        self._file: IO[bytes] | None = None

    def add(self, rows: np.ndarray) -> None:
        """Lay rows [m, ...] on top. TrajectoryFailed if the disk cannot hold them."""
        if self._n == 0:
            self._open(rows)
        if self._file is None:
            self._array[self._n : self._n + len(rows)] = rows
        else:
            with self._clear_errors():
                self._file.write(np.ascontiguousarray(rows).data)
        self._n += len(rows)

    def whole(self) -> np.ndarray:
        """All rows [n, ...]; of a file only those are read that are asked for. Nothing can be added any more."""
        if self._file is None or self._n == 0:
            return self._array[: self._n]
        with self._clear_errors(), self._file as file:
            file.flush()
            # A copy if written to, so that the array passes for ordinary memory.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        if len(mapped) < self._n * _SMALL_ROW_BYTES and hasattr(mmap, "MADV_RANDOM"):
            mapped.madvise(mmap.MADV_RANDOM)
        return np.frombuffer(mapped, self._array.dtype).reshape(self._n, *self._array.shape[1:])

    def _open(self, rows: np.ndarray) -> None:
        """Choose, by what all n would take."""
        n_bytes = self._n_most * (rows.nbytes // max(1, len(rows)))
        if n_bytes <= self._memory_bytes:
            self._array = np.empty((self._n_most, *rows.shape[1:]), rows.dtype)
            return
        self._array = np.empty((0, *rows.shape[1:]), rows.dtype)
        with self._clear_errors():
            self._file = tempfile.TemporaryFile(prefix="mad-ray-rows-")  # noqa: SIM115

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrajectoryFailed(
                f"run.memory={self._memory_bytes >> 20}: D^t is larger, and {tempfile.gettempdir()} cannot hold it "
                f"({error.strerror}); make room there, let TMPDIR name another folder, or raise run.memory (MiB)"
            ) from error
