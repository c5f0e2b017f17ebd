"""Is a series of samples flat? Memory and file descriptors of processes that live long."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WARM_UP = 0.1
"""Share of a series in which caches fill and modules are still being imported."""
MIB_PER_HOUR = 40.0
"""What a process may gain; a leak of 10 KiB per generation of this soak would be more."""
MORE_FDS = 8


@dataclass(frozen=True)
class Sample:
    """One look at a process. mib: anonymous memory (its own, no shared pages). fds: open file descriptors."""

    at_s: float
    mib: float
    fds: int


@dataclass(frozen=True)
class Trend:
    """First and last third of a series, warm-up left out."""

    minutes: float
    mib: tuple[float, float]
    fds: tuple[float, float]

    @property
    def mib_per_hour(self) -> float:
        """Between the middles of the two thirds."""
        return (self.mib[1] - self.mib[0]) / (self.minutes * 2 / 3) * 60

    @property
    def is_flat(self) -> bool:
        return self.mib_per_hour <= MIB_PER_HOUR and self.fds[1] - self.fds[0] <= MORE_FDS


def trend_of(series: Sequence[Sample]) -> Trend:
    """Medians of the first and the last third. ValueError of fewer than nine samples: they would tell nothing."""
    if len(series) < 9:
        raise ValueError(f"{len(series)} samples are too few to tell whether they are flat")
    kept = series[int(len(series) * WARM_UP) :]
    n = len(kept) // 3
    ends = (kept[:n], kept[-n:])
    return Trend(
        (kept[-1].at_s - kept[0].at_s) / 60,
        tuple(statistics.median(sample.mib for sample in of) for of in ends),  # type: ignore[arg-type]
        tuple(statistics.median(sample.fds for sample in of) for of in ends),  # type: ignore[arg-type]
    )
