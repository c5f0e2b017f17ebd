"""The folder that a study is submitted as: its config as one file, the user's own modules, and what starts it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mad_ray
from mad_ray.commands.session import Session
from mad_ray.config.dump import dump_config
from mad_ray.config.load import merge, parse_yaml
from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import digest
from mad_ray.engine.own_code import files_of

CONFIG, START, SUBMISSION = "mad_ray_study.yaml", "mad_ray_start.py", "mad_ray_submission.json"
MAX_BYTES = 32 << 20
OUTPUT = "runs/{study}"


def write_package(raw: Mapping[str, Any], session: Session, store: str, folder: Path, ship: bool) -> str:
    """Fill the empty folder; returns a digest of what was written: 16 hex digits.

    raw: the loaded config. ship: mad_ray's own source comes along. InvalidInput if it is more than MAX_BYTES.
    """
    files = files_of(session.heads)
    if ship:
        source = Path(mad_ray.__file__).parent
        files |= {f"mad_ray/{file.relative_to(source).as_posix()}": file for file in source.rglob("*.py")}
    _require_small(files)
    for name, file in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / name)
    text = dump_config(_for_the_cluster(raw, store))
    assert parse_yaml(text, CONFIG) == _for_the_cluster(raw, store)
    (folder / CONFIG).write_text(text, encoding="utf-8")
    shutil.copyfile(Path(mad_ray.__file__).parent / "onray" / "start.py", folder / START)
    return digest([[name, (folder / name).read_bytes().hex()] for name in sorted([*files, CONFIG])])[:16]


def _for_the_cluster(raw: Mapping[str, Any], store: str) -> dict[str, Any]:
    """The report of a submitted study lies where the job runs, and in the store in any case."""
    return merge(dict(raw), {"run": {"store": store, "output": OUTPUT}})


def sign_package(folder: Path, submission_id: str, ship: bool) -> None:
    """Say which submission this is: each has a working directory of its own, even for the same study."""
    expected = None if ship else mad_ray.__version__
    (folder / SUBMISSION).write_text(json.dumps({"submission_id": submission_id, "mad_ray": expected}))


def _require_small(files: Mapping[str, Path]) -> None:
    sizes = {name: file.stat().st_size for name, file in files.items()}
    if sum(sizes.values()) > MAX_BYTES:
        largest = max(sizes, key=lambda name: sizes[name])
        raise InvalidInput(
            f"the study's own modules come to {sum(sizes.values()) >> 20} MiB where {MAX_BYTES >> 20} MiB can be sent; "
            f"the largest file is {largest} ({sizes[largest] >> 20} MiB): keep data out of packages, in the store"
        )
