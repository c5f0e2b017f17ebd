"""Image files by name: in a folder, or in a zip."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.data.catalogue import Reading, Row, Run, require_no_splits, runs_of
from mad_ray.data.files import is_hidden
from mad_ray.data.listed import Files, Stat

# What lies beside images without being one. Everything else must be an image, or is refused when it is decoded: a
# picture in a format that cannot be read shall not go missing unseen.
TEXTS = frozenset(
    ("txt", "md", "rst", "readme", "license", "bib", "xml", "html", "htm", "pdf", "log", "ini", "py", "sh")
)
TABLES = frozenset(("csv", "tsv", "json", "jsonl", "ndjson", "yaml", "yml", "toml", "db", "sqlite", "sha256", "md5"))
ARCHIVES = frozenset(("mat", "npy", "npz", "pkl", "pt", "ipynb", "zip", "gz", "tar", "tgz", "7z", "url", "lnk"))
COMPANIONS = TEXTS | TABLES | ARCHIVES
# Images in memory at once while a folder is read: what is slow of S3 is waiting.
N_AHEAD = 32


class Named:
    """What folder and zip share: names -> parts and classes."""

    def __init__(self, names: Sequence[str], reading: Reading) -> None:
        self.images = [name for name in names if _suffix(name) not in COMPANIONS and not is_hidden(name)]
        if not self.images:
            raise InvalidInput(f"{reading.where} holds no image; correct it")
        below = _common_folder(self.images, reading.parts)
        self._below = [name[below:] for name in self.images]
        self._reading = reading
        if not reading.parts:
            require_no_splits({name.partition("/")[0] for name in self._below if "/" in name}, reading.where)

    @cached_property
    def runs(self) -> list[Run]:
        if not self._reading.parts:
            return [Run("", 0, len(self.images))]
        return runs_of([(name.partition("/")[0] if "/" in name else "", 1) for name in self._below])

    @cached_property
    def classes(self) -> Sequence[str | int]:
        """Folder names, sorted; those of all parts together."""
        if self._reading.label == "none":
            return []
        found = [self._class(i) for i in range(len(self.images))]
        bare = [name for name, label in zip(self._below, found, strict=True) if label is None]
        if bare and len(bare) < len(found):
            raise InvalidInput(
                f"{self._reading.where}: {bare[0]} lies in no class folder, others do ({len(bare):,} such images): "
                "move it into one, or set data.label: none"
            )
        return sorted({label for label in found if label is not None})

    def _class(self, i: int) -> str | None:
        """The first folder, below the part."""
        name = self._below[i].partition("/")[2] if self._reading.parts else self._below[i]
        folder, slash, _ = name.partition("/")
        return folder if slash and self._reading.label != "none" else None

    def _row(self, i: int, data: bytes, problem: str = "") -> Row:
        return Row(self._below[i], data, self._class(i), problem)


class Folder(Named):
    """A folder of image files; its subfolders are their classes (data/catalogue.py: Catalogue)."""

    def __init__(self, files: Files, stats: Sequence[Stat], reading: Reading) -> None:
        super().__init__([stat.name for stat in stats], reading)
        images = set(self.images)
        self.files = [stat for stat in stats if stat.name in images]
        self._source = files

    def read(self, rows: np.ndarray) -> Iterator[Row]:
        with ThreadPoolExecutor(N_AHEAD) as pool:
            for some in np.split(rows, range(N_AHEAD, len(rows), N_AHEAD)):
                yield from map(self._row, some.tolist(), pool.map(self._read_one, some.tolist()))

    def _read_one(self, i: int) -> bytes:
        with self._source.open(self.images[i]) as file:
            return file.read()


class Zip(Named):
    """A zip of image files, ruled as a folder is (data/catalogue.py: Catalogue). Reads only what is asked for."""

    def __init__(self, files: Files, stats: Sequence[Stat], reading: Reading) -> None:
        self.files = stats
        try:
            self._zip = zipfile.ZipFile(files.open(stats[0].name))
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise InvalidInput(
                f"{reading.where}: not a whole zip ({error}); make it again, or fetch it again"
            ) from error
        super().__init__(sorted(info.filename for info in self._zip.infolist() if not info.is_dir()), reading)

    def read(self, rows: np.ndarray) -> Iterator[Row]:
        for i in rows.tolist():
            try:
                yield self._row(i, self._zip.read(self.images[i]))
            # RuntimeError: a password is needed.
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
                yield self._row(i, b"", " ".join(str(error).split()))


def _suffix(name: str) -> str:
    last = name.rpartition("/")[2]
    return last.rpartition(".")[2].lower() if "." in last else last.lower()


def _common_folder(names: Sequence[str], parts: Sequence[str]) -> int:
    """The length of the folders that all names lie in: an archive often wraps all it holds in one. A part is kept."""
    first, last = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    folders = first[:same].rpartition("/")[0].split("/")
    wrapping = next((i for i, folder in enumerate(folders) if folder in parts), len(folders))
    return sum(len(folder) + 1 for folder in folders[:wrapping] if folder)
