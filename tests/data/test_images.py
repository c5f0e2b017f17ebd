"""The user's own images: the same rows whatever they lie in, and one clear line where they cannot be used."""

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import identity
from mad_ray.core.keys import Keys
from mad_ray.core.samples import NO_LABEL
from mad_ray.data import Images, images, source
from tests.data.pictures import (
    encoded,
    made_up,
    picture,
    table,
    write_folder,
    write_hugging_face,
    write_parquet,
    write_zip,
)

KEYS = Keys((0, 3)).at("real")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "pictures", made_up())


def every_row(data: Images) -> tuple[bytes, bytes, bytes, bytes]:
    rows, held = data.rows(0, data.n_rows or 0, KEYS), data.held_out(data.n_held_out or 0)
    return rows.x.tobytes(), rows.label.tobytes(), held.x.tobytes(), held.label.tobytes()


def refused(path: Path, **settings: object) -> str:
    """The one line, whether it comes when the files are looked at, or when they are decoded."""
    with pytest.raises(InvalidInput) as caught:
        Images(str(path), **settings).rows(0, 1, KEYS)
    assert "\n" not in str(caught.value)
    return str(caught.value)


FORMS: dict[str, Callable[[Path], Path]] = {
    "zip": lambda at: write_zip(at / "pictures.zip", made_up()),
    "zip in capitals": lambda at: write_zip(at / "PICTURES.ZIP", made_up()),
    "Parquet, structs": lambda at: write_parquet(at / "a.parquet", table(made_up())),
    "Parquet, bytes and numbers": lambda at: write_parquet(
        at / "a.parquet", table(made_up(), as_struct=False, label="numbers")
    ),
    "Parquet, several files": lambda at: (
        (
            write_parquet(at / "many" / "part-1.parquet", table(made_up()).slice(0, 5)),
            write_parquet(at / "many" / "part-2.parquet", table(made_up()).slice(5)),
        )[0].parent
    ),
    "Hugging Face": lambda at: write_hugging_face(at / "saved", table(made_up(), label="features")),
    "Hugging Face without features": lambda at: write_hugging_face(at / "saved", table(made_up(), label="numbers"), 1),
}


@pytest.mark.parametrize("write", FORMS.values(), ids=list(FORMS))
def test_the_same_rows_to_the_byte_whatever_they_lie_in(folder: Path, tmp_path: Path, write) -> None:
    """But another study: what is stored was another file."""
    of_folder, other = Images(str(folder), size=8), Images(str(write(tmp_path)), size=8)
    assert other.event == of_folder.event
    assert other.event.n_classes == 3
    assert every_row(other) == every_row(of_folder)
    assert identity(other) != identity(of_folder)


def test_a_folder_of_what_was_drawn(folder: Path) -> None:
    """Images and labels by their names; every image on one side of the split, and nothing but the split decides."""
    data = Images(str(folder), size=8)
    assert (data.n_rows, data.n_held_out) == (19, 5)
    rows, held = data.rows(0, 19, KEYS), data.held_out(5)
    where = {picture(i).transpose(2, 0, 1).tobytes(): i for i in range(24)}
    for b in (0, 1):
        found = [where[x.tobytes()] for x in (*rows.x[b], *held.x[0])]
        assert sorted(found) == list(range(24))
        assert [i % 3 for i in found] == [*rows.label[b], *held.label[0]]
    assert not np.array_equal(rows.x[0], rows.x[1]), "each trajectory walks in its own order"
    assert len(set(held.label[0].tolist())) > 1, "held out in order of files they would be of one class"


def test_blocks_are_the_rows_of_the_whole(folder: Path) -> None:
    data = Images(str(folder), size=8)
    whole = data.rows(0, 19, KEYS)
    parts = [data.rows(start, min(19, start + 4), KEYS) for start in range(0, 19, 4)]
    np.testing.assert_array_equal(np.concatenate([part.x for part in parts], axis=1), whole.x)


def test_another_split_only_when_it_is_stated(folder: Path) -> None:
    data, same, other = (Images(str(folder), size=8, split=split) for split in (0, 0, 1))
    assert every_row(same) == every_row(data)
    assert every_row(other)[2] != every_row(data)[2]
    wider = Images(str(folder), size=8, held_out_share=0.5)
    assert wider.n_held_out == 12
    assert every_row(wider)[2].startswith(every_row(data)[2]), "more held out: those that were are still"
    assert wider.dataset == data.dataset, "what is decoded does not depend on the split"


def test_a_limit_takes_images_of_all_classes(folder: Path) -> None:
    data = Images(str(folder), size=8, limit=10)
    assert (data.n_decoded, data.n_rows, data.n_held_out) == (10, 8, 2)
    assert len(set(data.rows(0, 8, KEYS).label[0].tolist())) > 1
    assert data.dataset != Images(str(folder), size=8).dataset


def test_parts_are_what_they_are_called(tmp_path: Path) -> None:
    files = {f"{part}/{name}": data for part in ("train", "test") for name, data in made_up(12).items()}
    files |= {"test/newt/1.png": encoded(picture(99))}
    folder = write_folder(tmp_path / "pictures", files)
    assert "test, train look like parts of the data: say which is held out" in refused(folder)
    data = Images(str(folder), size=8, part="train", held_out_part="test")
    assert (data.n_rows, data.n_held_out, data.event.n_classes) == (12, 13, 4)
    assert Images(str(folder), size=8, held_out_part="test").n_rows == 12
    assert Images(str(folder), size=8, part="train").n_held_out == 2
    for path in (
        write_zip(tmp_path / "a.zip", files),
        _dataset_dict(tmp_path / "dict", files),
        _parquet_parts(tmp_path / "parquet", files),
    ):
        assert every_row(Images(str(path), size=8, part="train", held_out_part="test")) == every_row(data)
        assert "look like parts of the data" in refused(path)
    assert "data.part=dev: " in refused(folder, part="dev")


def _of_part(files: dict[str, bytes], part: str) -> dict[str, bytes]:
    return {name.removeprefix(f"{part}/"): data for name, data in files.items() if name.startswith(part)}


def _dataset_dict(folder: Path, files: dict[str, bytes]) -> Path:
    for part in ("train", "test"):
        write_hugging_face(folder / part, table(_of_part(files, part)))
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    return folder


def _parquet_parts(folder: Path, files: dict[str, bytes]) -> Path:
    for part in ("train", "test"):
        write_parquet(folder / "data" / f"{part}-00000-of-00001.parquet", table(_of_part(files, part)))
    return folder


def test_images_without_classes_have_no_labels(tmp_path: Path) -> None:
    flat = write_folder(tmp_path / "flat", {name.replace("/", "-"): data for name, data in made_up().items()})
    data = Images(str(flat), size=8)
    assert data.event.n_classes == 0
    assert set(data.rows(0, 19, KEYS).label.flat) == {NO_LABEL}
    unlabelled = Images(str(write_folder(tmp_path / "classes", made_up())), size=8, label="none")
    assert unlabelled.event.n_classes == 0
    assert unlabelled.rows(0, 1, KEYS).label[0, 0] == NO_LABEL
    parquet = Images(str(write_parquet(tmp_path / "a.parquet", table(made_up(), label="none"))), size=8)
    assert parquet.event.n_classes == 0


def test_what_lies_beside_images_is_no_image(folder: Path) -> None:
    beside = {"README": b"x", "notes.txt": b"x", "labels.csv": b"x", ".cache/a.png": b"x", "__MACOSX/cat/1.png": b"x"}
    data = Images(str(folder), size=8)
    before = every_row(data), data.content
    again = Images(str(write_folder(folder.parent / "again", made_up() | beside)), size=8)
    assert (every_row(again), again.content) == before


def test_other_data_are_another_study_and_a_moved_folder_is_the_same(folder: Path, tmp_path: Path) -> None:
    data = Images(str(folder), size=8)
    moved = Images(str(write_folder(tmp_path / "elsewhere" / "deep", made_up())), size=8)
    assert identity(moved) == identity(data)
    assert "path" not in identity(data)
    files = made_up()
    for change in (
        files | {"cat/000.png": encoded(picture(77))},
        {name: data for name, data in files.items() if name != "cat/000.png"},
        {name.replace("cat/000", "dog/000"): data for name, data in files.items()},
    ):
        other = Images(str(write_folder(tmp_path / f"changed-{len(change)}-{hash(str(change))}", change)), size=8)
        assert identity(other) != identity(data)
    zips = [write_zip(tmp_path / name, files) for name in ("one.zip", "renamed.zip")]
    assert identity(Images(str(zips[0]))) == identity(Images(str(zips[1])))


def test_content_that_is_stated_must_be_there(folder: Path) -> None:
    found = Images(str(folder)).content
    assert Images(str(folder), content=found).n_rows == 19
    assert f"content {found} where data.content=0123 is expected" in refused(folder, content="0123")


def test_a_worker_that_sees_no_files_reads_what_was_decoded(folder: Path) -> None:
    """Settings travel with what is known of the files; the rows come from the cache, as mapped memory."""
    data = Images(str(folder), size=8)
    before = every_row(data)
    there = pickle.dumps(data)
    os.rename(folder, folder.with_name("gone"))
    images._catalogue.cache_clear()
    images._content.cache_clear()
    source._load_once.cache_clear()
    again = pickle.loads(there)
    assert (again.n_rows, again.event) == (data.n_rows, data.event)
    assert every_row(again) == before
    base = again._table.x.of
    while not isinstance(base, np.memmap):
        base = base.base
    assert len(there) < 2000


BAD: dict[str, tuple[dict[str, bytes], str]] = {
    "truncated": (
        {"cat/000.png": made_up()["cat/000.png"][:80]},
        r"cat/000.png cannot be read as an image \(.*\); it is the only one: mend or remove it",
    ),
    "no image": (
        {"cat/000.png": b"some text", "dog/x.jpg": b"", "owl/x.gif": b"GIF89a"},
        r"cat/000.png cannot be read as an image \(cannot identify.*\); it is the first of 3: .* \(all are listed in",
    ),
    "an unknown kind": ({"cat/x.heic": b"ftypheic"}, r"cat/x.heic cannot be read as an image"),
    "floating point": (
        {"cat/000.tif": encoded(np.zeros((8, 8), np.float32), "TIFF")},
        r"its values are of floating point, range unknown",
    ),
}


@pytest.mark.parametrize(("files", "line"), BAD.values(), ids=list(BAD))
@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_images_that_cannot_be_read_are_told(tmp_path: Path, files, line: str, write) -> None:
    path = write(tmp_path / "a.zip", made_up() | files)
    message = refused(path, size=8)
    assert message.startswith(f"data.path={path}: ")
    assert re.search(line, message)
    if "listed in" in message:
        listed = Path(message.partition("listed in ")[2].rstrip(")")).read_text().splitlines()
        assert [line.split("\t")[:2] for line in listed] == [
            ["cat/000.png", "unreadable"],
            ["dog/x.jpg", "unreadable"],
            ["owl/x.gif", "unreadable"],
        ]


def test_images_of_mixed_sizes_are_told(tmp_path: Path) -> None:
    mixed = made_up() | {"dog/001.png": encoded(picture(1, 9, 8)), "owl/002.png": encoded(picture(2, 8, 40))}
    folder = write_folder(tmp_path / "mixed", mixed | {"owl/zzz.png": b""})
    message = refused(folder, size=8, resize="none")
    assert "dog/001.png has 9x8 pixels where data.resize=none and data.size=8 want 8x8; it is the first of 2" in message
    assert "and 1 images are unreadable: set data.resize to crop, fit or squash" in message
    readable = write_folder(tmp_path / "readable", mixed)
    for resize in ("crop", "fit", "squash"):
        assert Images(str(readable), size=8, resize=resize).rows(0, 1, KEYS).x.shape == (2, 1, 3, 8, 8)


def test_nothing_is_kept_of_data_that_are_refused(tmp_path: Path, cache: Path) -> None:
    path = write_folder(tmp_path / "a", made_up() | {"cat/000.png": b""})
    refused(path, size=8)
    assert not list((cache / "datasets").glob("*/")), "neither a data set nor half of one"


PLACES: dict[str, tuple[Callable[[Path], object], dict[str, object], str]] = {
    "nothing": (lambda at: None, {}, "there is no "),
    "an empty folder": (lambda at: at.mkdir(), {}, "holds no image"),
    "texts only": (lambda at: write_folder(at, {"a.txt": b"x"}), {}, "holds no image"),
    "a text": (lambda at: at.write_text("x"), {}, "is one file, and neither .zip nor .parquet"),
    "a class beside none": (lambda at: write_folder(at, {**made_up(), "x.png": b""}), {}, "x.png lies in no class"),
    "one image": (lambda at: write_folder(at, {"x.png": encoded(picture(0))}), {}, "1 images leave 1 to train on"),
    "no such column": (
        lambda at: write_parquet(at / "a.parquet", table(made_up())),
        {"image": "img"},
        "columns: image",
    ),
    "no such label": (
        lambda at: write_parquet(at / "a.parquet", table(made_up())),
        {"label": "y"},
        "data.label=y is no",
    ),
    "images as labels": (
        lambda at: write_parquet(at / "a.parquet", table(made_up())),
        {"label": "image"},
        "give a column of whole numbers or text",
    ),
    "two columns of images": (
        lambda at: write_parquet(at / "a.parquet", (t := table(made_up())).append_column("twin", t["image"])),
        {},
        "2 columns fit; name one of bytes",
    ),
    "no Parquet": (lambda at: write_folder(at, {"a.parquet": b"PAR1 no"}), {}, "a.parquet is no whole Parquet file"),
    "paths only": (
        lambda at: write_parquet(at / "a.parquet", _without_bytes()),
        {},
        "a.parquet, row 0 cannot be read as an image (only the path cat/000.png and no bytes",
    ),
    "rows without a label": (
        lambda at: write_parquet(at / "a.parquet", _without_labels()),
        {},
        "a.parquet, row 3 is in no class (no label); it is the first of 2: set data.label to none",
    ),
    "no state of a data set": (lambda at: write_folder(at, {"state.json": b"{}"}), {}, "state.json is none that"),
    "an arrow file that is missing": (
        lambda at: (write_hugging_face(at, table(made_up())) / "data-00001-of-00002.arrow").unlink(),
        {},
        "data-00001-of-00002.arrow, listed in state.json, is not there",
    ),
    "an arrow file cut short": (
        lambda at: _cut(write_hugging_face(at, table(made_up())) / "data-00001-of-00002.arrow"),
        {},
        "data-00001-of-00002.arrow is no whole Arrow stream",
    ),
}


def _without_bytes() -> pa.Table:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.table({"image": pa.array([{"bytes": None, "path": "cat/000.png"}] * 5, kind)})


def _without_labels() -> pa.Table:
    found = table(made_up()).to_pylist()
    found[3]["label"] = found[5]["label"] = None
    return pa.Table.from_pylist(found)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-700])


@pytest.mark.parametrize(("write", "settings", "line"), PLACES.values(), ids=list(PLACES))
def test_places_that_hold_no_images_are_told(tmp_path: Path, write, settings, line: str) -> None:
    write(tmp_path / "place")
    message = refused(tmp_path / "place", size=8, **settings)
    assert line in message
    assert message.startswith("data")


def test_a_zip_cut_short_is_told(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", made_up())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidInput, match="not a whole zip"):
        Images(str(path))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"size": 0}, "data.size=0: a side has 1 to 1024 pixels"),
        ({"size": 2000}, "data.size=2000"),
        ({"held_out_share": 0.0}, "data.held_out_share=0.0 is outside"),
        ({"held_out_share": 1.0}, "data.held_out_share=1.0 is outside"),
        ({"limit": -1}, "data.limit=-1"),
        ({"part": "a", "held_out_part": "a"}, "data.part=a is held out too"),
    ],
)
def test_settings_that_cannot_be(settings: dict, line: str) -> None:
    with pytest.raises(InvalidInput, match=line):
        Images(**settings)


def test_without_a_path_it_says_what_it_needs() -> None:
    with pytest.raises(InvalidInput, match=r"data.path is missing: images need a folder"):
        _ = Images().n_rows
