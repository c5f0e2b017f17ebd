"""Images in Parquet files: one, or a folder of them."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mad_ray.core.errors import InvalidInput
from mad_ray.data.catalogue import Reading
from mad_ray.data.listed import Files, Stat
from mad_ray.data.tables import Tables

# Images in memory at once.
BATCH = 128
# Files whose ends are read at once: of files on S3 most of it is waiting.
N_AT_ONCE = 16
_SHARD = re.compile(r"(?:.*/)?(.+?)-\d+-of-\d+\.parquet")


class ParquetTables(Tables):
    """Rows of Parquet files in the order of their names."""

    def __init__(self, files: Files, stats: Sequence[Stat], reading: Reading) -> None:
        super().__init__(files, [stat for stat in stats if stat.name.endswith(".parquet")], reading)

    def _part(self, name: str) -> str:
        """data/train-00000-of-00002.parquet, train/0.parquet, train.parquet: all of part train."""
        shard = _SHARD.fullmatch(name)
        if shard:
            return shard[1]
        folder, slash, _ = name.partition("/")
        return folder if slash else name.removesuffix(".parquet")

    def _count(self) -> list[int]:
        with ThreadPoolExecutor(N_AT_ONCE) as pool:
            return list(pool.map(self._length, range(len(self.files))))

    def _length(self, i: int) -> int:
        with self._open(i) as file:
            return file.metadata.num_rows

    def _schema_of(self, i: int) -> pa.Schema:
        with self._open(i) as file:
            return file.schema_arrow

    def _labels(self, i: int) -> set[Any]:
        with self._open(i) as file:
            return set(file.read(columns=[self._label]).column(0).unique().to_pylist())

    def _batches(self, i: int, rows: np.ndarray, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
        with self._open(i) as file:
            first = 0
            for group in range(file.num_row_groups):
                stop = first + file.metadata.row_group(group).num_rows
                if np.any((rows >= first) & (rows < stop)):
                    for batch in file.iter_batches(BATCH, [group], list(columns)):
                        yield first, batch
                        first += len(batch)
                first = stop

    @contextmanager
    def _open(self, i: int) -> Iterator[pq.ParquetFile]:
        name = self.files[i].name
        try:
            with self._source.open(name) as raw, pq.ParquetFile(raw) as file:
                yield file
        except (pa.ArrowException, OSError, KeyError) as error:
            reason = " ".join(str(error).split())[:150]
            raise InvalidInput(f"{self._reading.where}: {name} is no whole Parquet file ({reason})") from error
