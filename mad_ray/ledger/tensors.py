"""Named arrays to safetensors and back. Nothing is ever unpickled."""

from collections.abc import Mapping

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from mad_ray.core.errors import Corrupt, InvalidInput

_DTYPES = {"float16", "float32", "float64", "complex64", "bool"} | {
    f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)
}

# The library copies what it saves three times, and where it finds no room for that it ends the process.
_COPIES = 3
_SLACK = 32 << 20


def encode_tensors(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Named arrays as safetensors; the same arrays give the same bytes in whatever order they come.

    MemoryError where there is no room for them.
    """
    plain = {name: _plain(name, tensors[name]) for name in sorted(tensors)}
    _reserve(_COPIES * sum(array.nbytes for array in plain.values()) + _SLACK)
    return safetensors.numpy.save(plain)


def decode_tensors(data: bytes) -> dict[str, np.ndarray]:
    """Named arrays again, sorted by name, bit for bit; they are read-only. Corrupt if the bytes are not safetensors."""
    try:
        tensors = safetensors.numpy.load(data)
    except (SafetensorError, KeyError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, MemoryError) and is_short_of_memory(len(data)):
            raise
        raise Corrupt(f"not a safetensors file ({error}); it was damaged or is another file") from error
    for array in tensors.values():
        # frombuffer of bytearrays is writable, and of bytes not: callers shall see one thing.
        array.flags.writeable = False
    return dict(sorted(tensors.items()))


def is_short_of_memory(n_bytes: int) -> bool:
    """Whether there is no room for a few times so many bytes: a file that asks for more than that is damaged."""
    try:
        _reserve(8 * n_bytes + _SLACK)
    except MemoryError:
        return True
    return False


def _reserve(n_bytes: int) -> None:
    """MemoryError if so many bytes cannot be had now; none of them is touched."""
    np.empty(n_bytes, np.uint8)


def _plain(name: str, array: np.ndarray) -> np.ndarray:
    """Contiguous and little-endian; 0-d arrays stay 0-d."""
    if array.dtype.name not in _DTYPES:
        raise InvalidInput(f"tensor {name!r} of dtype {array.dtype.name} cannot be stored; convert it to float32 first")
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def select_generation(tensors: Mapping[str, np.ndarray], generation: int) -> dict[str, np.ndarray]:
    """Of tensors named "t/name", those of one generation, under their own names."""
    prefix = f"{generation}/"
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
