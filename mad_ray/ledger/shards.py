"""Samples to Parquet and back: plain columns that pandas, DuckDB and pyarrow read without mad_ray."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mad_ray.core.errors import Corrupt, InvalidInput
from mad_ray.core.fingerprint import canonical_json
from mad_ray.core.samples import Samples
from mad_ray.ledger.tensors import is_short_of_memory

_TYPES = {"uint8": pa.uint8(), "int32": pa.int32(), "float32": pa.float32(), "float64": pa.float64()}
_METADATA = b"mad_ray"
_REPEATING = ["seed", "generation", "cohort", "model"]


@dataclass(frozen=True)
class Origin:
    """Where samples come from. seeds: one per trajectory. model: SHA-256 of the model's blob."""

    cohort: str
    generation: int
    seeds: tuple[int, ...]
    model: str


def encode_shard(samples: Samples, *, start: int, origin: Origin) -> bytes:
    """Samples start..start+n of each trajectory as one Parquet file, ordered by trajectory, then index.

    Columns: index (within its trajectory), seed, x (flattened event), label, weight, generation, cohort, model.
    The same input gives the same bytes under the same version of pyarrow.
    """
    n_trajectories, n = samples.x.shape[:2]
    assert len(origin.seeds) == n_trajectories, "one seed per trajectory"
    columns = {
        "index": pa.array(np.tile(np.arange(start, start + n, dtype=np.int64), n_trajectories)),
        "seed": pa.array(np.repeat(np.array(origin.seeds, np.int64), n)),
        "x": _event_column(samples.x),
        "label": pa.array(np.ascontiguousarray(samples.label, np.int32).reshape(-1)),
        "weight": pa.array(np.ascontiguousarray(samples.weight, np.float32).reshape(-1)),
        "generation": pa.array(np.full(n_trajectories * n, origin.generation, np.int32)),
        "cohort": _constant(origin.cohort, n_trajectories * n),
        "model": _constant(origin.model, n_trajectories * n),
    }
    shape = {"n_trajectories": n_trajectories, "n": n, "start": start, "event": list(samples.event)}
    return _write(pa.table(columns).replace_schema_metadata({_METADATA: canonical_json(shape)}))


def decode_shard(data: bytes) -> tuple[Samples, int]:
    """(samples, start) of a shard, bit for bit; the arrays are read-only. Corrupt if it is not one."""
    try:
        _require_plain(pq.read_schema(pa.BufferReader(data)))
        table = pq.read_table(pa.BufferReader(data), columns=["x", "label", "weight"], page_checksum_verification=True)
        shape = json.loads(table.schema.metadata[_METADATA])
        axes = (shape["n_trajectories"], shape["n"])
        x = _one_array(table, "x").flatten()
        samples = Samples(
            x.to_numpy().reshape(*axes, *shape["event"]),
            _one_array(table, "label").to_numpy().reshape(axes),
            _one_array(table, "weight").to_numpy().reshape(axes),
        )
        _require_types(samples)
        return samples, int(shape["start"])
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError) as error:
        if isinstance(error, MemoryError) and is_short_of_memory(len(data)):
            raise
        reason = " ".join(str(error).split())[:200]
        raise Corrupt(
            f"not a shard of samples ({type(error).__name__}: {reason}); it was damaged or is another file"
        ) from error


def origin_of(data: bytes, row: int) -> tuple[Origin, int]:
    """(origin, index) of one row of a shard's file; its origin has one seed. Corrupt if it is not one.

    InvalidInput if the file has no such row.
    """
    try:
        table = pq.read_table(pa.BufferReader(data), columns=["index", "seed", "generation", "cohort", "model"])
        if row >= len(table):
            raise InvalidInput(f"row {row} is not in the file; it has 0..{len(table) - 1}")
        found = {name: values[0] for name, values in table.slice(row, 1).to_pydict().items()}
        origin = Origin(str(found["cohort"]), int(found["generation"]), (int(found["seed"]),), str(found["model"]))
        return origin, int(found["index"])
    except InvalidInput:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise Corrupt(f"not a shard of samples ({type(error).__name__}); it was damaged or is another file") from error


def _event_column(x: np.ndarray) -> pa.Array:
    if x.dtype.name not in _TYPES:
        raise InvalidInput(f"samples of dtype {x.dtype.name} cannot be stored; expected one of {', '.join(_TYPES)}")
    flat = np.ascontiguousarray(x, x.dtype.newbyteorder("=")).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat, _TYPES[x.dtype.name]), math.prod(x.shape[2:]))


def _constant(value: str, n: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([value]))


def _write(table: pa.Table) -> bytes:
    # Parquet has no bytes, it stores uint8 as int32: as a dictionary they take a third of the time and less room.
    pixels = ["x.list.element"] if table.schema.field("x").type.value_type == pa.uint8() else []
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=max(1, len(table)),
        compression="zstd",
        compression_level=3,
        use_dictionary=[*_REPEATING, *pixels],
        write_statistics=["index", *_REPEATING],
        write_page_checksum=True,
        version="2.6",
        data_page_version="1.0",
    )
    return sink.getvalue().to_pybytes()


def _one_array(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name).combine_chunks()
    if column.null_count:
        raise ValueError(f"column {name} has empty cells")
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _require_plain(schema: pa.Schema) -> None:
    """ValueError for extension types: where Ray Data is loaded, reading one of them unpickles what it holds."""
    for field in schema:
        kind = field.type.value_type if pa.types.is_fixed_size_list(field.type) else field.type
        if field.name in ("x", "label", "weight") and not pa.types.is_primitive(kind):
            raise ValueError(f"column {field.name} has type {field.type}")


def _require_types(samples: Samples) -> None:
    found = samples.x.dtype.name, samples.label.dtype.name, samples.weight.dtype.name
    if found[0] not in _TYPES or found[1:] != ("int32", "float32"):
        raise ValueError(f"columns x, label, weight have types {', '.join(found)}")
