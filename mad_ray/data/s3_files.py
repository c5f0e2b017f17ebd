"""Files in an S3 bucket, Amazon's or any server's that speaks the same protocol, through pyarrow."""

import hashlib
import io
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, BinaryIO, TypeVar
from urllib.parse import parse_qsl, urlsplit

from pyarrow import NativeFile, fs

from mad_ray.core.errors import InvalidInput
from mad_ray.core.patience import ATTEMPTS, ATTEMPTS_AT_FIRST, waits_s
from mad_ray.data.listed import Stat

_QUERY = ("endpoint_url", "region", "timeout_s")
TIMEOUT_S, CONNECT_S = 60.0, 10.0
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_BUFFER_BYTES = 1 << 20
# Of Arrow's errors those that asking again may cure: all are OSErrors, and only their text tells them apart.
_PASSING = re.compile(
    r"NETWORK_CONNECTION|INTERNAL_FAILURE|SLOW_DOWN|SERVICE_UNAVAILABLE|THROTTLING|REQUEST_TIMEOUT|HTTP status (5|429)"
)
_MD5 = re.compile(r"[0-9a-f]{32}")
_NO_CONTENT = (b"HTTP/1.", b"<?xml", b"<Error", b"<!DOCTYPE", b"<html")
# So often what the MD5 does not vouch for must come alike; and what begins as errors and other servers' pages do.
ALIKE, ALIKE_ERRORS = 2, 6
T = TypeVar("T")


class _Doubtful(OSError):
    """An answer that cannot be the one to what was asked."""


class S3Files:
    """s3://BUCKET/PREFIX[?endpoint_url=URL][&region=NAME][&timeout_s=60]: a prefix, or one object.

    timeout_s: how long an answer may take. What the URL leaves out comes from where boto3 looks too: AWS_ACCESS_KEY_ID,
    AWS_ENDPOINT_URL, AWS_REGION, profiles, the machine's role. (data/listed.py: Files)
    """

    def __init__(self, url: str, field: str) -> None:
        self._said = f"{field}={url}"
        bucket, prefix, options = _split(url, self._said)
        self.root = f"{bucket}/{prefix}".rstrip("/")
        endpoint = options.get("endpoint_url") or next(filter(None, map(os.environ.get, _ENDPOINTS)), None)
        # Without credentials that the environment may have put into the endpoint.
        self.url = f"s3://{self.root} at {(endpoint or 'Amazon S3').rpartition('@')[2]}"
        self._options = endpoint, options.get("region"), bucket, _seconds(options, self._said)
        self._shared: fs.S3FileSystem | None = None
        kind = self._patiently(lambda system: system.get_file_info(self.root).type, ATTEMPTS_AT_FIRST)
        if kind == fs.FileType.NotFound:
            raise InvalidInput(f"{self._said}: there is nothing; correct it (asked was {self.url})")
        self.is_file = kind == fs.FileType.File

    def stats(self) -> list[Stat]:
        if self.is_file:
            info = self._patiently(lambda system: system.get_file_info(self.root))
            return [self._stat(info, self.root.rpartition("/")[0])]
        return self._patiently(self._list)

    def open(self, name: str) -> BinaryIO:
        # Each read of it would be a request; archives are read in bits of a few bytes.
        return io.BufferedReader(_Remote(self, self._path(name)), _BUFFER_BYTES)

    def fingerprint(self, name: str) -> str:
        """The ETag, which asks for no byte of the content."""
        return self._patiently(lambda system: _etag(system, self._path(name)))

    def read(self, path: str, start: int, n: int | None) -> bytes:
        """Bytes start..start+n of an object, or all behind start.

        What may be no part of it is asked for until it has come alike often enough.
        """
        doubted: Counter[bytes] = Counter()

        def ask(system: fs.S3FileSystem) -> bytes:
            data, is_sure = _read(system, path, start, n)
            doubted[data] += 1
            if not is_sure and doubted[data] < (ALIKE_ERRORS if data.startswith(_NO_CONTENT) else ALIKE):
                raise _Doubtful("bytes that may be no part of it")
            return data

        return self._patiently(ask)

    def size(self, path: str) -> int:
        """Bytes of an object."""
        return self._patiently(lambda system: _size(system, path))

    def _list(self, system: fs.S3FileSystem) -> list[Stat]:
        found = system.get_file_info(fs.FileSelector(self.root, recursive=True))
        stats = [self._stat(info, self.root) for info in found if info.type == fs.FileType.File]
        if len({stat.name for stat in stats}) < len(stats):
            raise _Doubtful("a listing that names a file twice")
        return stats

    def _patiently(self, ask: Callable[[fs.S3FileSystem], T], attempts: int = ATTEMPTS) -> T:
        """The answer; Arrow itself asks a few times within a second or so, and this for as long as a store is asked."""
        with self._clear_errors():
            for wait in waits_s(attempts):
                try:
                    return ask(self._system())
                except OSError as error:
                    if not isinstance(error, _Doubtful) and not _PASSING.search(str(error)):
                        raise
                    time.sleep(wait)
            return ask(self._system())

    def _system(self) -> fs.S3FileSystem:
        """Over plain HTTP a new one for each question, since no answer to another can then be taken for its own."""
        if self._shared is not None:
            return self._shared
        system = _connect(*self._options)
        if not (self._options[0] or "").startswith("http://"):
            self._shared = system
        return system

    def _path(self, name: str) -> str:
        return self.root if self.is_file else f"{self.root}/{name}"

    @staticmethod
    def _stat(info: Any, folder: str) -> Stat:
        return Stat(info.path[len(folder) + 1 :], info.size, info.mtime_ns)

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InvalidInput(
                f"{self._said} cannot be read ({reason}); check the URL, AWS_ENDPOINT_URL and the credentials"
            ) from error


class _Remote(io.RawIOBase):
    """An object, read range by range."""

    def __init__(self, files: S3Files, path: str) -> None:
        self._files, self._path, self._at = files, path, 0

    @cached_property
    def _n(self) -> int:
        return self._files.size(self._path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset if whence == io.SEEK_SET else offset + (self._at if whence == io.SEEK_CUR else self._n)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        n = max(0, min(len(buffer), self._n - self._at))
        if n:
            buffer[:n] = self._files.read(self._path, self._at, n)
        self._at += n
        return n

    def readall(self) -> bytes:
        data = self._files.read(self._path, self._at, None)
        self._at += len(data)
        return data


def _etag(system: fs.S3FileSystem, path: str) -> str:
    with system.open_input_file(path) as file:
        return _etag_of(file)


def _size(system: fs.S3FileSystem, path: str) -> int:
    with system.open_input_file(path) as file:
        _etag_of(file)
        return file.size()


def _etag_of(file: NativeFile) -> str:
    """Every object has one: what has none is an error, or a page, that was told as a success."""
    try:
        return file.metadata()["ETag"].decode().strip('"')
    except KeyError:
        raise _Doubtful("an answer that is no object") from None


def _read(system: fs.S3FileSystem, path: str, start: int, n: int | None) -> tuple[bytes, bool]:
    """Bytes of an object, and whether they are surely its own.

    Arrow takes whatever body comes, even where it is shorter than what was asked for: an error told as a success, or
    the answer to another request. Of a whole object most servers tell the MD5; else such an answer's start shows.
    """
    with system.open_input_file(path) as file:
        etag, size = _etag_of(file), file.size()
        n = max(0, size - start) if n is None else n
        data = file.read_at(n, start)
    if len(data) != n:
        raise _Doubtful(f"{len(data)} bytes where {n} were asked for")
    if n == size and _MD5.fullmatch(etag):
        return data, hashlib.md5(data, usedforsecurity=False).hexdigest() == etag
    return data, not data.startswith(_NO_CONTENT)


def _seconds(options: dict[str, str], said: str) -> float:
    try:
        seconds = float(options.get("timeout_s", TIMEOUT_S))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InvalidInput(f"{said}: expected timeout_s in seconds, more than 0")
    return seconds


def _connect(endpoint: str | None, region: str | None, bucket: str, timeout_s: float = TIMEOUT_S) -> fs.S3FileSystem:
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    options: dict[str, Any] = {"connect_timeout": min(CONNECT_S, timeout_s), "request_timeout": timeout_s}
    if endpoint:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError("its endpoint is no http://HOST:PORT")
        options |= {"endpoint_override": parts.netloc, "scheme": parts.scheme, "region": region or "us-east-1"}
    else:
        # Only Amazon's buckets have a region to be asked for.
        options["region"] = region or fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(**options)


def _split(url: str, said: str) -> tuple[str, str, dict[str, str]]:
    """(bucket, prefix, options). InvalidInput, which repeats no secret, if malformed."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if "@" in parts.netloc + urlsplit(options.get("endpoint_url", "")).netloc:
        field = said.partition("=")[0]
        raise InvalidInput(f"{field} holds credentials; take them out and set AWS_ACCESS_KEY_ID and its kin instead")
    if unknown := sorted(set(options) - set(_QUERY)):
        raise InvalidInput(f"{said}: an s3:// URL has no option {unknown[0]!r}; known are {', '.join(_QUERY)}")
    if not parts.netloc:
        raise InvalidInput(f"{said}: expected s3://BUCKET/PREFIX")
    return parts.netloc, parts.path.strip("/"), options
