"""Summaries: mergeable statistics of rows. A family that fits on one never needs to see the rows."""

from collections.abc import Mapping, Sequence
from typing import Protocol, Self

import numpy as np

from mad_ray.core.samples import Event, Samples


class Summary(Protocol):
    """A sufficient statistic of B weighted samples. Moments and Counts are the two that exist."""

    @classmethod
    def of_rows(cls, samples: Samples, event: Event) -> Self:
        """The summary of rows at hand."""
        ...

    def merge(self, other: Self) -> Self:
        """The summary of both samples together."""
        ...

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Merge one or more, all at once; a single one comes back as it is."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """As named arrays, for storage."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `arrays`."""
        ...
