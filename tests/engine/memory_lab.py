"""Long and large trajectories of a family that costs nothing, in a process of its own: what memory do they take?

python tests/engine/memory_lab.py generations FOLDER KIND | samples FOLDER, from the repository root; prints JSON.
"""

import json
import sys
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.data import GaussianData
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.trajectory import run_cohort
from mad_ray.families.family import Model, Progress, Stream
from mad_ray.ledger.open import open_store
from mad_ray.metrics.measure import Metrics

LOOPS = {
    "fully synthetic": Loop(128, n_synthetic=128),
    "fresh data, memory 3": Loop(128, n_fresh=64, n_synthetic=128, memory=3),
}
D = 64
"""128 rows of it are 64 kB: whoever kept those of 1,800 generations would hold 118 MB more."""


@dataclass(frozen=True)
class Free:
    """Stores its samples as networks do, and takes no time: the mean of D^t, and noise around it."""

    name: ClassVar[str] = "free"
    max_cohort: ClassVar[int] = 1
    redraw: ClassVar[bool] = False
    distributed: ClassVar[bool] = False
    span: ClassVar[int] = 1
    chunk: int = 128

    def check(self, event: Event, loop: Loop, workers: int) -> None: ...

    def fit(self, data: Stream, keys: Keys, progress: Progress) -> Model:
        total, n = np.zeros(data.event.shape), 0
        for batch in data.batches(4096):
            total, n = total + batch.x[0].sum(axis=0), n + batch.n
        progress(1.0)
        return {"mean": total / n}

    def sample(self, model: Model, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        chunks = range(start // self.chunk, -(-stop // self.chunk))
        z = np.concatenate([keys.generator(0, c).standard_normal((self.chunk, *model["mean"].shape)) for c in chunks])
        offset = start - chunks.start * self.chunk
        return Samples.of((model["mean"] + z[offset:][: stop - start])[None])


def memory_bytes(name: str = "VmRSS") -> int:
    """VmRSS: resident now; VmHWM: at most so far."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))


def generations(folder: str, kind: str, marks: tuple[int, ...] = (200, 2000)) -> dict[int, int]:
    """Generation -> peak of resident bytes up to it."""
    metrics = Metrics(n=128, names=("frechet",), per_octave=4)
    cohort = Cohort((Trajectory(GaussianData(d=D), Free(), LOOPS[kind], metrics, max(marks), 0),))
    found = {}
    for manifest, _ in run_cohort(cohort, open_store(folder), LocalRuntime()):
        if manifest.last in marks:
            found[manifest.last] = memory_bytes("VmHWM")
    return found


def samples(folder: str) -> dict[str, int]:
    """How much more memory than for 10^4 samples it took, at most, to publish 10^6, to train on them, and to publish as
    many again; in how many shards they came."""
    metrics = Metrics(n=1000, names=("frechet",))
    cohorts = [
        Cohort((Trajectory(GaussianData(d=16), Free(chunk=8192), Loop(1000, n_synthetic=n), metrics, 2, 0),))
        for n in (10_000, 1_000_000)
    ]
    peaks, n_shards = [], []
    for cohort in cohorts:
        n_shards += [len(manifest.shards) for manifest, _ in run_cohort(cohort, open_store(folder), LocalRuntime())]
        peaks.append(memory_bytes("VmHWM"))
    return {"grown": peaks[1] - peaks[0], "n_shards": n_shards[-1]}


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    start = time.process_time()
    found = {"generations": generations, "samples": samples}[what](*rest)
    print(json.dumps({**found, "cpu_s": round(time.process_time() - start, 2)}))
