"""What data and a training set larger than memory take: run in a process of its own, with the folder of x.npy."""

import sys
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Slice
from mad_ray.core.samples import Samples
from mad_ray.data.source import Selected, Table, TableSource
from mad_ray.engine.stream import TrainingSet
from mad_ray.families.rows import Rows, generator_of

KEYS = Keys((0,)).at("real")


class Large(TableSource):
    """Images in a file, in a random order."""

    name: ClassVar[str] = "large"

    def _load(self) -> Table:
        x = np.load(f"{sys.argv[1]}/x.npy", mmap_mode="r").view(np.ndarray)
        label, order = np.zeros(len(x), np.int32), np.random.default_rng(0).permutation(len(x))
        return Table(Selected(x, order), label, Selected(x, order), label)


class Watched(TrainingSet):
    """Notes, at every batch, the memory that is the process's own (MiB); pages of files are the system's."""

    most: ClassVar[float] = 0.0

    def batches(self, size: int) -> Iterator[Samples]:
        for batch in super().batches(size):
            yield batch
            note()


def note() -> None:
    with open("/proc/self/status") as status:
        Watched.most = max(Watched.most, int(status.read().split("RssAnon:")[1].split()[0]) / 1024)


def batches_of(memory_bytes: int) -> tuple[int, float]:
    """The sum of 200 batches; MiB beyond what was there before the data were opened."""
    source = Large()
    data = Watched(source, KEYS, (Slice(0, 0, source.n_rows or 0),), {}, memory_bytes=memory_bytes)
    Watched.most = 0.0
    note()
    before, rows, total = Watched.most, Rows.of(data), 0
    assert len(rows.x) == data.n
    for step in range(200):
        x, _ = rows.take(rows.order(step * 64, 64, KEYS, generator_of(KEYS, step)), torch.device("cpu"))
        total += int(x.sum())
        note()
    return total, Watched.most - before


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(*batches_of(16 << 20), *batches_of(1 << 30))
