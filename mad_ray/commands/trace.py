"""mad-ray trace: from which model, generation and data a sample came, and the same sample again."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mad_ray.commands.session import open_session
from mad_ray.commands.target import open_target
from mad_ray.config.rebuild import cohort_of, family_of, interventions_of
from mad_ray.core.ecosystem import compose_of, of_identity
from mad_ray.core.ecosystem import describe as describe_member
from mad_ray.core.errors import Corrupt, InvalidInput
from mad_ray.core.loop import Loop, Slice, describe
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.redraw import Redraw
from mad_ray.engine.trace import Address, Row, Traced, draw, find, is_as_committed, row_of
from mad_ray.ledger.chain import blob_key
from mad_ray.ledger.open import open_store
from mad_ray.ledger.shards import decode_shard, origin_of
from mad_ray.ledger.store import Store

EXPECTED = "expected COHORT:SEED:GENERATION:INDEX, or FILE.parquet:ROW"
FORMATS = (".png", ".npy", ".json")


def trace(
    sample: str, config: str | None, overrides: Sequence[str], store: str | None, output: str | None = None
) -> int:
    """Say where the sample came from and draw it again. 0 if it is the same bit for bit, 1 if not."""
    if output is not None and Path(output).suffix not in FORMATS:
        raise InvalidInput(f"--output={output}: expected a name that ends in one of {', '.join(FORMATS)}")
    opened = _open(config, overrides, store)
    address, given, model = parse_sample(sample)
    found = find(opened, address)
    if model not in (None, found.manifest.models.sha256):
        raise InvalidInput(f"{sample}: was drawn from model {model[:16]}, which is not that of this store's ledger")
    _say_origin(found)
    identity = found.manifest.identity
    redraw = Redraw(found.store, family_of(identity), found.manifest, interventions_of(identity))
    row = draw(found, redraw, _cohort(found, config, overrides))
    if output is not None:
        _write(row, Path(output))
    return _compare(found, redraw, row, given)


def parse_sample(text: str) -> tuple[Address, Row | None, str | None]:
    """(address, the row itself if a file was given, SHA-256 of its model if the file says so)."""
    if match := re.fullmatch(r"([0-9a-f]{16}):([0-9]{1,19}):([0-9]{1,9}):([0-9]{1,12})", text):
        cohort, *numbers = match.groups()
        return Address(cohort, *map(int, numbers)), None, None
    if match := re.fullmatch(r"(.+\.parquet):([0-9]{1,12})", text):
        return _of_file(Path(match[1]), int(match[2]))
    raise InvalidInput(f"{text}: {EXPECTED}")


def _of_file(path: Path, row: int) -> tuple[Address, Row, str]:
    try:
        data = path.read_bytes()
        origin, index = origin_of(data, row)
        samples, _ = decode_shard(data)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path}: {error}") from error
    except Corrupt as error:
        raise InvalidInput(f"{path}: {error}") from error
    b, i = divmod(row, samples.n)
    return Address(origin.cohort, origin.seeds[0], origin.generation, index), row_of(samples, b, i), origin.model


def _open(config: str | None, overrides: Sequence[str], store: str | None) -> Store:
    if config is not None:
        return open_target(config, overrides, store, None)[0]
    if store is None:
        raise InvalidInput("say which store the sample is in: give --store, or the CONFIG of its study")
    return open_store(store)


def _cohort(found: Traced, config: str | None, overrides: Sequence[str]) -> Callable[[], Cohort]:
    """What a model is fitted from again: from the config where there is one, since it says where the data lie."""

    def make() -> Cohort:
        wanted = found.address.cohort
        if config is not None:
            known = {cohort.id: cohort for cohort in open_session(config, overrides).cohorts}
            if wanted in known:
                return known[wanted]
        return cohort_of(found.manifest.identity, wanted, found.history[-1].last)

    return make


def _say_origin(found: Traced) -> None:
    at, manifest = found.address, found.manifest
    identity, told = manifest.identity, manifest.provenance
    loop, ecosystem = Loop(**identity["loop"]), of_identity(identity)
    lines = {
        "sample": f"{at.index} of generation {at.generation}, seed {at.seed}, cohort {at.cohort}",
        "model": f"{blob_key(manifest, manifest.models)} (SHA-256 {manifest.models.sha256})",
        "family": _settings(identity["family"]),
        "loop": describe(loop),
        **({"on the way": "; ".join(map(_settings, passed))} if (passed := identity.get("interventions")) else {}),
        "data": _settings(identity["data"]),
        **({"member": describe_member(ecosystem[identity["member"]])} if ecosystem is not None else {}),
        f"D^{at.generation}": "; ".join(map(_slice, compose_of(identity, at.generation))),
        "stored": _where(found),
        "made by": f"attempt {manifest.attempt}, {_when(told)}, {told.get('device')}, {told.get('threads')} threads",
        "versions": ", ".join(f"{name} {version}" for name, version in told.get("versions", {}).items()),
        **({"own code": _settings(told["code"])} if "code" in told else {}),
    }
    for name, text in lines.items():
        print(f"{name + ':':10}{text}")


def _settings(of: dict[str, Any]) -> str:
    parts = [str(of["name"])] if "name" in of else []
    return ", ".join(parts + [f"{name}={json.dumps(value)}" for name, value in sorted(of.items()) if name != "name"])


def _slice(part: Slice) -> str:
    whose = f" of member {part.member}," if part.member else ","
    what = "real rows" if part.is_real else f"samples of generation {part.generation}{whose}"
    return f"{what} {part.start:,}..{part.stop - 1:,}"


def _where(found: Traced) -> str:
    shard = found.shard
    if shard is None:
        return "not at all: this family draws its samples again"
    row = found.b * (shard.stop - shard.start) + found.address.index - shard.start
    return f"{blob_key(found.manifest, shard.blob)}, row {row}"


def _when(told: dict[str, Any]) -> str:
    return datetime.fromtimestamp(told.get("started_s", 0), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _compare(found: Traced, redraw: Redraw, drawn: Row, given: Row | None) -> int:
    """Print how the sample that was drawn again compares with what there is of it; 0 if nothing differs."""
    stored = found.stored()
    compared = {"the stored sample": stored, "the file's sample": given}
    differing = [name for name, row in compared.items() if row is not None and row != drawn]
    if stored is None and found.shard is not None and not is_as_committed(found, redraw):
        differing.append("its retired shard")
    if differing:
        why = redraw.difference()
        print(f"drawn again: NOT the same as {' and '.join(differing)} ({why})")
        return 1
    if found.shard is None:
        print("drawn again: from the model as committed")
    elif stored is None:
        print("drawn again: identical, as its whole retired shard is (SHA-256)")
    else:
        print(f"drawn again: identical to {' and '.join(name for name, row in compared.items() if row is not None)}")
    return 0


def _write(row: Row, path: Path) -> None:
    try:
        if path.suffix == ".json":
            found = {"x": row.x.tolist(), "label": int(row.label), "weight": float(row.weight)}
            path.write_text(json.dumps(found) + "\n")
        elif path.suffix == ".npy":
            with path.open("wb") as file:
                np.save(file, row.x, allow_pickle=False)
        else:
            _write_image(row.x, path)
    except OSError as error:
        raise InvalidInput(f"--output={path}: cannot be written ({error.strerror or error})") from error
    print(f"written: {path}")


def _write_image(x: np.ndarray, path: Path) -> None:
    if x.dtype != np.uint8 or x.ndim != 3:
        raise InvalidInput(
            f"--output={path}: a sample of {x.dtype.name} {list(x.shape)} is no image; give .npy or .json"
        )
    from mad_ray.report.files import pixels_to_png

    path.write_bytes(pixels_to_png(x))
