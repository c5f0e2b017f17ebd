"""How tokens are written: what turns sequences of numbers back into text."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spelling:
    """Token i is written as the bytes pieces[i] of UTF-8; one character may need several tokens."""

    pieces: tuple[bytes, ...]

    def text(self, tokens: np.ndarray) -> str:
        """tokens [L] -> their text. What is no UTF-8, a character cut off at either end too, shows as U+FFFD."""
        return b"".join(self.pieces[token] for token in tokens).decode("utf-8", "replace")

    def arrays(self) -> dict[str, np.ndarray]:
        """As named arrays, for storage: all bytes, and where each token's end."""
        joined = np.frombuffer(b"".join(self.pieces), np.uint8)
        return {"bytes": joined, "ends": np.cumsum([len(piece) for piece in self.pieces], dtype=np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Spelling":
        """The inverse of `arrays`."""
        joined, ends = arrays["bytes"].tobytes(), arrays["ends"].tolist()
        return cls(tuple(joined[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)))
