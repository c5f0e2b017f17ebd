"""Shards come back bit for bit, are the same bytes twice, and are plain Parquet to everyone else."""

import io
from contextlib import suppress

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mad_ray.core.errors import Corrupt, InvalidInput
from mad_ray.core.samples import Samples
from mad_ray.ledger.shards import Origin, decode_shard, encode_shard

SHAPES = st.tuples(st.integers(1, 3), st.integers(0, 5), st.integers(1, 3), st.integers(1, 2))


def origin(n_trajectories: int) -> Origin:
    return Origin("c0ffee", 7, tuple(range(10, 10 + n_trajectories)), "ab" * 32)


def bits(samples: Samples) -> list:
    return [(a.dtype.name, a.shape, a.tobytes()) for a in (samples.x, samples.label, samples.weight)]


@pytest.fixture
def images() -> Samples:
    x = np.arange(2 * 3 * 1 * 2 * 2, dtype=np.uint8).reshape(2, 3, 1, 2, 2)
    return Samples.of(x, np.array([[0, 1, 2], [3, 4, 5]]), np.array([[1, 0, 0.5], [1, 1, 1]]))


@settings(max_examples=60, deadline=None)
@given(
    st.data(),
    st.sampled_from(["uint8", "int32", "float32", "float64"]),
    SHAPES,
    st.integers(0, 3),
    st.integers(0, 2**40),
)
def test_bitwise_round_trip(data, dtype, shape, n_dropped, start) -> None:
    """NaN with any payload, infinities, -0.0 and subnormals included; any number of event axes."""
    shape = shape[: max(2, 4 - n_dropped)]
    raw = data.draw(hnp.arrays(np.uint8, (*shape, np.dtype(dtype).itemsize)))
    x = raw.view(dtype).reshape(shape)
    weight = data.draw(hnp.arrays(np.float32, shape[:2]))
    label = data.draw(hnp.arrays(np.int32, shape[:2]))
    samples = Samples(x, label, weight)
    decoded, first = decode_shard(encode_shard(samples, start=start, origin=origin(shape[0])))
    assert first == start
    assert bits(decoded) == bits(samples)


def test_not_contiguous_and_big_endian() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(">f8").transpose(1, 0, 2)
    decoded, _ = decode_shard(encode_shard(Samples.of(x), start=0, origin=origin(4)))
    np.testing.assert_array_equal(decoded.x, x)
    assert decoded.x.dtype == np.float64


def test_the_same_bytes_twice() -> None:
    rng = np.random.default_rng(1)
    samples = Samples.of(rng.normal(size=(2, 5000, 8)).astype(np.float32))
    copy = Samples.of(samples.x.copy(order="F"))
    assert encode_shard(samples, start=3, origin=origin(2)) == encode_shard(copy, start=3, origin=origin(2))


def test_images_take_no_more_room_than_their_pixels() -> None:
    """Noise, which nothing compresses; Parquet's plain uint8 would take a third more."""
    x = np.random.default_rng(2).integers(0, 256, (1, 500, 3, 16, 16), np.uint8)
    assert len(encode_shard(Samples.of(x), start=0, origin=origin(1))) < 1.05 * x.nbytes


def test_rows_are_ordered_and_say_where_they_come_from(images) -> None:
    table = pq.read_table(io.BytesIO(encode_shard(images, start=5, origin=origin(2))))
    assert table.schema.field("x").type == pa.list_(pa.uint8(), 4)
    assert table.column_names == ["index", "seed", "x", "label", "weight", "generation", "cohort", "model"]
    assert table.column("index").to_pylist() == [5, 6, 7] * 2
    assert table.column("seed").to_pylist() == [10] * 3 + [11] * 3
    assert set(table.column("generation").to_pylist()) == {7}
    assert set(table.column("cohort").to_pylist()) == {"c0ffee"}
    assert set(table.column("model").to_pylist()) == {"ab" * 32}


def test_pandas_reads_it(images) -> None:
    frame = pd.read_parquet(io.BytesIO(encode_shard(images, start=0, origin=origin(2))))
    np.testing.assert_array_equal(np.stack(frame["x"]).reshape(images.x.shape), images.x)
    assert frame["label"].tolist() == [0, 1, 2, 3, 4, 5]


def test_duckdb_reads_it(images, tmp_path) -> None:
    path = tmp_path / "shard.parquet"
    path.write_bytes(encode_shard(images, start=0, origin=origin(2)))
    query = "SELECT seed, cohort, sum(weight), list(x ORDER BY index) FROM read_parquet(?) GROUP BY ALL ORDER BY seed"
    rows = duckdb.execute(query, [str(path)]).fetchall()
    assert [row[:3] for row in rows] == [(10, "c0ffee", 1.5), (11, "c0ffee", 3.0)]
    assert [row[3] for row in rows] == [[list(x.reshape(-1)) for x in trajectory] for trajectory in images.x]


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="dtype complex128"):
        encode_shard(Samples.of(np.zeros((1, 2, 3), complex)), start=0, origin=origin(1))


def test_other_files_are_corrupt(images) -> None:
    data = encode_shard(images, start=0, origin=origin(2))
    foreign = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}), foreign)
    for damaged in (b"", b"PAR1", data[:-1], data[: len(data) // 2], b"\x80\x04N.", foreign.getvalue()):
        with pytest.raises(Corrupt, match="not a shard"):
            decode_shard(damaged)


def test_a_flipped_bit_never_escapes_as_another_error(images) -> None:
    """The manifest's SHA-256 finds every one; without it the reader either notices or reads samples."""
    data = encode_shard(images, start=0, origin=origin(2))
    for i in range(len(data)):
        damaged = bytearray(data)
        damaged[i] ^= 1 << (i % 8)
        with suppress(Corrupt):
            decode_shard(bytes(damaged))
