"""Inception: clean-fid's feature extractor, from weights that the user has or names."""

import hashlib
import tempfile
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.downloads import cache_folder, download, forget
from mad_ray.steady import in_batches

if TYPE_CHECKING:
    import torch

N_FEATURES = 2048
WEIGHTS_NAME = "inception-2015-12-05.pt"
WEIGHTS_URL = f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{WEIGHTS_NAME}"
_SCHEMES = ("http", "https", "file")
_BATCH = 32


class Inception:
    """Extractor: 2048 features of InceptionV3 as clean-fid computes them (Parmar et al. 2022, mode "clean")."""

    def __init__(self, weights: str | None = None, sha256: str | None = None, device: str = "cpu") -> None:
        """weights: a path or an http(s) URL, kept in the cache once loaded; None: the cache, under clean-fid's name.

        sha256: what the file's digest in hex must be. InvalidInput where there are no weights, or not these.
        """
        self.device = device
        self.model = _load(_found(weights, sha256), sha256, device)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x [n, c, h, w] uint8, c = 1 or 3 -> [n, 2048] float32. Each image is resized by PIL's bicubic to 299x299."""
        if x.ndim != 4 or x.shape[1] not in (1, 3) or x.dtype != np.uint8:
            raise InvalidInput(
                f"metrics.features=inception needs uint8 images [n, 1 or 3, h, w], found {x.dtype} {list(x.shape)}; "
                "take features: identity"
            )
        return in_batches(self._batch, x, _BATCH)

    def _batch(self, x: np.ndarray) -> np.ndarray:
        import torch
        from cleanfid.resize import build_resizer

        resize = build_resizer("clean")
        colour = np.broadcast_to(x, (len(x), 3, *x.shape[2:])).transpose(0, 2, 3, 1)
        images = np.stack([resize(image) for image in colour]).transpose(0, 3, 1, 2)
        with torch.no_grad():
            return self.model(torch.from_numpy(np.ascontiguousarray(images)).to(self.device)).cpu().numpy()


def _found(weights: str | None, sha256: str | None) -> Path:
    """The file that holds the weights, downloaded first where `weights` is a URL that the cache does not have."""
    if weights is not None and urllib.parse.urlsplit(weights).scheme in _SCHEMES:
        return _downloaded(weights, sha256)
    path = cache_folder() / WEIGHTS_NAME if weights is None else Path(weights).expanduser()
    if not path.is_file():
        raise InvalidInput(
            f"metrics.features=inception needs clean-fid's Inception weights ({WEIGHTS_NAME}), found none at {path}: "
            f"download {WEIGHTS_URL} and set metrics.weights"
        )
    return path


def _downloaded(url: str, sha256: str | None) -> Path:
    path = download(url, "metrics.weights")
    try:
        _verify(path, sha256, url)
    except InvalidInput:
        forget(url)
        raise
    return path


def _verify(path: Path, sha256: str | None, source: str) -> None:
    if sha256 is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        raise InvalidInput(
            f"metrics.weights={source} has SHA-256 {found}, expected {sha256.lower()}: "
            "download the file again, or correct metrics.weights_sha256"
        )


def _load(path: Path, sha256: str | None, device: str) -> "torch.nn.Module":
    """clean-fid's model from any file name; InvalidInput unless it gives 2048 features."""
    _verify(path, sha256, str(path))
    import torch
    from cleanfid.inception_torchscript import InceptionV3W

    try:
        with tempfile.TemporaryDirectory() as folder:
            # clean-fid takes a folder, and the file by this name in it.
            Path(folder, WEIGHTS_NAME).symlink_to(path.resolve())
            model = InceptionV3W(folder, download=False).eval().to(device)
        with torch.no_grad():
            model(torch.zeros(1, 3, 299, 299, device=device))
    except (RuntimeError, AttributeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidInput(
            f"metrics.weights: {path} is not clean-fid's Inception network ({reason}): "
            f"delete it and download {WEIGHTS_URL}"
        ) from error
    return model
