"""Files in an S3 bucket, Amazon's or any server's that speaks the same protocol, through pyarrow."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

from pyarrow import fs

from mad_ray.core.errors import InvalidInput
from mad_ray.data.listed import Stat

_QUERY = ("endpoint_url", "region")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_BUFFER_BYTES = 1 << 20


class S3Files:
    """s3://BUCKET/PREFIX[?endpoint_url=URL][&region=NAME]: a prefix, or one object (data/listed.py: Files).

    What the URL leaves out comes from where boto3 looks too: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, AWS_REGION, profiles,
    the machine's role.
    """

    def __init__(self, url: str, field: str) -> None:
        self._said = f"{field}={url}"
        bucket, prefix, options = _split(url, self._said)
        self.root = f"{bucket}/{prefix}".rstrip("/")
        endpoint = options.get("endpoint_url") or next(filter(None, map(os.environ.get, _ENDPOINTS)), None)
        # Without credentials that the environment may have put into the endpoint.
        self.url = f"s3://{self.root} at {(endpoint or 'Amazon S3').rpartition('@')[2]}"
        with self._clear_errors():
            self._system = _connect(endpoint, options.get("region"), bucket)
            kind = self._system.get_file_info(self.root).type
        if kind == fs.FileType.NotFound:
            raise InvalidInput(f"{self._said}: there is nothing; correct it (asked was {self.url})")
        self.is_file = kind == fs.FileType.File

    def stats(self) -> list[Stat]:
        with self._clear_errors():
            if self.is_file:
                return [self._stat(self._system.get_file_info(self.root), self.root.rpartition("/")[0])]
            found = self._system.get_file_info(fs.FileSelector(self.root, recursive=True))
        return [self._stat(info, self.root) for info in found if info.type == fs.FileType.File]

    def open(self, name: str) -> BinaryIO:
        with self._clear_errors():
            file = self._system.open_input_file(self._path(name))
        # Each read of it would be a request; archives are read in bits of a few bytes.
        return io.BufferedReader(cast(io.RawIOBase, file), _BUFFER_BYTES)

    def fingerprint(self, name: str) -> str:
        """The ETag, which asks for no byte of the content."""
        with self._clear_errors(), self._system.open_input_file(self._path(name)) as file:
            return file.metadata()["ETag"].decode().strip('"')

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


def _connect(endpoint: str | None, region: str | None, bucket: str) -> fs.S3FileSystem:
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    options: dict[str, Any] = {"connect_timeout": 10, "request_timeout": 60}
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
