"""Images in a Hugging Face dataset directory: Arrow streams, as `datasets` writes them by save_to_disk."""

import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from mad_ray.core.errors import InvalidInput
from mad_ray.data.catalogue import Reading
from mad_ray.data.listed import Files, Stat
from mad_ray.data.tables import Tables


class ArrowTables(Tables):
    """Rows of the Arrow files that each state.json lists, folder by folder; the folders of a DatasetDict are its parts.

    Other Arrow files that lie there are caches of `datasets`, and no data.
    """

    def __init__(self, files: Files, stats: Sequence[Stat], reading: Reading) -> None:
        by_name = {stat.name: stat for stat in stats}
        wanted = [name for state in by_name if _is_state(state) for name in _listed(files, state, reading)]
        for name in wanted:
            if name not in by_name:
                raise InvalidInput(f"{reading.where}: {name}, listed in state.json, is not there; save it again")
        if not wanted:
            raise InvalidInput(f"{reading.where}: no state.json there lists an Arrow file; save the data set again")
        self._copy: tuple[int, Any] | None = None
        super().__init__(files, [by_name[name] for name in wanted], reading)

    def _part(self, name: str) -> str:
        return name.rpartition("/")[0].rpartition("/")[2]

    def _length(self, i: int) -> int:
        return sum(len(batch) for batch in self._stream(i))

    def _schema_of(self, i: int) -> pa.Schema:
        with self._clear_errors(i):
            return pa.ipc.open_stream(self._map(i)).schema

    def _labels(self, i: int) -> set[Any]:
        return {value for batch in self._stream(i) for value in batch.column(self._label).unique().to_pylist()}

    def _batches(self, i: int, rows: np.ndarray, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
        first = 0
        for batch in self._stream(i):
            if np.any((rows >= first) & (rows < first + len(batch))):
                yield first, batch
            first += len(batch)

    def _stream(self, i: int) -> Iterator[pa.RecordBatch]:
        with self._clear_errors(i):
            yield from pa.ipc.open_stream(self._map(i))

    def _map(self, i: int) -> pa.NativeFile:
        """The file as mapped memory: what is passed over is not read.

        One that lies elsewhere is copied to a temporary file first, since a stream is walked through from its start,
        once for every part that is decoded.
        """
        with self._source.open(self.files[i].name) as raw:
            if isinstance(raw, io.BufferedReader) and isinstance(raw.raw, io.FileIO):
                return pa.memory_map(str(raw.name))
            if self._copy is None or self._copy[0] != i:
                # Open for as long as it is the newest: closing it removes it.
                self._copy = i, tempfile.NamedTemporaryFile(prefix="mad-ray-", suffix=".arrow")  # noqa: SIM115
                shutil.copyfileobj(raw, self._copy[1])
                self._copy[1].flush()
        return pa.memory_map(self._copy[1].name)

    @contextmanager
    def _clear_errors(self, i: int) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, KeyError) as error:
            reason = " ".join(str(error).split())[:150]
            raise InvalidInput(
                f"{self._reading.where}: {self.files[i].name} is no whole Arrow stream ({reason}); save it again"
            ) from error


def _is_state(name: str) -> bool:
    return name.rpartition("/")[2] == "state.json"


def _listed(files: Files, state: str, reading: Reading) -> list[str]:
    """The Arrow files that a state.json lists, by their names below the path."""
    try:
        with files.open(state) as file:
            named = [entry["filename"] for entry in json.load(file)["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{reading.where}: {state} is none that `datasets` writes ({type(error).__name__}: {error}); save it again"
        ) from error
    folder = state.rpartition("state.json")[0]
    return [f"{folder}{name}" for name in named]
