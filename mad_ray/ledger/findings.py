"""What a verification tells: problems, and how much was read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """An object that is not what was committed."""

    key: str
    problem: str


@dataclass
class Tally:
    """What a verification has read so far: whole objects, good or bad, and their bytes."""

    n_objects: int = 0
    n_bytes: int = 0
