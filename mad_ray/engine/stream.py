"""D^t as a stream: real rows by index, synthetic rows through what earlier generations published."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Slice
from mad_ray.core.moments import Moments, merge_all, rows_to_moments
from mad_ray.core.samples import Event, Samples, rebatch
from mad_ray.data.source import Source
from mad_ray.engine.published import BLOCK, Published


@dataclass(frozen=True)
class TrainingSet:
    """The rows of D^t, re-iterable, in the order of its slices. Pickles: workers open the same rows by themselves."""

    source: Source
    keys: Keys
    slices: tuple[Slice, ...]
    published: Mapping[int, Published]

    @property
    def event(self) -> Event:
        return self.source.event

    @property
    def n(self) -> int:
        return sum(part.n for part in self.slices)

    def batches(self, size: int) -> Iterator[Samples]:
        """All rows in order, `size` at a time."""
        return rebatch(self._blocks(), size)

    def moments(self) -> Moments:
        """Merged block by block; the block size is fixed, since the order of additions shows in the last digits."""
        return merge_all(rows_to_moments(batch.x, batch.weight) for batch in self.batches(BLOCK))

    def _blocks(self) -> Iterator[Samples]:
        for part in self.slices:
            if part.is_real:
                for low in range(part.start, part.stop, BLOCK):
                    yield self.source.rows(low, min(low + BLOCK, part.stop), self.keys)
            else:
                yield from self.published[part.generation].blocks(part.start, part.stop)
