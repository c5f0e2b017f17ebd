"""The protocol of real data P_r, and finite labelled data held in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments
from mad_ray.core.samples import Event, Samples
from mad_ray.core.spelling import Spelling
from mad_ray.core.summary import Summary


class Source(Protocol):
    """Real data. A frozen dataclass of its settings; what it loads is cached per process."""

    name: ClassVar[str]
    event: Event
    n_rows: int | None
    """Training rows there are; None where they never run out."""
    n_held_out: int | None
    """Rows kept apart as the reference of every metric; no training set ever holds one."""

    def rows(self, start: int, stop: int, keys: Keys) -> Samples:
        """Training rows start..stop of each trajectory, in that trajectory's own order [B, n, *event]."""
        ...

    def held_out(self, n: int) -> Samples:
        """The first n held-out rows [1, n, *event], the same for every trajectory."""
        ...

    def moments(self) -> Moments | None:
        """The exact moments [1, d] of P_r; None where only samples of it exist."""
        ...


class KnowsItself(Protocol):
    """An analytic source: exact facts of P_r, and summaries of its rows without the rows."""

    def law(self) -> dict[str, np.ndarray]:
        """Facts by name: mean [d] and covariance [d, d]; centres [m, d] and spread []; probabilities [V]; ..."""
        ...

    def draw(self, kind: type[Summary], start: int, stop: int, keys: Keys) -> Summary | None:
        """The summary of training rows start..stop, drawn; None if this kind cannot be: then rows are read.

        Independent of those of every other piece: whoever calls never asks for two pieces that overlap in part.
        """
        ...


@runtime_checkable
class Spelled(Protocol):
    """A source of sequences of tokens that knows how they are written."""

    def spelling(self) -> Spelling:
        """The bytes that each token stands for."""
        ...


@dataclass(frozen=True)
class Selected:
    """Some rows of an array that may lie on a disk, none of them read: x[i] is of[index[i]]."""

    of: np.ndarray
    index: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.index), *self.of.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return self.of.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """These rows, read."""
        return self.of[self.index[rows]]


@dataclass(frozen=True)
class Table:
    """Finite labelled data: x [n, *event], label [n], split once and for all into training and held-out rows."""

    x: np.ndarray | Selected
    label: np.ndarray
    held_out_x: np.ndarray | Selected
    held_out_label: np.ndarray

    @property
    def event(self) -> Event:
        return Event(self.x.shape[1:], str(self.x.dtype), int(self.label.max()) + 1)


class TableSource:
    """What every source of finite data shares: settings above, `_table` (cached by the subclass) below."""

    name: ClassVar[str]
    _load: ClassVar[Callable[[Any], Table]]

    @property
    def _table(self) -> Table:
        return _load_once(self)

    @property
    def event(self) -> Event:
        return self._table.event

    @property
    def n_rows(self) -> int | None:
        return len(self._table.x)

    @property
    def n_held_out(self) -> int | None:
        return len(self._table.held_out_x)

    def rows(self, start: int, stop: int, keys: Keys) -> Samples:
        """Each trajectory walks through the rows in its own random order: seeds differ in their real data too."""
        table = self._table
        if stop > len(table.x):
            raise InvalidInput(f"data={self.name}: {stop} real rows needed, {len(table.x)} exist")
        order = np.stack([_order(keys.row(b), len(table.x))[start:stop] for b in range(len(keys.seeds))])
        return Samples.of(table.x[order], table.label[order])

    def held_out(self, n: int) -> Samples:
        table = self._table
        return Samples.of(table.held_out_x[:n][None], table.held_out_label[:n][None])

    def moments(self) -> Moments | None:
        return None


@lru_cache(maxsize=4)
def _load_once(source: Any) -> Table:
    return source._load()


@lru_cache(maxsize=4)
def _order(keys: Keys, n: int) -> np.ndarray:
    """The order in which one trajectory walks through n rows. Kept, since the walk comes in many small blocks."""
    return keys.generator(0, "order").permutation(n).astype(np.int32 if n < 1 << 31 else np.int64)
