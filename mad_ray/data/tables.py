"""Images in the rows of tables: which column holds them, which their labels. What Parquet and Arrow files share."""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from mad_ray.core.errors import InvalidInput
from mad_ray.data.catalogue import Reading, Row, Run, require_no_splits, runs_of
from mad_ray.data.listed import Files, Stat


class Tables:
    """Several files of rows, one after another (data/catalogue.py: Catalogue). A subclass opens and reads each."""

    def __init__(self, files: Files, stats: Sequence[Stat], reading: Reading) -> None:
        self.files, self._source, self._reading = stats, files, reading
        self._lengths = list(self._count())
        self._schema = self._schema_of(0)
        self._image = _image_column(self._schema, reading)
        self._label = _label_column(self._schema, reading)
        if not sum(self._lengths):
            raise InvalidInput(f"{reading.where} holds no row; correct it")
        if not reading.parts:
            require_no_splits({run.part for run in self.runs}, reading.where)

    @cached_property
    def runs(self) -> list[Run]:
        return runs_of([(self._part(stat.name), n) for stat, n in zip(self.files, self._lengths, strict=True)])

    @cached_property
    def classes(self) -> Sequence[str | int]:
        """As the file's own features name them, else every value of the column, sorted; negative ones are no label."""
        if not self._label:
            return []
        if names := _class_names(self._schema, self._label):
            return range(len(names))
        values = {value for i in range(len(self.files)) for value in self._labels(i)} - {None}
        return sorted(value for value in values if isinstance(value, str) or value >= 0)

    def read(self, rows: np.ndarray) -> Iterator[Row]:
        start = 0
        for i, n in enumerate(self._lengths):
            wanted = rows[(rows >= start) & (rows < start + n)] - start
            if len(wanted):
                yield from self._read(i, wanted)
            start += n

    def _read(self, i: int, rows: np.ndarray) -> Iterator[Row]:
        columns = [self._image, *([self._label] if self._label else [])]
        for first, batch in self._batches(i, rows, columns):
            inside = rows[(rows >= first) & (rows < first + len(batch))]
            taken = batch.select(columns).take(pa.array(inside - first))
            labels = taken.column(1).to_pylist() if self._label else [None] * len(taken)
            for row, value, label in zip(inside.tolist(), taken.column(0).to_pylist(), labels, strict=True):
                data, problem = _bytes_of(value)
                yield Row(f"{self.files[i].name}, row {row}", data, label, problem)

    def _count(self) -> Iterable[int]:
        """Rows of every file."""
        return map(self._length, range(len(self.files)))

    def _part(self, name: str) -> str:
        """The part of the data that a file holds."""
        raise NotImplementedError

    def _length(self, i: int) -> int:
        """Rows of file i."""
        raise NotImplementedError

    def _schema_of(self, i: int) -> pa.Schema:
        raise NotImplementedError

    def _labels(self, i: int) -> set[Any]:
        """Every value of file i's label column."""
        raise NotImplementedError

    def _batches(self, i: int, rows: np.ndarray, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
        """(number of its first row, batch) of file i, all that hold one of these rows at least."""
        raise NotImplementedError


def _bytes_of(value: Any) -> tuple[bytes, str]:
    """The bytes of an image's cell, or why there are none. Hugging Face's images are {bytes, path}."""
    if isinstance(value, dict):
        if value.get("bytes") is None and value.get("path"):
            return b"", f"only the path {value['path']} and no bytes; save the data set with its images embedded"
        value = value.get("bytes")
    return (b"", "an empty cell") if value is None else (value, "")


def _image_column(schema: pa.Schema, reading: Reading) -> str:
    fit = [field.name for field in schema if _holds_bytes(field.type)]
    if reading.image in fit:
        return reading.image
    if not reading.image and len(fit) == 1:
        return fit[0]
    names = ", ".join(f"{field.name} ({str(field.type)[:40]})" for field in schema)
    found = f"data.image={reading.image} is no column of image files" if reading.image else f"{len(fit)} columns fit"
    raise InvalidInput(
        f"{reading.where}: {found}; name one of bytes, or of {{bytes, path}}, by data.image (columns: {names})"
    )


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        # Of any other kind the fields beside are none of ours: where Ray Data is loaded, some unpickle what they hold.
        is_plain = all(_is_plain(kind.field(i).type) for i in range(kind.num_fields))
        return is_plain and kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_plain(kind: pa.DataType) -> bool:
    """Numbers, text and bytes."""
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return texts or pa.types.is_primitive(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _label_column(schema: pa.Schema, reading: Reading) -> str:
    """ "" where images carry no label."""
    name = reading.label or ("label" if "label" in schema.names else "")
    if name in ("", "none"):
        return ""
    if name not in schema.names:
        raise InvalidInput(
            f"{reading.where}: data.label={name} is no column; give one of {', '.join(schema.names)}, or none"
        )
    kind = schema.field(name).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InvalidInput(f"{reading.where}: data.label={name} holds {kind}; give a column of whole numbers or text")
    return name


def _class_names(schema: pa.Schema, label: str) -> list[str]:
    """As Hugging Face's `datasets` writes them into the schema; none if it did not."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return list(features[label]["names"])
    except (KeyError, ValueError, TypeError):
        return []
