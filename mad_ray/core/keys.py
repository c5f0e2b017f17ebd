"""Path-addressed random streams, one per trajectory.

A stream is named by (seed, path, index) and by nothing else: who draws it, when, and beside whom changes no bit.
"""

import hashlib
from dataclasses import dataclass, replace
from operator import index as index_of

import numpy as np

Part = str | int


@dataclass(frozen=True)
class Keys:
    """The names of B random streams: one seed per trajectory of a cohort, and the path walked so far."""

    seeds: tuple[int, ...]
    path: tuple[Part, ...] = ()

    def at(self, *parts: Part) -> "Keys":
        """The streams below this path: `keys.at("fit", t)`."""
        return replace(self, path=(*self.path, *parts))

    def row(self, b: int) -> "Keys":
        """Trajectory b alone."""
        return replace(self, seeds=(self.seeds[b],))

    def bits(self, b: int, *index: Part) -> bytes:
        """32 bytes that name the stream (seeds[b], path, index). str and int parts never collide."""
        parts = (self.seeds[b], *self.path, *index)
        # ascii() tells 1 from "1" and quotes separators; index() refuses 0.5, which would pass for 0.
        text = "/".join(ascii(part) if isinstance(part, str) else str(index_of(part)) for part in parts)
        return hashlib.sha256(text.encode()).digest()

    def generator(self, b: int, *index: Part) -> np.random.Generator:
        """NumPy's generator (Philox, keyed with 128 bits) at the start of the stream."""
        return np.random.Generator(np.random.Philox(key=int.from_bytes(self.bits(b, *index)[:16], "little")))

    def quick(self, b: int, *index: Part) -> np.random.Generator:
        """Another generator (SFC64) at the start of the stream: a third faster where millions of normals are drawn."""
        return np.random.Generator(np.random.SFC64(int.from_bytes(self.bits(b, *index)[:16], "little")))

    def seed(self, b: int, *index: Part) -> int:
        """A 63-bit seed for generators that take one integer, such as torch's."""
        return int.from_bytes(self.bits(b, *index)[:8], "little") >> 1
