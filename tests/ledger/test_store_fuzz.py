"""Any one object of a store damaged, lost, or in another's place: `verify` names it, and `run` builds nothing on it."""

import contextlib
import io
import random
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mad_ray.commands.run import compute
from mad_ray.commands.session import session_of
from mad_ray.commands.upkeep import verify
from mad_ray.config import parse_config
from mad_ray.core.errors import MadError, StoreError
from mad_ray.core.manifest import Manifest
from mad_ray.engine.lessons import _states
from mad_ray.engine.reference import _references
from mad_ray.ledger.index import index_key
from mad_ray.ledger.memory import MemoryStore
from tests.chaos.studies import DDPM
from tests.data.pictures import made_up, write_folder

Objects = dict[str, bytes]
NAME, N = "fuzzed", 2
# Without it all goes on, and what it says is compared with the ledgers: it is no part of what was committed.
DISPOSABLE = (index_key(NAME),)


def settings(folder: Path, n_generations: int = N) -> dict[str, Any]:
    small = {"n_initial": 32, "n_synthetic": 32}
    return {
        # A longer study is another one, on the same ledgers.
        "name": NAME if n_generations == N else f"{NAME}-{n_generations}",
        "n_generations": n_generations,
        "cases": {
            "network": {
                "data": "digits",
                "family": {**DDPM["family"], "n_steps": 4},
                "loop": small,
                "metrics": {"n": 40, "names": ["frechet"]},
            },
            "drawn": {
                "data": {"name": "gaussian", "d": 2},
                "family": "gaussian",
                "loop": small,
                "metrics": {"n": 40},
                "seeds": 3,
            },
            "marked": {
                "data": {"name": "gaussian", "d": 2},
                "family": {"name": "gaussian", "draws": "rows"},
                "interventions": {"watermark": {"n_real": 200}, "self_correction": {"n_real": 20, "n_centres": 2}},
                "loop": small,
                "metrics": {"n": 40, "names": ["frechet"]},
            },
            "images": {
                "data": {"name": "images", "path": str(folder), "size": 8},
                "family": {**DDPM["family"], "n_steps": 2},
                "loop": {"n_initial": 16, "n_synthetic": 16},
                "metrics": {"n": 4, "names": ["frechet"], "features": "identity"},
            },
        },
    }


def run(folder: Path, store: MemoryStore, n_generations: int) -> None:
    """As the command does it, but for the report."""
    _references.clear()
    _states.clear()
    run = {"runtime": "local", "store": store.url, "output": str(folder / "output")}
    config = parse_config({"study": settings(folder / "images", n_generations), "run": run})
    with contextlib.redirect_stdout(io.StringIO()):
        compute(session_of(config))


def objects(store: MemoryStore) -> Objects:
    return {entry.key: store.get(entry.key) for entry in store.list("")}


def store_of(found: Objects) -> MemoryStore:
    store = MemoryStore(uuid.uuid4().hex)
    for key, data in found.items():
        store.put(key, data)
    return store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzzed")
    write_folder(folder / "images", made_up(n=48))
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> Objects:
    """A finished store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAD_RAY_CACHE", str(folder / "cache"))
        store = MemoryStore(uuid.uuid4().hex)
        run(folder, store, N)
    return objects(store)


@pytest.fixture(scope="module")
def longer(folder: Path, whole: Objects) -> dict[str, str]:
    """Key -> digest of all manifests of the same study one generation longer, undisturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAD_RAY_CACHE", str(folder / "cache"))
        store = store_of(whole)
        run(folder, store, N + 1)
    return manifests(objects(store))


def manifests(found: Objects) -> dict[str, str]:
    return {key: Manifest.from_json(data, key).digest for key, data in found.items() if "/ledger/" in key}


def flip(rng: random.Random, data: bytes, _: Any) -> bytes:
    damaged = bytearray(data)
    damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut(rng: random.Random, data: bytes, _: Any) -> bytes:
    return data[: rng.randrange(len(data))]


def extend(rng: random.Random, data: bytes, _: Any) -> bytes:
    return data + rng.choice([b"\0", b" ", b"\n", rng.randbytes(rng.randrange(1, 9))])


def replace(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    return rng.choice([other for other in others if other != data])


DAMAGES: dict[str, Callable[[random.Random, bytes, list[bytes]], bytes | None]] = {
    "a bit flipped": flip,
    "cut": cut,
    "extended": extend,
    "emptied": lambda *_: b"",
    "lost": lambda *_: None,
    "another in its place": replace,
}


def damage(rng: random.Random, found: Objects) -> tuple[str, list[str], Objects]:
    """(what was done, the keys it was done to, all objects after it)."""
    keys = [key for key in sorted(found) if key not in DISPOSABLE]
    kind = rng.choice([*DAMAGES, "a sibling in its place", "two swapped"])
    key = rng.choice(keys)
    if kind == "two swapped":
        other = rng.choice([other for other in keys if found[other] != found[key]])
        return kind, [key, other], {**found, key: found[other], other: found[key]}
    if kind == "a sibling in its place":
        # An older one, or another cohort's: whole, of the same kind, and elsewhere.
        siblings = [other for other in keys if alike(other, key) and found[other] != found[key]]
        if not siblings:
            return damage(rng, found)
        return kind, [key], {**found, key: found[rng.choice(siblings)]}
    changed = DAMAGES[kind](rng, found[key], list(found.values()))
    if changed is None:
        return kind, [key], {other: data for other, data in found.items() if other != key}
    return kind, [key], {**found, key: changed}


def alike(a: str, b: str) -> bool:
    return a.split("/")[::2] == b.split("/")[::2] or ("/ledger/" in a and "/ledger/" in b)


def findings(found: Objects) -> tuple[int, str]:
    """(exit code, all that is printed) of `mad-ray verify`."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            code = verify(store_of(found), NAME)
        except MadError as error:
            return error.exit_code, str(error)
    return code, out.getvalue()


def test_a_whole_store_has_no_findings(whole: Objects) -> None:
    code, out = findings(whole)
    assert code == 0, out
    kinds = {key.split("/")[0] for key in whole}
    assert kinds == {"cohorts", "references", "studies", "datasets", "interventions"}
    assert f"{len(whole)} objects" in out, "every single one is read"


@pytest.mark.parametrize("n", [250, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_damage_is_named(whole: Objects, n: int) -> None:
    seed = 5
    print(f"seed {seed}")
    rng, missed = random.Random(seed), []
    for i in range(n):
        kind, keys, damaged = damage(rng, whole)
        code, out = findings(damaged)
        # A study without its document is told by its name.
        out = out.replace(f"study {NAME} is not in", f"studies/{NAME}/study.json")
        if code != 2 or not any(key in out for key in keys):
            missed.append((i, kind, keys, code, out))
    assert not missed, f"{len(missed)} of {n}: {missed[:5]}"


@pytest.mark.parametrize("n", [12, pytest.param(150, marks=pytest.mark.slow)])
def test_run_builds_nothing_on_damage(
    whole: Objects, longer: dict[str, str], folder: Path, n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses in one line, or did not need the object; what it commits is what it would have been anyway."""
    seed = 6
    print(f"seed {seed}")
    rng, refused, lines = random.Random(seed), 0, []
    for i in range(n):
        monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / f"cache-{i}"))
        kind, keys, damaged = damage(rng, whole)
        store = store_of(damaged)
        try:
            run(folder, store, N + 1)
        except StoreError as error:
            refused += 1
            lines.append(str(error))
        after = objects(store)
        new = {key: data for key, data in after.items() if "/ledger/" in key and key not in whole}
        assert manifests(new).items() <= longer.items(), (i, kind, keys)
    assert refused > n // 4, refused
    assert not any("\n" in line for line in lines)


def test_what_passes_by_itself_is_no_finding_and_no_harm(
    whole: Objects, longer: dict[str, str], folder: Path, tmp_path, monkeypatch
) -> None:
    """Progress of fits in flight, probes, the index, remains of attempts: damaged, all goes on without them."""
    cohort = next(key.split("/")[1] for key in whole if key.startswith("cohorts/"))
    passing = {
        f"cohorts/{cohort}/progress/000003-0123456789ab.state": b"no state",
        f"cohorts/{cohort}/attempts/000003-dead/models.safetensors": b"half of a mod",
        ".probe/0123": b"first",
        index_key(NAME): b"{}",
    }
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "cache"))
    for key, data in passing.items():
        store = store_of({**whole, key: data})
        if key != index_key(NAME):
            assert findings(objects(store))[0] == 0
        run(folder, store, N + 1)
        assert manifests(objects(store)) == longer
