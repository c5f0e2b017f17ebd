"""Whatever a config says, it is planned or refused by one line: no traceback, no hang, no store touched.

`make fuzz` tries 10,000 mutants of the shipped configs; the tests here a few hundred, the same ones every time.
"""

import contextlib
import copy
import io
import os
import random
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mad_ray.cli import main

ROOT = Path(__file__).parents[2] / "configs"
SHIPPED = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(ROOT.rglob("*.yaml"))}
EXAMPLES = int(os.environ.get("MAD_RAY_FUZZ", "250"))
SECONDS = 120
"""Of CPU time for one plan: whatever hangs takes longer."""
MEMORY = 1 << 30

SCALARS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 1000, 10**6, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.0, -0.0, 0.5,
    1.5, -1.5, 1e-300, 1e300, float("nan"), float("inf"), -float("inf"), "", " ", "a", "digits", "gaussian", "ddpm",
    "lenet", "identity", "memory://fuzz", "../..", "/", "\0", "\ud800", "é̂", "名前", "😀" * 9, "a\nb", "x" * 9000,
    "%s %d {0} {study}", "1e3", "module:Name", "os:system", "json:loads", "mad_ray.cli:main", "a.b.c", "nan",
    "2020-02-30", "<script>", "$(id)", "~", "[",
)  # fmt: skip
WORDS = (
    "study", "run", "name", "n_generations", "seeds", "data", "family", "loop", "metrics", "cases", "grid", "random",
    "map", "limit", "baseline", "search", "kind", "n_initial", "n_synthetic", "n_fresh", "bias", "memory", "features",
    "names", "n", "extends", "store", "retention", "workers", "d", "x", "y", "panel", "values", "log", "linear",
    "field", "loop.bias", "loop.n_synthetic", "space", "until", "path", "n_steps", "chunk", "<<", "", "seeds.0", "é",
    "1",
)  # fmt: skip
BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(9)
)
"""Ten lines that stand for 3,486,784,401 letters."""
RAW = (
    b"", b"\n", b"---\n---\n", b"\xff\xfe\x00", b"\x80\x81", b"%YAML 9.9\n---\na: b", b"study: [", b"study: {a: ",
    b"- 1\n- 2", b"study: *nobody", b"study: &a [*a]", b"study: &a {name: *a}", b"&a [*a]", b"? [1, 2]\n: 3",
    b"? {a: b}\n: 3", b"!!python/object/apply:os.system ['true']", b"study: !!python/name:os.system ",
    b"study: !!binary '%%%'", b"study: !!set {a, b}", b"study: !!timestamp '2020-99-99'", b"study: !!float 'x'",
    b"study: !!int '0x'", b"!<> a", b"a: !b c", b"study:\n\tname: a", b"study: 'x", b"study: 0o9",
    b"study: 190:20:30", b"a: " + b"[" * 3000, b"a: " + b"{a: " * 3000, BOMB, b"study: {name: " + b"9" * 5000 + b"}",
    b"study: {n_generations: 0x" + b"f" * 5000 + b"}", b"study: " + b"a" * 200000, b"extends: study.yaml",
    b"extends: .", b"extends: /dev/null", b"extends: nowhere.yaml", b"extends: [a]", b"extends: ''",
    b"extends: \"a\\0b\"", b"extends: " + b"a" * 5000, b"extends: /proc/self/mem", b"study: null\nrun: null",
    b"study: 1", b"[]", b"1", b"null: 1", b"2020-01-01: 3", b"{1: 2, 1.0: 3}", b"{a: 1, a: 2}",
    b"study: {name: a}\nrun: {store: 's3://'}", b"true: false", b"study: {name: a, loop: {n_initial: .nan}}",
    b"study: {name: a, seeds: [.inf]}", b"study: {name: a}\nrun: {store: 's3://b?x=y'}",
)  # fmt: skip
SETS = (
    "", "=", "a", "=1", "study", "study=", "study.=1", ".study=1", "study..name=a", "study.name", "study.name=",
    "study.name=../x", "study.loop.bias=nan", "study.loop.bias=.nan", "study.seeds=[", "study.seeds=0",
    "study.seeds=-1", "study.seeds=[0, 0]", "study.n_generations=1e400", "study.n_generations=99999999999999999999",
    "run.store=", "run.store=ftp://x", "run.workers=-1", "run.store=s3://", "run.store=memory://",
    "study.family=os:system", "study.data={name: gaussian, d: -1}", "run=1", "study=[]", "study.cases=1",
    "study.cases={a: 1}", "study.grid={loop.bias: 1}", "study.grid={a.b: [1]}", "study.loop=&a [*a]",
    "study.random={n: 3, space: {loop.bias: {uniform: [0, 1]}}}", "study.name=!!python/none x", "study.title=\ud800",
    "a" * 5000 + "=1", ".".join("a" * 2000) + "=1", "study.metrics.n=2", "study.kind=grid", "study.kind=boundary",
    "run.threads=true", "extends=a", "run.retention.samples=0", "run.retention={}", "run.checkpoint_s=.inf",
    "run.memory=1e9", "run.output={}{study}", "run.cpus=.nan",
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every part of a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from places(part, (*path, key))


def nested(pick: random.Random) -> Any:
    value: Any = pick.choice(SCALARS)
    for _ in range(pick.choice((1, 2, 3, 30, 300))):
        value = [value] if pick.random() < 0.5 else {pick.choice(WORDS): value}
    return value


def some_value(pick: random.Random, document: Any) -> Any:
    """A scalar, something nested, or another part of the same config where it does not belong."""
    kind = pick.random()
    if kind < 0.7:
        return pick.choice(SCALARS)
    if kind < 0.8:
        return nested(pick)
    return copy.deepcopy(part_at(document, pick.choice(list(places(document)))))


def part_at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def mutate(document: Any, pick: random.Random) -> Any:
    """One change: a part deleted, doubled, renamed, replaced, added, moved, or a number made another."""
    path = pick.choice(list(places(document)))
    if not path:
        return some_value(pick, document) if pick.random() < 0.1 else document
    parent, key = part_at(document, path[:-1]), path[-1]
    change = pick.choice(("delete", "rename", "replace", "replace", "replace", "add", "number", "wrap", "listed"))
    if change == "delete":
        del parent[key]
    elif change == "rename" and isinstance(parent, dict):
        parent[pick.choice((*WORDS, str(key) + "s", str(key)[:-1], pick.choice(SCALARS)))] = parent.pop(key)
    elif change == "add" and isinstance(parent[key], dict):
        parent[key][pick.choice(WORDS)] = some_value(pick, document)
    elif change == "number" and isinstance(parent[key], (int, float)):
        parent[key] = pick.choice((parent[key] * -1, parent[key] * 10**6, parent[key] + 0.5, str(parent[key]), 0))
    elif change == "wrap":
        parent[key] = pick.choice(([parent[key]], {"name": parent[key]}, [parent[key]] * 3))
    elif change == "listed" and isinstance(parent[key], list):
        pick.shuffle(parent[key])
        parent[key] += parent[key][:1]
    else:
        parent[key] = some_value(pick, document)
    return document


def spoil(text: str, pick: random.Random) -> bytes:
    """The text itself cut, doubled or with bytes that do not belong."""
    data = text.encode()
    at, end = sorted(pick.randrange(len(data) + 1) for _ in range(2))
    noise = bytes(pick.randrange(256) for _ in range(pick.randrange(1, 9)))
    signs = pick.choice(
        (b"\t", b": ", b"- ", b"&a ", b"*a", b"!!x ", b"{", b"]", b"'", b'"', b"#", b"\r", b"\0", b"? ", noise)
    )
    return pick.choice((data[:at], data[:at] + signs + data[at:], data[:at] + data[end:], data + data[at:end]))


def mutant(seed: int) -> tuple[bytes, list[str]]:
    """(a config's bytes, arguments)."""
    pick = random.Random(seed)
    name = pick.choice(sorted(SHIPPED))
    kind = pick.random()
    sets = [pick.choice(SETS) for _ in range(pick.choice((0, 0, 0, 0, 1, 2)))]
    if kind < 0.05:
        return pick.choice(RAW), sets
    if kind < 0.2:
        return spoil(SHIPPED[name], pick), sets
    document = yaml.safe_load(SHIPPED[name])
    if "extends" in document:
        document["extends"] = str((ROOT / name).parent / document["extends"])
    for _ in range(pick.choice((1, 1, 1, 2, 3, 5))):
        document = mutate(document, pick)
        if not isinstance(document, dict):
            break
    try:
        return yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"), sets
    except (RecursionError, yaml.YAMLError):
        return b"", sets


@contextlib.contextmanager
def at_most(seconds: int, what: str) -> Iterator[None]:
    def late(*_: object) -> None:
        raise AssertionError(f"{what} took longer than {seconds} s")

    # CPU time, not the clock's: the machine may be busy.
    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def planned(path: Path, data: bytes, sets: list[str]) -> tuple[int, str]:
    """(exit code, stderr) of `mad-ray plan`, in this process."""
    path.write_bytes(data)
    arguments = ["plan", str(path), *(part for given in sets for part in ("--set", given))]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), at_most(SECONDS, "a plan"):
        code = main(arguments)
    return code, err.getvalue()


def require_clear(code: int, err: str, why: Callable[[], str]) -> None:
    """Planned, or refused by one line that says something."""
    if code == 0:
        assert err == "", why()
        return
    assert code == 2, why()
    assert err.startswith("mad-ray: "), why()
    assert err.count("\n") == 1, why()
    assert len(err) < 5000, why()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, so that a plan that wrote something would be seen."""
    home, folder = Path.cwd(), tmp_path_factory.mktemp("fuzz")
    os.chdir(folder)
    yield folder
    os.chdir(home)


@pytest.mark.timeout(3600)
def test_every_mutant_is_planned_or_refused_by_one_line(folder: Path) -> None:
    codes: dict[int, int] = {0: 0, 2: 0}

    @settings(
        max_examples=EXAMPLES, derandomize=EXAMPLES <= 1000, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.integers(0, 2**64 - 1))
    def check(seed: int) -> None:
        data, sets = mutant(seed)
        code, err = planned(folder / "study.yaml", data, sets)
        codes[code] = codes.get(code, 0) + 1
        require_clear(code, err, lambda: f"mutant {seed}: exit code {code}, {err[:2000]!r}")

    check()
    print(f"{codes[0]} mutants planned, {codes[2]} refused")
    assert min(codes.values()) > EXAMPLES // 50, "both kinds are tried"
    assert [path.name for path in folder.iterdir()] == ["study.yaml"], "plan writes nothing"


@pytest.mark.parametrize("data", RAW, ids=lambda data: repr(data[:24]))
def test_what_is_no_config_is_refused_by_one_line(folder: Path, data: bytes) -> None:
    tracemalloc.start()
    try:
        code, err = planned(folder / "study.yaml", data, [])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert code == 2
    require_clear(code, err, lambda: err)
    assert peak < MEMORY


@pytest.mark.parametrize("given", SETS, ids=lambda given: ascii(given[:24]))
def test_whatever_is_set_is_planned_or_refused_by_one_line(folder: Path, given: str) -> None:
    data = SHIPPED["quickstart.yaml"].encode()
    code, err = planned(folder / "study.yaml", data, [given])
    require_clear(code, err, lambda: err)
