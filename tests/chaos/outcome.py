"""What one injected fault came to: a line of JSON in the results, whose lines make the table."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """One fault and its recovery.

    kind: what was killed, a row of the table. at: the step it hit. kills: processes killed, or nodes taken.
    recovered_s: from the kill until the work it hit was committed, or the command had ended.
    generations, steps: computed again because of it. differences: what came out otherwise than undisturbed.
    lost: what had been committed and is not there any more, byte for byte.
    """

    kind: str
    at: str
    recovered_s: float
    generations: int = 0
    steps: int = 0
    kills: int = 1
    differences: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    seed: int | None = None
    when_s: float = field(default_factory=lambda: round(time.time(), 1))

    @property
    def is_good(self) -> bool:
        return not self.differences and not self.lost


def append(path: Path, outcome: Outcome) -> None:
    """One write, so that several processes may share the file."""
    line = json.dumps(asdict(outcome)) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read(path: Path) -> Iterator[Outcome]:
    """Every outcome of the file, in the order in which they were found; none if there is no file."""
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        document = json.loads(line)
        lists = {name: tuple(document[name]) for name in ("differences", "lost")}
        yield Outcome(**{**document, **lists})
