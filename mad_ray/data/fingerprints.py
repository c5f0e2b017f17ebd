"""Fingerprints of files, kept in the user's cache: large data are not read again to learn that they are the same.

A file whose size and time of change are as they were has the content that it had.
"""

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mad_ray.core.errors import Corrupt
from mad_ray.core.sealed import seal, unseal
from mad_ray.data.listed import Files, Stat
from mad_ray.downloads import cache_folder

# Clocks of file systems tick as slowly as this: what changed so lately may change again unseen.
FRESH_S = 3.0
# Reading waits for disks and servers rather than for a processor.
N_THREADS = 16


def with_fingerprints(files: Files, stats: Sequence[Stat]) -> list[str]:
    """The fingerprint of each listed file, from the cache where size and time of change are as they were."""
    kept = _cached(files)
    known = _read(kept)
    wanted = [stat for stat in stats if _line(stat) != known.get(stat.name, ["", 0, 0])[1:]]
    before_ns = (time.time() - FRESH_S) * 1e9
    with ThreadPoolExecutor(N_THREADS) as pool:
        found = dict(zip(wanted, pool.map(files.fingerprint, (stat.name for stat in wanted)), strict=True))
    prints = {stat.name: found.get(stat) or known[stat.name][0] for stat in stats}
    if wanted:
        _write(kept, {s.name: [prints[s.name], *_line(s)] for s in stats if s.modified_ns < before_ns})
    return [prints[stat.name] for stat in stats]


def _line(stat: Stat) -> list[int]:
    return [stat.n_bytes, stat.modified_ns]


def _cached(files: Files) -> Path:
    return cache_folder() / "fingerprints" / f"{hashlib.sha256(files.url.encode()).hexdigest()[:16]}.json"


def _read(path: Path) -> dict[str, list]:
    """Nothing where there is nothing, or nothing whole: then files are read."""
    try:
        return unseal(path.read_bytes(), path.name)["files"]
    except (OSError, Corrupt):
        return {}


def _write(path: Path, known: dict[str, list]) -> None:
    """Whole or not at all; a cache that cannot be written costs time only."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        with os.fdopen(descriptor, "wb") as file:
            file.write(seal({"files": known}))
        os.replace(part, path)
