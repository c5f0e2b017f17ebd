"""Where the samples of earlier generations come from: committed shards, or a model that draws them again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from mad_ray.core.errors import Missing
from mad_ray.core.manifest import Shard
from mad_ray.core.samples import Samples
from mad_ray.core.summary import Summary
from mad_ray.engine.publication import Publisher
from mad_ray.engine.redraw import Redraw
from mad_ray.families.family import Model
from mad_ray.ledger.chain import read_checked
from mad_ray.ledger.retention import read_retired
from mad_ray.ledger.shards import decode_shard
from mad_ray.ledger.store import Store

BLOCK = 4096


class Published(Protocol):
    """The samples that one generation published. Small enough to pickle."""

    def blocks(self, start: int, stop: int) -> Iterator[Samples]:
        """Samples start..stop of each trajectory, in order, some at a time."""
        ...

    def draw(self, start: int, stop: int) -> Summary | None:
        """Their summary, drawn without them; None where only the samples themselves tell."""
        ...


@dataclass(frozen=True)
class Redrawn:
    """Samples that are cheaper to draw again than to keep: same model, same keys, same bytes."""

    publisher: Publisher
    model: Model

    def blocks(self, start: int, stop: int) -> Iterator[Samples]:
        for low in range(start, stop, BLOCK):
            yield self.publisher.samples(self.model, low, min(low + BLOCK, stop))

    def draw(self, start: int, stop: int) -> Summary | None:
        publisher = self.publisher
        draw = None if publisher.changes else getattr(publisher.family, "draw", None)
        return draw and draw(self.model, start, stop, publisher.bias, publisher.keys)


@dataclass(frozen=True)
class Stored:
    """Samples in the Parquet shards of one generation that a manifest names."""

    store: Store
    shards: tuple[tuple[str, Shard], ...]
    """(key, shard), in the order of samples."""
    redraw: Redraw | None = None
    """Where retired ones come from."""

    def blocks(self, start: int, stop: int) -> Iterator[Samples]:
        for key, shard in self.shards:
            if shard.start < stop and start < shard.stop:
                samples, _ = decode_shard(self._read(key, shard))
                yield samples.rows(max(start - shard.start, 0), min(stop, shard.stop) - shard.start)

    def draw(self, start: int, stop: int) -> Summary | None:
        return None

    def _read(self, key: str, shard: Shard) -> bytes:
        """The shard's bytes. A retired one is drawn again, and put back: whoever needs it once reads it again."""
        try:
            return read_checked(self.store, key, shard.blob)
        except Missing:
            redraw = self.redraw
            if redraw is None or read_retired(self.store, redraw.manifest, shard.generation) is None:
                raise
        data = redraw.shard(shard)
        self.store.put(key, data)
        return data
