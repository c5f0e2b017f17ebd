"""Nothing that comes from a store, or with the user's data, is ever run: every reader refuses it in one line."""

import ast
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mad_ray.core.errors import Corrupt, InvalidInput, MadError, StoreError
from mad_ray.core.manifest import Blob, Manifest
from mad_ray.core.samples import Event
from mad_ray.core.sealed import unseal
from mad_ray.data.catalogue import Reading, open_catalogue
from mad_ray.data.decoded import Cached
from mad_ray.engine.checkpoints import CheckpointRule, StoredCheckpoints
from mad_ray.families.pipeline_files import read_pipeline
from mad_ray.ledger.beside import read_beside
from mad_ray.ledger.local import LocalStore
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.open import open_store
from mad_ray.ledger.shards import decode_shard
from mad_ray.ledger.tensors import decode_tensors
from tests.data.pictures import made_up, write_folder

ROOT = Path(__file__).parents[1] / "mad_ray"


@dataclass(frozen=True)
class Bomb:
    """Whoever unpickles it creates the file."""

    path: Path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.fixture
def bomb(tmp_path: Path) -> Iterator[Bomb]:
    """One that works, and has not gone off when the test is over."""
    pickle.loads(pickle.dumps(Bomb(tmp_path / "proof")))
    assert (tmp_path / "proof").exists(), "it would go off"
    bomb = Bomb(tmp_path / "bang")
    yield bomb
    assert not bomb.path.exists(), "it was unpickled"


def line(error: MadError) -> str:
    text = str(error)
    assert "\n" not in text
    assert len(text) < 600
    return text


def npy(value: object) -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.array([value], dtype=object), allow_pickle=True)
    return sink.getvalue()


def npz(value: object) -> bytes:
    sink = io.BytesIO()
    np.savez(sink, x=np.array([value], dtype=object))
    return sink.getvalue()


def torch_file(value: object) -> bytes:
    import torch

    sink = io.BytesIO()
    torch.save({"x": value}, sink)
    return sink.getvalue()


DISGUISES: dict[str, Callable[[object], bytes]] = {
    "pickle": pickle.dumps,
    "npy": npy,
    "npz": npz,
    "torch": torch_file,
    "json": lambda value: json.dumps({"py/reduce": pickle.dumps(value).hex()}).encode(),
    "yaml": lambda value: b"!!python/object/apply:os.system ['touch bang']",
    "safetensors of it": lambda value: _safetensors_head(pickle.dumps(value)),
}


def _safetensors_head(body: bytes) -> bytes:
    head = json.dumps({"x": {"dtype": "O", "shape": [1], "data_offsets": [0, len(body)]}}).encode()
    return len(head).to_bytes(8, "little") + head + body


def store_of(key: str, data: bytes) -> MemoryStore:
    store = MemoryStore(f"malicious-{os.urandom(8).hex()}")
    store.put(key, data)
    return store


def read_checkpoint(data: bytes) -> None:
    """As good as none; not one that the sender sealed either."""
    checkpoints = StoredCheckpoints(MemoryStore(f"malicious-{os.urandom(8).hex()}"), "k", CheckpointRule())
    for sealed in (data, checkpoints._seal(data) + data):
        checkpoints.store.put("k", sealed)
        assert checkpoints.load() is None
    raise Corrupt("a fit starts over")


def read_named(data: bytes) -> None:
    """Tensors beside a document that names them truly."""
    from mad_ray.core.fingerprint import digest_bytes

    blob = {"name": "x.safetensors", "n_bytes": len(data), "sha256": digest_bytes(data)}
    read_beside(store_of("a/x.safetensors", data), "a/document.json", blob)


READERS: dict[str, Callable[[bytes], object]] = {
    "tensors": decode_tensors,
    "shard": decode_shard,
    "document": lambda data: unseal(data, "studies/x/study.json"),
    "manifest": lambda data: Manifest.from_json(data, "cohorts/x/ledger/000001.json"),
    "checkpoint": read_checkpoint,
    "tensors beside a document": read_named,
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("reader", READERS)
def test_what_a_store_may_hold_is_refused(bomb: Bomb, reader: str, disguise: str) -> None:
    with pytest.raises(Corrupt) as caught:
        READERS[reader](DISGUISES[disguise](bomb))
    line(caught.value)


def pickled_column(values: list[object]) -> pa.Array:
    """Ray Data's column of Python objects; where it is loaded, reading a value unpickles it."""
    from ray.data._internal.object_extensions.arrow import ArrowPythonObjectType

    kind = ArrowPythonObjectType()
    return kind.wrap_array(pa.array([pickle.dumps(value) for value in values], kind.storage_type))


def shard_table(**columns: pa.Array) -> pa.Table:
    shape = {"n_trajectories": 1, "n": 2, "start": 0, "event": [1]}
    plain = {
        "x": pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0], pa.float32()), 1),
        "label": pa.array([0, 0], pa.int32()),
        "weight": pa.array([1, 1], pa.float32()),
    }
    return pa.table({**plain, **columns}).replace_schema_metadata({b"mad_ray": json.dumps(shape)})


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def test_shards_of_pickled_columns_are_refused(bomb: Bomb) -> None:
    decode_shard(parquet(shard_table()))
    for name in ("x", "label", "weight"):
        with pytest.raises(Corrupt, match=f"column {name} has type"):
            decode_shard(parquet(shard_table(**{name: pickled_column([bomb, bomb])})))


def test_pickled_metadata_of_extension_types_stay_bytes(bomb: Bomb) -> None:
    """As old versions of pyarrow and of Ray wrote their types."""
    import ray.data  # noqa: F401

    for name in ("arrow.py_extension_type", "ray.data.arrow_tensor", "ray.data.arrow_tensor_v2"):
        metadata = {"ARROW:extension:name": name, "ARROW:extension:metadata": pickle.dumps(bomb)}
        table = shard_table()
        field = pa.field("x", table.schema.field("x").type, metadata=metadata)
        schema = pa.schema([field, *list(table.schema)[1:]], metadata=table.schema.metadata)
        data = parquet(pa.table(table.columns, schema=schema))
        try:
            decode_shard(data)
        except Corrupt as error:
            line(error)


@pytest.mark.parametrize("as_stream", [False, True])
def test_image_tables_of_pickled_columns_are_refused(bomb: Bomb, tmp_path: Path, as_stream: bool) -> None:
    bad = pickled_column([bomb, bomb])
    good = pa.array([b"x", b"y"])
    columns = {
        "the images": {"image": bad},
        "inside the images": {"image": pa.StructArray.from_arrays([good, bad], ["bytes", "path"])},
        "the labels": {"image": good, "label": bad},
    }
    for name, table in columns.items():
        folder = tmp_path / name
        folder.mkdir()
        if as_stream:
            with (
                pa.OSFile(str(folder / "data.arrow"), "wb") as sink,
                pa.ipc.new_stream(sink, pa.table(table).schema) as writer,
            ):
                writer.write_table(pa.table(table))
            (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
        else:
            pq.write_table(pa.table(table), folder / "data.parquet")
        with pytest.raises(InvalidInput) as caught:
            list(open_catalogue(Reading(str(folder), "data.path", "", "", ())).read(np.arange(2)))
        line(caught.value)


@dataclass(frozen=True)
class Source:
    """A decoded data set of two images."""

    dataset: str = "two"
    n_decoded: int = 2

    @property
    def event(self) -> Event:
        return Event((1, 2, 2), "uint8")


def test_a_cache_of_decoded_images_is_no_pickle(bomb: Bomb, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "cache"))
    cached = Cached(Source())
    cached.write([(np.zeros((2, 1, 2, 2), np.uint8), np.zeros(2, np.int32))])
    cached.open()
    whole = {name: (cached.folder / name).read_bytes() for name in ("x.npy", "label.npy")}
    for name, data in whole.items():
        for bad in (npy(bomb), pickle.dumps(bomb), b"", data[:60]):
            (cached.folder / name).write_bytes(bad)
            with pytest.raises(InvalidInput, match="remove the folder") as caught:
                cached.open()
            line(caught.value)
        (cached.folder / name).write_bytes(data)


def test_image_files_that_are_pickles_are_bad_images(bomb: Bomb, tmp_path: Path) -> None:
    from mad_ray.data.images import Images

    pictures = made_up(n=4)
    name = min(pictures)
    write_folder(tmp_path / "images", {**pictures, name: pickle.dumps(bomb)})
    source = Images(path=str(tmp_path / "images"), size=8)
    part = source.decode(0, source.n_decoded)
    assert len(part.bad) == 1
    line(source.refusal(part.bad))


@pytest.mark.parametrize("evil", ["../../evil.png", "/evil.png", "c/../../evil.png", "..\\evil.png"])
def test_names_in_a_zip_lead_nowhere(tmp_path: Path, evil: str, monkeypatch) -> None:
    """Its members are read, never unpacked."""
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "inner" / "most"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "images.zip", "w") as file:
        for name, data in {**made_up(n=4), evil: next(iter(made_up(n=1).values()))}.items():
            file.writestr(name, data)
    before = set(tmp_path.rglob("*"))
    try:
        list(open_catalogue(Reading(str(folder / "images.zip"), "data.path", "", "none", ())).read(np.arange(4)))
    except InvalidInput as error:
        line(error)
    assert set(tmp_path.rglob("*")) == before
    assert not Path("/evil.png").exists()


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a/../../secret"])
def test_a_data_set_that_lists_files_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"hush")
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(InvalidInput, match="is not there") as caught:
        open_catalogue(Reading(str(folder), "data.path", "", "", ()))
    assert "hush" not in line(caught.value)


def test_a_pipeline_of_pickled_weights_is_refused(bomb: Bomb, tmp_path: Path) -> None:
    for name, text in (("model_index.json", "{}"), ("unet/config.json", "{}")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").write_bytes(torch_file(bomb))
    with pytest.raises(InvalidInput, match=r"pickled weights \(.bin\) can run any code, so they are refused") as caught:
        read_pipeline(str(tmp_path))
    line(caught.value)


def test_a_pipeline_whose_safetensors_are_a_pickle_is_refused(bomb: Bomb, tmp_path: Path) -> None:
    from mad_ray.families.pretrained import pretrained
    from tests.families.pipelines import save_pipeline

    folder = save_pipeline(tmp_path / "pipeline")
    path = Path(str(folder)) / "unet" / "diffusion_pytorch_model.safetensors"
    for disguise in ("pickle", "torch", "safetensors of it"):
        path.write_bytes(DISGUISES[disguise](bomb))
        with pytest.raises(InvalidInput) as caught:
            pretrained(str(folder), read_pipeline(str(folder)))
        line(caught.value)


EVIL_KEYS = [
    "..", "../a", "a/../../b", "/etc/passwd", "//a", "a//b", "a/./b", "./a", "~/../a/..", "a\\..\\b", "..\\a", "C:\\a",
    "a\0b", "a\nb", "a\r\nHost: evil", "a\x7fb", "a\x1b[2J", "\u202egnp.a", "a\u2028b", "a/\ufeff", "\u200b..",
    "a\ud800", ".tmp/a", ".tmp",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["memory", "local", "s3"])
def test_no_key_escapes(request, kind: str, tmp_path: Path) -> None:
    inside = tmp_path / "deep" / "store"
    if kind == "s3":
        url = request.getfixturevalue("s3").url
    else:
        url = str(inside) if kind == "local" else f"memory://{os.urandom(8).hex()}"
    store = open_store(url)
    store.put("a", b"1")
    for key in EVIL_KEYS:
        for call in (store.get, store.delete, lambda key: store.put(key, b"x"), lambda key: store.list(f"{key}/")):
            with pytest.raises(InvalidInput, match="store key"):
                list(call(key) or ())
    assert [entry.key for entry in store.list("")] == ["a"]
    if kind == "local":
        assert sorted(path.name for path in tmp_path.rglob("*")) == [".tmp", "a", "deep", "store"]


@pytest.mark.parametrize(
    "key", ["%2e%2e/a", "..%2fa", "‥/a", "．．/a", "a?versionId=1", "a#b", "*", "~", "$HOME", "-rf"]
)
@pytest.mark.parametrize("kind", ["local", "s3"])
def test_keys_that_only_look_like_it_are_names_like_any(request, kind: str, key: str, tmp_path: Path) -> None:
    url = request.getfixturevalue("s3").url if kind == "s3" else str(tmp_path / "store")
    store = open_store(url)
    store.put(key, b"1")
    assert [entry.key for entry in store.list("")] == [key]
    assert store.get(key) == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ([] if kind == "s3" else ["store"])


def test_links_do_not_lead_out_of_a_directory(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"hush")
    (tmp_path / "store").symlink_to(inside)
    inside.mkdir()
    store = LocalStore(str(tmp_path / "store"))
    store.put("a/b", b"1")
    assert store.get("a/b") == b"1", "the store itself may be reached by a link"
    (inside / "folder").symlink_to(outside)
    (inside / "file").symlink_to(outside / "secret")
    (inside / "up").symlink_to("..")
    for key in ("folder/secret", "folder/new", "folder/new/er", "file", "up/outside/secret"):
        for call in (store.get, store.delete, lambda key: store.put(key, b"x")):
            with pytest.raises(StoreError, match="a link leads out of the store") as caught:
                call(key)
            assert "hush" not in line(caught.value)
    assert [entry.key for entry in store.list("")] == ["a/b"]
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"hush"


@pytest.mark.parametrize("name", ["../../../secret", "/etc/passwd", "..", "a\nb", "models\0"])
def test_what_a_manifest_names_lies_under_its_attempt(name: str) -> None:
    from mad_ray.ledger.chain import read_checked

    store = store_of("secret", b"hush")
    with pytest.raises(InvalidInput, match="store key"):
        read_checked(store, f"cohorts/x/attempts/000001-a/{name}", Blob(name, 4, "0" * 64))


# What can run what it reads -> where alone it may be: results that Ray's own processes hand each other.
DANGEROUS = {
    "pickle": {"onray/failures.py", "onray/sample.py", "onray/decode.py"},
    "cloudpickle": set(),
    "dill": set(),
    "marshal": set(),
    "shelve": set(),
    "joblib": set(),
    "torch.load": set(),
    "torch.jit.load": set(),
    "yaml.load": set(),
    "yaml.unsafe_load": set(),
    "yaml.full_load": set(),
    "eval": set(),
    "exec": set(),
    "os.system": set(),
    "os.popen": set(),
}


def dangers(tree: ast.AST) -> Iterator[str]:
    """Every dangerous module imported, function called, and permission given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.replace(".", "").isidentifier():
                yield name
            for word in node.keywords:
                value = ast.unparse(word.value)
                if (word.arg, value) not in SAFE and word.arg in {name for name, _ in SAFE}:
                    yield f"{word.arg}={value}"


SAFE = {("allow_pickle", "False"), ("weights_only", "True"), ("shell", "False"), ("use_safetensors", "True")}


def test_nothing_that_could_run_data_is_used() -> None:
    found: dict[str, set[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        for danger in dangers(ast.parse(path.read_text(encoding="utf-8"))):
            name = danger if danger in DANGEROUS or "=" in danger else danger.partition(".")[0]
            if name in DANGEROUS or "=" in name:
                found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    assert {name: strays for name, places in found.items() if (strays := places - DANGEROUS.get(name, set()))} == {}
    assert found["pickle"] == DANGEROUS["pickle"], "an allowance that nobody uses goes"


def test_the_search_finds_what_it_looks_for() -> None:
    text = """
import pickle
from torch import load
np.load(f, allow_pickle=True)
torch.load(f, weights_only=False)
eval('1')"""
    assert {"pickle", "torch.load", "allow_pickle=True", "weights_only=False", "eval"} <= set(dangers(ast.parse(text)))
