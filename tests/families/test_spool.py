"""D^t beyond run.memory: the same bits from a temporary file, which leaves nothing behind."""

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mad_ray.commands.run import _execution
from mad_ray.config import parse_config
from mad_ray.core.errors import TrajectoryFailed
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Slice
from mad_ray.core.samples import Event, Samples
from mad_ray.data import Digits
from mad_ray.engine import stream
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.runtime import FitJob, silent
from mad_ray.engine.stream import TrainingSet
from mad_ray.families.family import Progress
from mad_ray.families.rows import Rows, generator_of
from mad_ray.families.spool import Pile
from mad_ray.onray.runtime import RayRuntime
from tests.families.in_memory import InMemory

KEYS = Keys((5,)).at("fit", 1)


class Limited(InMemory):
    """A stream with a limit of its own, as a training set has."""

    def __init__(self, samples: Samples, memory_bytes: int) -> None:
        super().__init__(samples)
        self.memory_bytes = memory_bytes


def images(n: int = 50, weighted: bool = False) -> Samples:
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (1, n, 3, 8, 8)).astype(np.uint8)
    weight = generator.integers(0, 3, (1, n)).astype(np.float32) if weighted else None
    return Samples.of(x, np.arange(n)[None] % 4, weight)


@pytest.mark.parametrize("memory_bytes", [0, 1, 1000, 9599])
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_from_a_file_are_those_from_memory(memory_bytes: int, weighted: bool) -> None:
    here = Rows.of(InMemory(images(weighted=weighted)))
    there = Rows.of(Limited(images(weighted=weighted), memory_bytes))
    assert len(here.x) == len(there.x)
    for first in (0, 32, 1000):
        orders = [rows.order(first, 32, KEYS, generator_of(KEYS, "step", first)) for rows in (here, there)]
        assert torch.equal(*orders)
        taken = [rows.take(order, torch.device("cpu")) for rows, order in zip((here, there), orders, strict=True)]
        assert torch.equal(taken[0][0], taken[1][0])
        assert torch.equal(taken[0][1], taken[1][1])


@pytest.mark.parametrize("memory_bytes", [0, 1 << 20])
def test_a_pile_is_what_was_laid_on_it(memory_bytes: int) -> None:
    pieces = [np.random.default_rng(i).standard_normal((n, 3, 2)) for i, n in enumerate((4, 0, 1, 7))]
    pile = Pile(20, memory_bytes)
    for piece in pieces:
        pile.add(piece)
    whole = pile.whole()
    np.testing.assert_array_equal(whole, np.concatenate(pieces))
    assert whole.flags.writeable, "torch warns of memory that it may not write"


def test_the_file_is_nobodys_but_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no name from the start: whatever kills the process, nothing is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    open_before = len(os.listdir("/proc/self/fd"))
    pile = Pile(100, 0)
    for _ in range(10):
        pile.add(np.ones((10, 1000)))
        assert list(tmp_path.iterdir()) == []
    x = pile.whole()
    assert len(os.listdir("/proc/self/fd")) <= open_before + 1
    assert x.sum() == 100_000
    del x, pile
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __call__(self, **_: object) -> "Full":
            return self

        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", Full())
    with pytest.raises(TrajectoryFailed, match=r"run.memory=1: D\^t is larger, and .* \(No space left on device\)"):
        Pile(1 << 20, 1 << 20).add(np.ones((4, 4)))


def test_a_fit_from_a_file_is_the_fit_from_memory() -> None:
    from mad_ray.families.ddpm import DDPM

    family = DDPM(n_steps=3, channels=(8, 8), batch_size=8, micro_batches=2)
    models = [
        family.fit(rows, KEYS, Progress()) for rows in (InMemory(images(20)), Limited(images(20), memory_bytes=500))
    ]
    assert models[0].keys() == models[1].keys()
    assert all(np.array_equal(models[0][name], models[1][name]) for name in models[0])


def test_data_and_training_sets_larger_than_memory(tmp_path: Path) -> None:
    """192 MiB of images, of which 16 MiB may be kept: never 100 MiB at once, and the same rows as from memory."""
    n = 16 << 10
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (n, 3, 64, 64))
    for start in range(0, n, 1024):
        x[start : start + 1024] = np.random.default_rng(start).integers(0, 256, (1024, 3, 64, 64), np.uint8)
    del x
    command = [sys.executable, "-m", "tests.families.larger_than_memory", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    total, mib, total_free, mib_free = map(float, done.stdout.split())
    assert total == total_free
    assert mib < 100 < 192 < mib_free


def test_run_memory_reaches_the_fit() -> None:
    """Through the job that a runtime carries out, in place or in a worker."""

    class Asking:
        def fit(self, data: TrainingSet, keys: Keys, progress: Progress) -> dict[str, np.ndarray]:
            return {"memory": np.array(data.memory_bytes)}

    cohort = SimpleNamespace(head=SimpleNamespace(family=Asking()), keys=KEYS)
    data = TrainingSet(Digits(), KEYS, (), {})
    job = FitJob(cohort, 1, data, "test")  # type: ignore[arg-type]
    config = parse_config({"study": {"name": "a"}, "run": {"memory": 3}})
    session = SimpleNamespace(config=config, heads=[])
    execution = _execution(session)  # type: ignore[arg-type]
    assert LocalRuntime(memory_bytes=7).fit(job, silent).model["memory"] == 7
    assert pickle.loads(pickle.dumps(data)).memory_bytes == 4 << 30
    assert RayRuntime(execution).fit(job, silent).model["memory"] == 3 << 20


def test_how_much_is_read_at_once_changes_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    data = TrainingSet(Digits(), KEYS, (Slice(0, 3, 90), Slice(0, 100, 150)), {})
    whole = list(data.batches(32))
    monkeypatch.setattr(stream, "READ_BYTES", 64 * 5)
    for one, other in zip(whole, data.batches(32), strict=True):
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.label, other.label)


def test_the_event_decides_how_much_is_read_at_once() -> None:
    sizes: list[int] = []

    class Wide:
        event, n, memory_bytes = Event((3, 256, 256), "uint8"), 100, 1 << 30

        def batches(self, size: int):
            sizes.append(size)
            yield Samples.of(np.zeros((1, 100, 3, 2, 2), np.uint8))

    Rows.of(Wide())
    assert sizes == [(16 << 20) // (3 * 256 * 256)]
