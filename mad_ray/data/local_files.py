"""Files on this machine's disks."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from mad_ray.core.errors import InvalidInput
from mad_ray.data.listed import Stat


class LocalFiles:
    """A folder, or one file, at a path or file:// URL (data/files.py: Files)."""

    def __init__(self, path: str, field: str) -> None:
        self._said = f"{field}={path}"
        self.root = _path_of(path, self._said)
        self.url = str(self.root)
        with self._clear_errors():
            self.is_file = not _is_folder(self.root)

    def stats(self) -> list[Stat]:
        with self._clear_errors():
            return [_stat(self.root.name, self.root)] if self.is_file else list(_walk(self.root))

    def open(self, name: str) -> BinaryIO:
        with self._clear_errors():
            return open(self._path(name), "rb")

    def fingerprint(self, name: str) -> str:
        with self._clear_errors(), open(self._path(name), "rb") as file:
            return hashlib.file_digest(file, _md5).hexdigest()

    def _path(self, name: str) -> Path:
        return self.root if self.is_file else self.root / name

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise InvalidInput(f"{self._said}: there is no {error.filename}; correct the path") from error
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise InvalidInput(f"{self._said} cannot be read ({reason}); mend that, or correct the path") from error


def _md5():
    # As S3 fingerprints objects; nobody is kept out by it, so that guarded machines may allow it.
    return hashlib.md5(usedforsecurity=False)


def _path_of(path: str, said: str) -> Path:
    if not path.startswith("file:"):
        return Path(os.path.abspath(os.path.expanduser(path)))
    parts = urlsplit(path)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise InvalidInput(f"{said}: a file URL has three slashes and an absolute path: file:///data/images")
    return Path(os.path.abspath(unquote(parts.path)))


def _is_folder(path: Path) -> bool:
    """FileNotFoundError if there is nothing, where Path.is_dir would say no."""
    path.stat()
    return path.is_dir()


def _walk(root: Path) -> Iterator[Stat]:
    """Every file below, through links too; a folder that a link leads back to is entered once."""
    entered: set[tuple[int, int]] = set()
    waiting = [(root, "")]
    while waiting:
        folder, at = waiting.pop()
        status = folder.stat()
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as found:
            for entry in found:
                if entry.is_dir():
                    waiting.append((Path(entry.path), f"{at}{entry.name}/"))
                # Of a link to nowhere asking for its status is an error, as it should be.
                elif entry.is_file() or not entry.stat():
                    yield _stat(at + entry.name, entry)


def _stat(name: str, entry: os.DirEntry[str] | Path) -> Stat:
    status = entry.stat()
    return Stat(name, status.st_size, status.st_mtime_ns)
