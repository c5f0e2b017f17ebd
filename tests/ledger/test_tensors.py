"""Models come back bit for bit, and the same model is the same bytes."""

import pickle
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mad_ray.core.errors import Corrupt, InvalidInput
from mad_ray.ledger.tensors import decode_tensors, encode_tensors

ARRAYS = st.sampled_from(["float32", "float64", "int64", "uint8", "bool", "float16"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(min_size=1).filter(lambda name: name != "__metadata__"), ARRAYS, max_size=4))
def test_bitwise_round_trip(tensors) -> None:
    decoded = decode_tensors(encode_tensors(tensors))
    assert list(decoded) == sorted(tensors)
    for name, array in tensors.items():
        assert decoded[name].dtype == array.dtype
        assert decoded[name].shape == array.shape
        assert decoded[name].tobytes() == array.tobytes()


def test_the_order_and_layout_do_not_show() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.float32([1, 2])
    expected = encode_tensors({"1/a": a, "1/b": b})
    assert encode_tensors({"1/b": b.astype(">f4"), "1/a": np.asfortranarray(a)}) == expected
    assert encode_tensors({"1/b": np.repeat(b, 2)[::2], "1/a": a}) == expected


def test_decoded_arrays_are_read_only() -> None:
    array = decode_tensors(encode_tensors({"a": np.zeros(3)}))["a"]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_other_dtypes_are_refused() -> None:
    for array in (np.array([None]), np.array(["a"]), np.zeros(2, np.complex128)):
        with pytest.raises(InvalidInput, match="tensor 'a'"):
            encode_tensors({"a": array})


def test_other_files_are_corrupt() -> None:
    data = encode_tensors({"a": np.zeros(3)})
    for damaged in (b"", data[:-1], data[:20], data + b"0", pickle.dumps({"a": 1}), b"\xff" * 64):
        with pytest.raises(Corrupt, match="not a safetensors file"):
            decode_tensors(damaged)


def test_a_flipped_bit_never_escapes_as_another_error() -> None:
    data = encode_tensors({"a": np.zeros(2), "b": np.zeros((2, 1), np.float32)})
    for i in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[i // 8] ^= 1 << (i % 8)
        with suppress(Corrupt):
            decode_tensors(bytes(damaged))
