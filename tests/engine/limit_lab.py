"""Twice takes more memory than its process may have, in the way named, and prints what is said of it.

A process of its own: threads that others left behind may end it if they ask for memory meanwhile.
"""

import gc
import resource
import sys
from collections.abc import Callable

from mad_ray.core.errors import TrajectoryFailed
from mad_ray.engine.memory import limited, told

LIMIT_MIB = 96


def torch_zeros(mib: int) -> object:
    import torch

    return torch.zeros(mib << 18)


def numpy_zeros(mib: int) -> object:
    import numpy as np

    return np.zeros(mib << 20, np.uint8)


def saved(mib: int) -> object:
    """Arrays that fit, whose copies while they are saved do not."""
    import numpy as np

    from mad_ray.ledger.tensors import decode_tensors, encode_tensors

    return decode_tensors(encode_tensors({"x": np.zeros((mib // 4) << 20, np.uint8)}))


GREEDY = {"torch": torch_zeros, "numpy": numpy_zeros, "python": lambda mib: bytearray(mib << 20), "saved": saved}


def what_is_said(take: Callable[[int], object]) -> str:
    with limited(LIMIT_MIB):
        take(8)
        try:
            take(200)
        except (MemoryError, RuntimeError) as error:
            found = told(error, LIMIT_MIB)
            assert isinstance(found, TrajectoryFailed), repr(found)
            return str(found)
    raise AssertionError("nobody noticed")


def main(kind: str) -> None:
    take = GREEDY[kind]
    before = resource.getrlimit(resource.RLIMIT_DATA)
    take(1)
    gc.collect()
    for _ in range(2):
        print(what_is_said(take))
        assert resource.getrlimit(resource.RLIMIT_DATA) == before
        take(200)


if __name__ == "__main__":
    main(sys.argv[1])
