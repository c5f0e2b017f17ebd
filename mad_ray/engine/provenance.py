"""What may differ between two runs of one study and is worth knowing: versions, device, threads, seconds."""

import importlib.metadata
import platform
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

PACKAGES = (
    "mad-ray",
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "ray",
    "numpy",
    "scipy",
    "pyarrow",
    "clean-fid",
)


@cache
def versions() -> dict[str, str]:
    """Installed versions of what computes the results."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def device() -> str:
    """The device that fits and samples run on here."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu ({platform.machine()})"


class Stopwatch:
    """Wall seconds per stage."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the block's duration to the stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def rounded(self) -> dict[str, float]:
        return {stage: round(seconds, 4) for stage, seconds in sorted(self.seconds.items())}


class PeakMemory:
    """The most bytes that tensors took on this process's GPU within the block; 0 without one."""

    n_bytes: int = 0

    def __enter__(self) -> "PeakMemory":
        import torch

        self._has_gpu = torch.cuda.is_available()
        if self._has_gpu:
            torch.cuda.reset_peak_memory_stats()
        return self

    def __exit__(self, *_: object) -> None:
        if self._has_gpu:
            import torch

            self.n_bytes = torch.cuda.max_memory_allocated()


def n_threads() -> int:
    """Threads that torch uses in this process; float sums may depend on it."""
    import torch

    return torch.get_num_threads()
