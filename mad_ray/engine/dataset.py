"""Decoded data sets in the store: made once, part by part, and fetched to wherever a worker reads real rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from mad_ray.core.errors import Missing
from mad_ray.core.fingerprint import Json
from mad_ray.core.sealed import seal, unseal
from mad_ray.data.decoded import Bad, Cached, Decodable, bounds_of, is_decodable
from mad_ray.ledger.beside import read_beside, write_beside
from mad_ray.ledger.store import Store

S = TypeVar("S")


@dataclass(frozen=True)
class DecodeJob:
    """Decode a source's rows into the store. Pickles."""

    store: Store
    source: Decodable

    @property
    def n_parts(self) -> int:
        return len(bounds_of(self.source))


@dataclass(frozen=True)
class PartResult:
    """What one part came to: what the index says of it, or which of its rows cannot be used."""

    i: int
    named: dict[str, Json] | None
    bad: tuple[Bad, ...] = ()


DecodeAll = Callable[[DecodeJob], Iterable[PartResult]]
"""Carries out `decode_part` for every part, in whatever order; in this process, or in many."""


def open_source(store: Store, source: S) -> S:
    """The source, ready to be read here: if it is one that is decoded, its rows are fetched from the store.

    Whoever reads real rows opens them by this. Where nobody prepared the data, the source decodes them by itself.
    """
    if is_decodable(source) and not Cached(source).is_there:
        index = _read_index(store, source)
        if index is not None:
            Cached(source).write(_stored(store, source, index))
    return source


def prepare(store: Store, sources: Iterable[Any], decode_all: DecodeAll, say: Callable[[str], None]) -> None:
    """Decode what is not in the store yet, once for all who will read it. InvalidInput if any row cannot be used."""
    for source in missing(store, sources):
        job = DecodeJob(store, source)
        say(f"decoding {source.n_decoded:,} images, once; they are kept in the store")
        results = sorted(decode_all(job), key=lambda result: result.i)
        bad = [line for result in results for line in result.bad]
        if bad:
            raise source.refusal(bad)
        store.put(_index_key(source), seal(_index(source, results)), if_absent=True)


def missing(store: Store, sources: Iterable[Any]) -> list[Decodable]:
    """Those that are to be decoded and are not in the store, each once."""
    found = {source.dataset: source for source in sources if is_decodable(source)}
    return [source for _, source in sorted(found.items()) if _read_index(store, source) is None]


def decode_here(job: DecodeJob) -> Iterator[PartResult]:
    """In this process, one part after another."""
    return (decode_part(job, i) for i in range(job.n_parts))


def decode_part(job: DecodeJob, i: int) -> PartResult:
    """Decode part i and write it, under a name made of its content: whoever makes it again writes the same."""
    part = job.source.decode(*bounds_of(job.source)[i])
    if part.bad:
        return PartResult(i, None, tuple(part.bad))
    named = write_beside(job.store, _index_key(job.source), f"part-{i:05d}", {"x": part.x, "label": part.label})
    return PartResult(i, named)


def _index(source: Decodable, results: Sequence[PartResult]) -> dict[str, Json]:
    named = {f"part {result.i}": result.named for result in results}
    return {"dataset": source.dataset, "n": source.n_decoded, "event": list(source.event.shape), **named}


def _read_index(store: Store, source: Decodable) -> dict[str, Any] | None:
    key = _index_key(source)
    try:
        parts = [f"part {i}" for i in range(len(bounds_of(source)))]
        return unseal(store.get(key), key, expected={"dataset": source.dataset}, needs=parts)
    except Missing:
        return None


def _stored(store: Store, source: Decodable, index: dict[str, Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for i in range(len(bounds_of(source))):
        tensors = read_beside(store, _index_key(source), index[f"part {i}"])
        yield tensors["x"], tensors["label"]


def dataset_key(source: Any) -> str | None:
    """Where the decoded rows of a source are described in the store; None for sources that are not decoded."""
    return _index_key(source) if is_decodable(source) else None


def _index_key(source: Decodable) -> str:
    return f"datasets/{source.dataset}/index.json"
