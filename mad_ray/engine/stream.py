"""D^t as a stream: real rows by index, synthetic rows through what earlier generations published."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Slice
from mad_ray.core.moments import Moments, merge_all
from mad_ray.core.samples import Event, Samples, rebatch
from mad_ray.core.summary import Summary
from mad_ray.data.source import Source
from mad_ray.engine.admission import Admission, Tally, origin, tally, thinned_tally
from mad_ray.engine.dataset import open_source
from mad_ray.engine.published import BLOCK, Published
from mad_ray.families.spool import MEMORY_BYTES
from mad_ray.families.vectors import nothing_left
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
    published: Mapping[tuple[str, int], Published]
    """(member of an ecosystem, empty for the own samples; generation) -> its samples."""
    drawing: Drawing | None = None
    store: Store | None = None
    """Where decoded data are fetched from, if the source has any."""
    memory_bytes: int = MEMORY_BYTES
    """What a fit may keep in memory of the rows (run.memory)."""
    admission: Admission | None = None
    """With what weight each row enters; None: as it comes."""

    @property
    def event(self) -> Event:
        return self.source.event

    @property
    def n(self) -> int:
        """Rows, those included that interventions drop."""
        return sum(part.n for part in self.slices)

    def batches(self, size: int) -> Iterator[Samples]:
        """All rows in order, `size` at a time."""
        return rebatch(self._entering(), size)

    def moments(self) -> Moments:
        """Weighted moments of all rows."""
        return self.summary(Moments)

    def summary(self, kind: type[S]) -> S:
        """Drawn piece by piece where source and models know how, else merged from the rows, block by block.

        The block size is fixed, since the order of additions shows in the last digits.
        """
        if self.drawing is None:
            return self._of_rows(kind, self._entering())
        drawn = (self.drawn(kind, part) for part in self.drawing.pieces)
        parts = [one for one in (*drawn, self.drawing.pool) if isinstance(one, kind)]
        if not parts:
            raise nothing_left(self.n)
        return kind.join(parts)

    def drawn(self, kind: type[S], part: Slice) -> S | None:
        """The summary of one piece; from its rows if it cannot be drawn. None if interventions left none of it.

        Rows that are dropped whatever they hold may as well be the last ones.
        """
        if self.admission is not None:
            part = self.admission.thinned(part)
        if not part.n:
            return None
        if part.is_real:
            draw = getattr(self.source, "draw", None)
            found = draw and draw(kind, part.start, part.stop, self.keys)
        else:
            found = self.published[part.member, part.generation].draw(part.start, part.stop)
        return found if isinstance(found, kind) else self._of_rows(kind, self._as_they_come((part,)))

    @property
    def _n_read(self) -> int:
        """Real rows read at once: of images, which may be large, fewer. What is made of them is cut anew anyway."""
        if self.event.dtype != "uint8":
            # Drawn in whole chunks of many rows: less at once would be more work.
            return BLOCK
        return max(1, min(BLOCK, READ_BYTES // (len(self.keys.seeds) * math.prod(self.event.shape))))

    def _of_rows(self, kind: type[S], blocks: Iterator[Samples]) -> S:
        parts = [kind.of_rows(batch, self.event) for batch in rebatch(blocks, BLOCK)]
        if not parts:
            raise nothing_left(self.n)
        return merge_all(parts)

    def tally(self) -> Tally | None:
        """What entered, by the truth. None where nothing stands in the way."""
        if self.admission is None:
            return None
        if self.drawing is not None:
            return thinned_tally(self.admission, self.drawing.pieces, len(self.keys.seeds))
        return tally(self.admission, self._numbered(self.slices), len(self.keys.seeds))

    def _entering(self) -> Iterator[Samples]:
        for block, part in self._numbered(self.slices):
            yield block if self.admission is None else self.admission.admit(block, *origin(part))

    def _as_they_come(self, slices: tuple[Slice, ...]) -> Iterator[Samples]:
        return (block for block, _ in self._numbered(slices))

    def _numbered(self, slices: tuple[Slice, ...]) -> Iterator[tuple[Samples, Slice]]:
        """(rows before any intervention, which they are)."""
        for part in slices:
            low = part.start
            for block in self._real(part) if part.is_real else self._synthetic(part):
                yield block, replace(part, start=low, stop=low + block.n)
                low += block.n

    def _synthetic(self, part: Slice) -> Iterator[Samples]:
        return self.published[part.member, part.generation].blocks(part.start, part.stop)

    def _real(self, part: Slice) -> Iterator[Samples]:
        source = self.source if self.store is None else open_source(self.store, self.source)
        size = self._n_read
        for low in range(part.start, part.stop, size):
            yield source.rows(low, min(low + size, part.stop), self.keys)
