"""A store in a directory: one file per object, complete and on disk before it has its name."""

import errno
import os
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mad_ray.core.errors import InvalidInput, Missing, StoreError, StoreFull, Transient
from mad_ray.ledger.store import RESERVED, Entry, check_key, check_prefix

STALE_S = 86400.0
_FULL = {errno.ENOSPC: "no space is left on its disk", errno.EDQUOT: "its disk quota is used up"}
# What a network file system says while its server is away.
_TRANSIENT = {errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR}
_REMEDIES = {
    errno.EACCES: "give this user the right to read and write there",
    errno.EPERM: "give this user the right to write there; the file system must know hard links",
    errno.EROFS: "the file system is mounted read-only",
    errno.ENOTDIR: "a file stands where a directory is needed; move it, or correct run.store",
    errno.EISDIR: "a directory stands where an object belongs; move it",
    errno.EXDEV: "the store must lie on one file system",
    errno.ENOTSUP: "the file system has no hard links, so mad_ray cannot commit safely there; use another",
}


class LocalStore:
    """A directory path or file:// URL; made on the first write. No key may also be the folder of another key."""

    def __init__(self, url: str) -> None:
        self.root = _url_to_path(url)
        self.url = str(self.root)
        self._swept = False

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with self._clear_errors(key):
            try:
                return path.read_bytes()
            except (FileNotFoundError, IsADirectoryError):
                raise Missing(f"{self.url}: no object {key}") from None

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        path = self._path(key)
        with self._clear_errors(key), self._temporary(data) as temporary:
            _make_folder(path.parent)
            if not if_absent:
                os.replace(temporary, path)
            elif not _link(temporary, path):
                return False
            _sync_folder(path.parent)
        return True

    def list(self, prefix: str) -> Iterator[Entry]:
        folder = check_prefix(prefix).rpartition("/")[0]
        with self._clear_errors(prefix):
            yield from _walk(self.root / folder, f"{folder}/" if folder else "", prefix)

    def list_after(self, prefix: str, after: str) -> Iterator[Entry]:
        return (entry for entry in self.list(prefix) if entry.key > after)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._clear_errors(key), suppress(FileNotFoundError):
            path.unlink()

    def _path(self, key: str) -> Path:
        path, root = self.root / check_key(key), os.path.realpath(self.root)
        if not os.path.realpath(path).startswith(f"{root}{os.sep}"):
            raise StoreError(
                f"store {self.url}, object {key}: a link leads out of the store; remove the link, or let run.store "
                "name the folder itself"
            )
        return path

    @contextmanager
    def _temporary(self, data: bytes) -> Iterator[Path]:
        """The data in a file of its own, flushed to disk; the file is gone afterwards."""
        folder = self.root / RESERVED
        _make_folder(folder)
        self._sweep(folder)
        path = folder / uuid.uuid4().hex
        try:
            with open(path, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield path
        finally:
            with suppress(OSError):
                path.unlink()

    def _sweep(self, folder: Path) -> None:
        """Remove what killed writers left behind, once per store opened."""
        if self._swept:
            return
        self._swept = True
        for path in folder.iterdir():
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - STALE_S:
                    path.unlink()

    @contextmanager
    def _clear_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._translate(error, key) from error

    def _translate(self, error: OSError, key: str) -> StoreError:
        where = f"store {self.url}, object {key}"
        if error.errno in _FULL:
            remedy = "make room, or move the store and correct run.store; then run the same command again"
            return StoreFull(f"{where}: {_FULL[error.errno]}; {remedy}")
        reason = error.strerror or str(error)
        if error.errno in _TRANSIENT:
            return Transient(f"{where}: {reason}")
        return StoreError(f"{where}: {reason}; {_REMEDIES.get(error.errno or 0, 'check the path in run.store')}")


def _url_to_path(url: str) -> Path:
    if not url.startswith("file:"):
        return Path(os.path.abspath(os.path.expanduser(url)))
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise InvalidInput(f"store {url}: a file URL has three slashes and an absolute path: file:///data/store")
    return Path(os.path.abspath(unquote(parts.path)))


def _link(temporary: Path, path: Path) -> bool:
    """Give the file its name, unless the name is taken: rename would overwrite, link does not."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    return True


def _make_folder(path: Path) -> None:
    """The folder and those above it, their names on disk as well."""
    if path.is_dir():
        return
    if path != path.parent:
        _make_folder(path.parent)
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
        return
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """A new name is on disk only once its folder is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _walk(folder: Path, at: str, prefix: str) -> Iterator[Entry]:
    """Objects below a folder whose keys start with `at`; files that vanish meanwhile are passed over."""
    try:
        with os.scandir(folder) as found:
            # As keys sort: the names below "a/" come after "a-b" and before "a0".
            entries = sorted((entry.name + "/" * entry.is_dir(follow_symlinks=False), entry) for entry in found)
    except FileNotFoundError:
        return
    for name, entry in entries:
        key = at + name
        if not key.startswith(prefix) or key == f"{RESERVED}/":
            continue
        if name.endswith("/"):
            yield from _walk(folder / entry.name, key, prefix)
            continue
        # What is no file, a link say, is nothing that was put here.
        with suppress(FileNotFoundError):
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                continue
            yield Entry(key, status.st_size, status.st_mtime)
