"""Global random generators, for functions that know no other: seeded for the duration of a block, then put back."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block the global generators of Python, NumPy and torch (CPU and GPUs) start from this 63-bit seed."""
    import torch

    python, legacy = random.getstate(), np.random.get_state()
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=gpus):
        random.seed(seed)
        # One more word than the seed has: Python and NumPy make the same numbers of the same two.
        np.random.seed([seed & 0xFFFFFFFF, seed >> 32, 1])
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)
