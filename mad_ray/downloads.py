"""Files from URLs, kept in the user's cache: whole or absent, whoever else downloads them at the same time."""

import contextlib
import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path

from mad_ray.core.errors import InvalidInput

TIMEOUT_S = 60


def cache_folder() -> Path:
    """$MAD_RAY_CACHE, else mad_ray in $XDG_CACHE_HOME, else ~/.cache/mad_ray."""
    if own := os.environ.get("MAD_RAY_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mad_ray"


def download(url: str, field: str) -> Path:
    """The file at the URL, from the cache if it is there. InvalidInput that names the config field if it is nowhere.

    Content is the caller's to check; what fails the check is to be forgotten.
    """
    path = _cached(url)
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    except OSError as error:
        raise InvalidInput(
            f"{path.parent}: the download cannot be kept there ({error.strerror}); let MAD_RAY_CACHE name a folder "
            "that can be written"
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as target, urllib.request.urlopen(url, timeout=TIMEOUT_S) as source:
            shutil.copyfileobj(source, target)
            _require_whole(target.tell(), source.headers.get("Content-Length"))
        os.replace(part, path)
    # HTTPException: the connection broke half-way, or the URL holds a blank.
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise InvalidInput(
            f"{field}={url} cannot be downloaded ({error}): check it, or download the file and give its path"
        ) from error
    finally:
        Path(part).unlink(missing_ok=True)
    return path


def _require_whole(n_bytes: int, expected: str | None) -> None:
    """Copying piece by piece, urllib does not say that a connection broke half-way."""
    if expected is not None and n_bytes != int(expected):
        raise OSError(f"{n_bytes:,} of {int(expected):,} bytes arrived")


def forget(url: str) -> None:
    """What is damaged shall be fetched again, not read again."""
    with contextlib.suppress(OSError):
        _cached(url).unlink()


def _cached(url: str) -> Path:
    return cache_folder() / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{url.rsplit('/', 1)[-1]}"
