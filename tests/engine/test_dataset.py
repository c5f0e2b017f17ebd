"""Decoded data in the store: made once, whole or not at all, and fetched to where real rows are read."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from mad_ray.core.errors import Corrupt, InvalidInput, StoreError
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Slice
from mad_ray.data import Digits, Images, decoded, source
from mad_ray.data.decoded import Cached, bounds_of
from mad_ray.engine import dataset
from mad_ray.engine.dataset import DecodeJob, PartResult, decode_here, missing, open_source, prepare
from mad_ray.engine.stream import TrainingSet
from mad_ray.ledger.documents import verify_documents
from tests.data.pictures import made_up, write_folder
from tests.engine.made_up import new_store

KEYS = Keys((0,)).at("real")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "PART_ROWS", 7)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Images:
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "driver"))
    found = Images(str(write_folder(tmp_path / "pictures", made_up())), size=8)
    assert found.facts.n == 24
    return found


def silent(line: str) -> None:
    pass


def elsewhere(data: Images, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Images:
    """As a worker on another machine has it: another cache, and no such files."""
    sent = pickle.dumps(data)
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "worker"))
    source._load_once.cache_clear()
    monkeypatch.setattr(Images, "decode", None)
    return pickle.loads(sent)


def test_a_worker_reads_what_the_driver_decoded(data: Images, monkeypatch, tmp_path: Path) -> None:
    store, said = new_store(), []
    prepare(store, [data, data, Digits()], decode_here, said.append)
    assert said == ["decoding 24 images, once; they are kept in the store"]
    expected = data.rows(0, 19, KEYS)
    there = elsewhere(data, monkeypatch, tmp_path)
    rows = next(TrainingSet(there, KEYS, (Slice(0, 0, 19),), {}, store=store).batches(100))
    assert rows.x.tobytes() == expected.x.tobytes()
    assert rows.label.tobytes() == expected.label.tobytes()
    assert Cached(there).is_there


def test_what_is_in_the_store_is_not_decoded_again(data: Images, monkeypatch) -> None:
    store = new_store()
    prepare(store, [data], decode_here, silent)
    assert missing(store, [data]) == []
    prepare(store, [data], lambda job: pytest.fail("decoded again"), silent)


def test_parts_in_any_order_and_twice_make_the_same_data(data: Images) -> None:
    stores = [new_store(), new_store()]
    prepare(stores[0], [data], decode_here, silent)

    def disorderly(job: DecodeJob) -> list[PartResult]:
        list(decode_here(job))
        return list(decode_here(job))[::-1]

    prepare(stores[1], [data], disorderly, silent)
    keys = [[entry.key for entry in store.list("")] for store in stores]
    assert len(keys[0]) == len(bounds_of(data)) + 1 == 5
    assert keys[0] == keys[1]
    assert all(stores[0].get(key) == stores[1].get(key) for key in keys[0])


def test_a_killed_preparation_leaves_nothing_visible(data: Images, monkeypatch, tmp_path: Path) -> None:
    store = new_store()

    def killed(job: DecodeJob) -> Iterator[PartResult]:
        yield from list(decode_here(job))[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(store, [data], killed, silent)
    assert [source.dataset for source in missing(store, [data])] == [data.dataset]
    prepare(store, [data], decode_here, silent)
    assert list(verify_documents(store, "datasets/")) == []


def test_all_bad_images_are_counted_whatever_part_they_are_in(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "cache"))
    files = made_up() | {"cat/003.png": b"", "owl/023.png": b"no image"}
    data, store = Images(str(write_folder(tmp_path / "pictures", files)), size=8), new_store()
    with pytest.raises(InvalidInput, match=r"cat/003.png cannot be read .* it is the first of 2: mend or remove them"):
        prepare(store, [data], lambda job: reversed(list(decode_here(job))), silent)
    assert len(missing(store, [data])) == 1


def test_damage_in_the_store_is_found(data: Images, monkeypatch, tmp_path: Path) -> None:
    store = new_store()
    prepare(store, [data], decode_here, silent)
    key = next(entry.key for entry in store.list("datasets/") if "part-00002" in entry.key)
    damaged = bytearray(store.get(key))
    damaged[-1] ^= 1
    store.put(key, bytes(damaged))
    assert [finding.key for finding in verify_documents(store, "datasets/")] == [key]
    there = elsewhere(data, monkeypatch, tmp_path)
    with pytest.raises(Corrupt, match="not those that were committed"):
        open_source(store, there)
    assert not Cached(there).is_there


def test_without_a_store_or_a_preparation_a_source_decodes_by_itself(data: Images) -> None:
    assert open_source(new_store(), data) is data
    assert data.rows(0, 19, KEYS).n == 19


def test_other_sources_are_left_alone() -> None:
    class Untouchable:
        def get(self, key: str) -> bytes:
            raise StoreError("asked")

    digits = Digits()
    assert open_source(Untouchable(), digits) is digits  # type: ignore[arg-type]
    assert missing(Untouchable(), [digits]) == []  # type: ignore[arg-type]


def test_a_cache_that_cannot_be_written_is_one_line(data: Images, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "file"))
    source._load_once.cache_clear()
    with pytest.raises(InvalidInput, match="let MAD_RAY_CACHE name a folder on a disk with room"):
        data.rows(0, 1, KEYS)


def test_files_that_changed_meanwhile_are_noticed(data: Images, tmp_path: Path) -> None:
    from mad_ray.data import images

    images._catalogue.cache_clear()
    write_folder(tmp_path / "pictures", {"cat/new.png": made_up()["cat/000.png"]})
    with pytest.raises(InvalidInput, match="there are other files now than when the study started"):
        next(iter(decode_here(DecodeJob(new_store(), data))))


def test_two_processes_that_fetch_at_once_keep_one_whole(data: Images, monkeypatch, tmp_path: Path) -> None:
    store = new_store()
    prepare(store, [data], decode_here, silent)
    index = dataset._read_index(store, data)
    assert index is not None
    there = elsewhere(data, monkeypatch, tmp_path)

    def slow() -> Iterator:
        parts = list(dataset._stored(store, there, index))
        yield parts[0]
        open_source(store, there)
        yield from parts[1:]

    Cached(there).write(slow())
    assert Cached(there).open()[0].shape == (24, 3, 8, 8)
    assert [path.name for path in (tmp_path / "worker" / "datasets").iterdir()] == [there.dataset]
