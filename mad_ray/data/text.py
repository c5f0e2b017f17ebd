"""A text of the user's own, cut in sequences of tokens: bytes, or BPE learnt from its training part."""

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.pairs import are_rare, counted_pairs
from mad_ray.core.samples import NO_LABEL, Event
from mad_ray.core.settings import STRICT
from mad_ray.core.spelling import Spelling
from mad_ray.data.bpe import Bpe, learn_bpe
from mad_ray.data.files import absolute, content_of, list_files, open_files, read_file
from mad_ray.data.source import Table, TableSource

N_BLOCKS = 10
N_TESTED = 512
"""Held-out sequences that models are tested on."""
BYTES = tuple(bytes([byte]) for byte in range(256))


@dataclass(frozen=True)
class Text(TableSource):
    """One UTF-8 text file, cut in ten equal blocks; the last `held_out_share` of each block is held out.

    Both parts of each block are cut in sequences of `length` tokens from their beginning; what is left over at an end
    is dropped. So held-out sequences come from all over the text, and none shares a byte with a training sequence.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "text"

    path: str = field(default="", metadata={"execution": True})
    """The file: a path, file:///PATH or s3://BUCKET/KEY; UTF-8."""
    content: str = ""
    """Fingerprint of what the file holds, which is what the data are. Left out: read from the file."""
    tokens: Literal["bytes", "bpe"] = "bytes"
    """bytes: 256 tokens, one a byte. bpe: byte pairs merged by frequency in the training part, `vocabulary` tokens."""
    vocabulary: int = 512
    """tokens: bpe only. Tokens at most, above 256: the bytes come first; fewer where the text is too short for them."""
    length: int = 64
    """Tokens of a sequence."""
    held_out_share: float = 0.1
    """Share of the text, in bytes, that is held out."""

    def __post_init__(self) -> None:
        if self.length < 2:
            raise InvalidInput(f"data.length={self.length}: sequences have 2 tokens or more; raise length")
        if self.vocabulary <= len(BYTES):
            raise InvalidInput(f"data.vocabulary={self.vocabulary}: the 256 bytes come first; give 257 or more")
        if not 0 < self.held_out_share < 1:
            raise InvalidInput(f"data.held_out_share={self.held_out_share} is outside (0, 1); typical: 0.1")
        object.__setattr__(self, "path", absolute(self.path))
        if self.path and not self.content:
            object.__setattr__(self, "content", _content(self.path))

    @property
    def event(self) -> Event:
        return Event((self.length,), "int32", n_symbols=len(self.spelling().pieces))

    def spelling(self) -> Spelling:
        """The bytes of each token."""
        return Spelling(BYTES if self.tokens == "bytes" else _bpe(self).pieces)

    def law(self) -> dict[str, np.ndarray]:
        """tokens [m, length]: up to 512 held-out sequences; rare [r, 2]: the pairs of neighbouring tokens that are

        rare in the held-out text: the rarest that together make up a tenth of all its neighbours, and those as rare.
        """
        return _law(self)

    def _load(self) -> Table:
        training, held_out = (self._sequences(parts) for parts in _split(_read(self), self.held_out_share))
        if not len(training) or not len(held_out):
            raise InvalidInput(
                f"data.path={self.path}: the text makes {len(training)} training and {len(held_out)} held-out "
                f"sequences of length={self.length}; give a longer text, or lower data.length"
            )
        labels = [np.full(len(x), NO_LABEL, np.int32) for x in (training, held_out)]
        return Table(training, labels[0], held_out, labels[1])

    def _sequences(self, parts: list[bytes]) -> np.ndarray:
        """[n, length] int32."""
        encoded = [self._encode(part) for part in parts]
        whole = [tokens[: len(tokens) // self.length * self.length] for tokens in encoded]
        return np.concatenate(whole).reshape(-1, self.length)

    def _encode(self, part: bytes) -> np.ndarray:
        return np.frombuffer(part, np.uint8).astype(np.int32) if self.tokens == "bytes" else _bpe(self).encode(part)


def _split(text: bytes, held_out_share: float) -> tuple[list[bytes], list[bytes]]:
    """The training and the held-out parts of the ten blocks."""
    ends = [i * len(text) // N_BLOCKS for i in range(N_BLOCKS + 1)]
    blocks = [text[start:end] for start, end in pairwise(ends)]
    kept = [len(block) - round(held_out_share * len(block)) for block in blocks]
    pairs = list(zip(blocks, kept, strict=True))
    return [block[:n] for block, n in pairs], [block[n:] for block, n in pairs]


def _content(path: str) -> str:
    return content_of(list_files(path), is_file=open_files(path).is_file)


@lru_cache(maxsize=2)
def _read(settings: Text) -> bytes:
    """The file's bytes. InvalidInput where it cannot be read, holds another text than expected, or is not UTF-8."""
    if not settings.path:
        raise InvalidInput("data.path is missing: text needs a file, by its path, file:///PATH or s3://BUCKET/KEY")
    text = read_file(settings.path)
    if (found := _content(settings.path)) != settings.content:
        raise InvalidInput(
            f"data.path={settings.path}: content {found} where data.content={settings.content} is expected; give that "
            "text, or leave content out"
        )
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"data.path={settings.path} is not UTF-8: byte {text[error.start]:#04x} at position {error.start:,}; "
            "convert it (iconv -t utf-8), or give another file"
        ) from error
    return text


@lru_cache(maxsize=2)
def _bpe(settings: Text) -> Bpe:
    return learn_bpe(_split(_read(settings), settings.held_out_share)[0], settings.vocabulary)


@lru_cache(maxsize=2)
def _law(settings: Text) -> dict[str, np.ndarray]:
    held_out = settings.held_out(settings.n_held_out or 0).x[0]
    pairs, counts = counted_pairs(held_out)
    return {"tokens": held_out[:N_TESTED], "rare": pairs[are_rare(counts.astype(np.float64))]}
