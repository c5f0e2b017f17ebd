"""MNIST from its four idx files: in a folder, or at a URL; checked against the digest of their content."""

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.samples import Event
from mad_ray.core.settings import STRICT
from mad_ray.data.source import Table, TableSource
from mad_ray.downloads import download, forget

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
PUBLISHED, N_TRAIN, N_TEST = Event((1, 28, 28), "uint8", 10), 60_000, 10_000
SHA256 = "e9914cff2ade526da2ab1ac60c072f9173cc53e35b9411692de8207cb1b9009d"


@dataclass(frozen=True)
class Mnist(TableSource):
    """28x28 grey digits of 10 classes: 60,000 to train on, 10,000 held out (the test set)."""

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "mnist"

    path: str = field(default="", metadata={"execution": True})
    """A folder with the four idx files (gzipped or not), or the http(s):// or file:// URL below which they lie."""
    sha256: str = SHA256
    """Digest of the content: SHA-256 over the four files' own SHA-256 (uncompressed, train images, train labels,
    test images, test labels). Give it where the files are not the published MNIST."""

    def __post_init__(self) -> None:
        # Workers have other working directories.
        if self.path and "://" not in self.path:
            object.__setattr__(self, "path", str(Path(self.path).expanduser().resolve()))

    @property
    def event(self) -> Event:
        return PUBLISHED if self._is_yet_to_come else super().event

    @property
    def n_rows(self) -> int | None:
        return N_TRAIN if self._is_yet_to_come else super().n_rows

    @property
    def n_held_out(self) -> int | None:
        return N_TEST if self._is_yet_to_come else super().n_held_out

    @property
    def _is_yet_to_come(self) -> bool:
        """Whether they are the published files at a URL: then they are known, and a plan need not download them."""
        return "://" in self.path and self.sha256.lower() == SHA256

    def _load(self) -> Table:
        if not self.path:
            raise InvalidInput("data.path is missing: mnist needs the folder, or the URL, of its four idx files")
        raw = [_read(self.path, name) for name in FILES]
        self._check(raw)
        x, label, held_x, held_label = (parse_idx(data, name) for data, name in zip(raw, FILES, strict=True))
        _check_pair(x, label, FILES[:2])
        _check_pair(held_x, held_label, FILES[2:])
        return Table(x[:, None], label.astype(np.int32), held_x[:, None], held_label.astype(np.int32))

    def _check(self, raw: list[bytes]) -> None:
        """InvalidInput unless the content is the one expected; what was downloaded is then not kept."""
        found = hashlib.sha256(b"".join(hashlib.sha256(data).digest() for data in raw)).hexdigest()
        if found != self.sha256.lower():
            for name in FILES if "://" in self.path else ():
                forget(_url(self.path, name))
            raise InvalidInput(
                f"data.path={self.path}: content digest {found} where data.sha256 expects {self.sha256}; "
                "fetch the files again, or set data.sha256 to the digest found if other data are meant"
            )


def _check_pair(x: np.ndarray, label: np.ndarray, names: tuple[str, ...]) -> None:
    if x.ndim != 3 or label.ndim != 1 or len(x) != len(label):
        raise InvalidInput(
            f"{names[0]} of shape {x.shape}, {names[1]} of {label.shape}: expected n images and as many labels"
        )


def parse_idx(data: bytes, name: str) -> np.ndarray:
    """An idx file of unsigned bytes -> array. InvalidInput if it is none, or cut short. Format: yann.lecun.com."""
    try:
        zero, kind, n_dims = struct.unpack(">HBB", data[:4])
        shape = struct.unpack(f">{n_dims}I", data[4 : 4 + 4 * n_dims])
    except struct.error as error:
        raise InvalidInput(f"{name}: not an idx file, {len(data)} bytes only") from error
    if zero != 0 or kind != 8 or len(data) != 4 + 4 * n_dims + int(np.prod(shape)):
        raise InvalidInput(f"{name}: not a whole idx file of unsigned bytes; fetch it again")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * n_dims).reshape(shape)


def _read(path: str, name: str) -> bytes:
    if "://" in path:
        url = _url(path, name)
        try:
            return _unpack(download(url, "data.path").read_bytes(), name)
        except InvalidInput:
            forget(url)
            raise
    for candidate in (Path(path) / f"{name}.gz", Path(path) / name):
        try:
            if candidate.is_file():
                return _unpack(candidate.read_bytes(), name)
        except OSError as error:
            raise InvalidInput(f"data.path={path}: {candidate.name} cannot be read ({error.strerror})") from error
    raise InvalidInput(f"data.path={path}: no {name}.gz there; mnist needs {', '.join(FILES)} (.gz or not)")


def _unpack(data: bytes, name: str) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{name}.gz: damaged ({error}); fetch it again") from error


def _url(path: str, name: str) -> str:
    return f"{path.rstrip('/')}/{name}.gz"
