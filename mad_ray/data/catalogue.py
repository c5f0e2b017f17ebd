"""What images a path holds: their number, parts and classes, and the bytes of any of them; whatever they lie in."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.data.files import is_hidden, open_files
from mad_ray.data.listed import Stat

SPLITS = frozenset(("train", "training", "test", "testing", "val", "valid", "validation", "dev"))


class Row(NamedTuple):
    """One image as it lies there. label: as written, None without one. problem: why there are no bytes, if so."""

    name: str
    data: bytes
    label: str | int | None
    problem: str = ""


class Run(NamedTuple):
    """Rows start..stop, which belong to the part of the data of that name; "" where there are no parts."""

    part: str
    start: int
    stop: int


class Catalogue(Protocol):
    """The images below a path, numbered 0, 1, ... in a fixed order."""

    @property
    def files(self) -> Sequence[Stat]:
        """The files that hold them, in their order."""
        ...

    @property
    def runs(self) -> Sequence[Run]:
        """All rows, in order."""
        ...

    @property
    def classes(self) -> Sequence[str | int]:
        """Every label there is, in the order of class numbers; empty where images carry none."""
        ...

    def read(self, rows: np.ndarray) -> Iterator[Row]:
        """The images of these row numbers [n], which must rise."""
        ...


class Reading(NamedTuple):
    """How to read: the settings of a source that a catalogue depends on."""

    path: str
    field: str
    image: str
    """The column that holds the images; "" if it shall be found."""
    label: str
    """The column that holds the labels; "" if it shall be found, "none" if images are to have none."""
    parts: tuple[str, ...]
    """The parts that are asked for by name; none: the data are a whole."""

    @property
    def where(self) -> str:
        """How messages begin."""
        return f"{self.field}={self.path}"


def open_catalogue(reading: Reading) -> Catalogue:
    """By what lies there: a zip, Parquet files, a Hugging Face dataset directory, or else an image folder.

    InvalidInput with one line if it holds no image.
    """
    files = open_files(reading.path, reading.field)
    stats = sorted(stat for stat in files.stats() if not is_hidden(stat.name))
    if any(_last(stat.name) in ("state.json", "dataset_dict.json") for stat in stats):
        from mad_ray.data.arrow_tables import ArrowTables

        return ArrowTables(files, stats, reading)
    if any(stat.name.endswith(".parquet") for stat in stats):
        from mad_ray.data.parquet_tables import ParquetTables

        return ParquetTables(files, stats, reading)
    from mad_ray.data.named_images import Folder, Zip

    if files.is_file:
        if not stats or not stats[0].name.lower().endswith(".zip"):
            raise InvalidInput(
                f"{reading.where} is one file, and neither .zip nor .parquet: give one of those, a "
                "folder of images, or a Hugging Face dataset directory (as save_to_disk writes it)"
            )
        return Zip(files, stats, reading)
    return Folder(files, stats, reading)


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def require_no_splits(parts: Collection[str], where: str) -> None:
    """InvalidInput where parts look like train and test: nobody should learn from images meant to be held out."""
    if len(parts) > 1 and SPLITS.issuperset(parts):
        train, test = sorted(parts, key=lambda name: not name.startswith("train"))[:2]
        raise InvalidInput(
            f"{where}: {', '.join(sorted(parts))} look like parts of the data: say which is held out, for example "
            f"data.part: {train} and data.held_out_part: {test}"
        )


def runs_of(parts: Sequence[tuple[str, int]]) -> list[Run]:
    """Runs of these (part, number of rows), one after another; neighbours of one part joined."""
    runs: list[Run] = []
    start = 0
    for part, n in parts:
        first = runs.pop().start if runs and runs[-1].part == part else start
        start += n
        runs.append(Run(part, first, start))
    return runs
