"""D^t as a stream: real rows by index, synthetic rows through what earlier generations published."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Slice
from mad_ray.core.moments import Moments, merge_all
from mad_ray.core.samples import Event, Samples, rebatch
from mad_ray.core.summary import Summary
from mad_ray.data.source import Source
from mad_ray.engine.dataset import open_source
from mad_ray.engine.published import BLOCK, Published
from mad_ray.families.spool import MEMORY_BYTES
from mad_ray.ledger.store import Store

READ_BYTES = 16 << 20
S = TypeVar("S", bound=Summary)


@dataclass(frozen=True)
class Drawing:
    """D^t as summaries drawn piece by piece, instead of rows.

    pieces: what D^t is made of, cut so that equal pieces of two training sets are one and the same draw (loop.pieces).
    pool: the summary of what else it holds, merged already: all of an accumulating loop's synthetic samples.
    """

    pieces: tuple[Slice, ...]
    pool: Summary | None = None


@dataclass(frozen=True)
class TrainingSet:
    """The rows of D^t, re-iterable, in the order of its slices. Pickles: workers open the same rows by themselves."""

    source: Source
    keys: Keys
    slices: tuple[Slice, ...]
    published: Mapping[int, Published]
    drawing: Drawing | None = None
    store: Store | None = None
    """Where decoded data are fetched from, if the source has any."""
    memory_bytes: int = MEMORY_BYTES
    """What a fit may keep in memory of the rows (run.memory)."""

    @property
    def event(self) -> Event:
        return self.source.event

    @property
    def n(self) -> int:
        return sum(part.n for part in self.slices)

    def batches(self, size: int) -> Iterator[Samples]:
        """All rows in order, `size` at a time."""
        return rebatch(self._blocks(self.slices), size)

    def moments(self) -> Moments:
        """Weighted moments of all rows."""
        return self.summary(Moments)

    def summary(self, kind: type[S]) -> S:
        """Drawn piece by piece where source and models know how, else merged from the rows, block by block.

        The block size is fixed, since the order of additions shows in the last digits.
        """
        if self.drawing is None:
            return self._of_rows(kind, self.slices)
        parts = [self.drawn(kind, part) for part in self.drawing.pieces]
        return kind.join([*parts, self.drawing.pool] if isinstance(self.drawing.pool, kind) else parts)

    def drawn(self, kind: type[S], part: Slice) -> S:
        """The summary of one piece; from its rows if it cannot be drawn."""
        if part.is_real:
            draw = getattr(self.source, "draw", None)
            found = draw and draw(kind, part.start, part.stop, self.keys)
        else:
            found = self.published[part.generation].draw(part.start, part.stop)
        return found if isinstance(found, kind) else self._of_rows(kind, (part,))

    @property
    def _n_read(self) -> int:
        """Real rows read at once: of images, which may be large, fewer. What is made of them is cut anew anyway."""
        if self.event.dtype != "uint8":
            # Drawn in whole chunks of many rows: less at once would be more work.
            return BLOCK
        return max(1, min(BLOCK, READ_BYTES // (len(self.keys.seeds) * math.prod(self.event.shape))))

    def _of_rows(self, kind: type[S], slices: tuple[Slice, ...]) -> S:
        return merge_all(kind.of_rows(batch, self.event) for batch in rebatch(self._blocks(slices), BLOCK))

    def _blocks(self, slices: tuple[Slice, ...]) -> Iterator[Samples]:
        for part in slices:
            if part.is_real:
                source = self.source if self.store is None else open_source(self.store, self.source)
                size = self._n_read
                for low in range(part.start, part.stop, size):
                    yield source.rows(low, min(low + size, part.stop), self.keys)
            else:
                yield from self.published[part.generation].blocks(part.start, part.stop)
