"""Small image data sets made in a folder: the same pictures as a folder, a zip, Parquet, a Hugging Face directory."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def encoded(array: np.ndarray, kind: str = "PNG", mode: str | None = None, **options: object) -> bytes:
    """An array as an image file's bytes; the mode is Pillow's."""
    stream = io.BytesIO()
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(stream, kind, **options)
    return stream.getvalue()


def picture(i: int, width: int = 8, height: int = 8) -> np.ndarray:
    """uint8 [height, width, 3], different for every i."""
    return np.random.default_rng(i).integers(0, 256, (height, width, 3)).astype(np.uint8)


def made_up(n: int = 24, classes: tuple[str, ...] = ("cat", "dog", "owl"), **size: int) -> dict[str, bytes]:
    """name -> PNG: n pictures, dealt into folders of their classes."""
    return {f"{classes[i % len(classes)]}/{i:03d}.png": encoded(picture(i, **size)) for i in range(n)}


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    """Not in order, and beneath one folder, as archives often are."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files, reverse=True):
            archive.writestr(f"wrapped/{name}", files[name])
    return path


def table(files: dict[str, bytes], *, as_struct: bool = True, label: str = "names") -> pa.Table:
    """Rows in the order of names. label: names, numbers, features (numbers that Hugging Face's features name), none."""
    names = sorted(files)
    classes = sorted({name.partition("/")[0] for name in names})
    images = [{"bytes": files[name], "path": name} if as_struct else files[name] for name in names]
    columns: dict[str, object] = {"image": pa.array(images), "id": pa.array(range(len(names)))}
    if label == "names":
        columns["label"] = pa.array([name.partition("/")[0] for name in names])
    elif label != "none":
        columns["label"] = pa.array([classes.index(name.partition("/")[0]) for name in names])
    found = pa.table(columns)
    if label == "features":
        features = {"image": {"_type": "Image"}, "label": {"names": classes, "_type": "ClassLabel"}}
        found = found.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    return found


def write_parquet(path: Path, rows: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path, row_group_size=7)
    return path


def write_hugging_face(folder: Path, rows: pa.Table, n_files: int = 2) -> Path:
    """As `datasets` 5.2 writes it by save_to_disk, and a cache of its own beside, which is no data."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data-{i:05d}-of-{n_files:05d}.arrow" for i in range(n_files)]
    size = -(-len(rows) // n_files)
    for i, name in enumerate([*names, "cache-1234.arrow"]):
        some = rows.slice(i * size if name in names else 0, size)
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(some, max_chunksize=5)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "1a2b", "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder
