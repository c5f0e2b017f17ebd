"""What Ray and the ledger cost: seconds per generation and per trial that are neither fit, sampling nor measuring.

    OMP_NUM_THREADS=1 python benchmarks/overhead.py [--trajectories 8] [--generations 10]

A family that does nothing, eight trajectories of ten generations, two trials at once, a store on this disk:
- stored, 1 shard: every generation its own commit, samples published as Parquet, as networks do; a trial each.
- stored, 3 shards: the same through a Ray Data pipeline in every generation.
- redrawn: ten generations a commit, as the Gaussian does; the eight trajectories share two trials.

a generation = (from a trial's first generation to its last commit) - fit, sampling, measuring, over its generations.
a trial = (seconds of the whole run x slots - the time that the slots spent between a trial's first generation and its
last commit), over the trials: start of Tune, of processes, imports, gaps, the end. `ray.init` stands by itself. The
goals are for a trial a trajectory; the two packed trials of "redrawn" share the start of Tune between two, not eight.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.manifest import Manifest
from mad_ray.core.samples import Samples
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.data.analytic import GaussianData
from mad_ray.engine.plan import pack_cohorts
from mad_ray.engine.reference import open_reference
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.open import open_store
from mad_ray.metrics.measure import Metrics
from mad_ray.onray.cluster import ray_session
from mad_ray.onray.resources import Execution
from mad_ray.onray.study import run_packs

SLOTS = 2
WORK = ("fit", "sample", "measure")
GOALS = {"generation": 0.5, "trial": 3.0}


@dataclass(frozen=True)
class Idle:
    """A family that does nothing: its model is a number, its samples are zeros."""

    name: ClassVar[str] = "idle"
    max_cohort: ClassVar[int] = 1
    distributed: ClassVar[bool] = False
    redraw: bool = False
    span: int = 1
    chunk: int = 64

    def check(self, *_: Any) -> None:
        """Anything goes."""

    def fit(self, *_: Any) -> dict[str, np.ndarray]:
        return {"nothing": np.zeros(1)}

    def sample(self, model: Any, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        return Samples.of(np.zeros((len(keys.seeds), stop - start, 2)))


class Silent:
    """A Watcher that shows nothing."""

    def stage(self, *_: Any) -> None: ...

    def committed(self, *_: Any) -> None: ...

    def failed(self, cohort: str, generation: int, reason: str) -> None:
        raise AssertionError(f"{cohort} failed at generation {generation}: {reason}")


@dataclass(frozen=True)
class Cost:
    """Seconds of overhead, and their base."""

    generation_s: float
    trial_s: float
    n_trials: int
    whole_s: float


def cohorts(args: argparse.Namespace, n: int, family: Idle) -> list[Cohort]:
    loop, metrics = Loop(n_initial=10, n_synthetic=10), Metrics(n=n, names=("frechet",))
    data = GaussianData(d=2)
    seeds = range(args.trajectories)
    return [Cohort((Trajectory(data, family, loop, metrics, args.generations, seed, "idle"),)) for seed in seeds]


def measure(name: str, all_cohorts: list[Cohort], folder: Path, execution: Execution) -> Cost:
    store = open_store(str(folder / "store"))
    open_reference(store, all_cohorts[0].head.data, all_cohorts[0].head.metrics)
    packs = pack_cohorts(all_cohorts, SLOTS)
    started = time.perf_counter()
    lost = run_packs(name, store, packs, execution, folder / "tune", Silent())
    whole_s = time.perf_counter() - started
    assert not lost, lost
    spans = [pack_span([Ledger(store, cohort).history() for cohort in pack]) for pack in packs]
    n_generations = sum(cohort.n_generations for cohort in all_cohorts)
    busy_s, work_s = sum(busy for busy, _ in spans), sum(work for _, work in spans)
    at_once = min(SLOTS, len(packs))
    trial_s = (whole_s * at_once - busy_s) / len(packs)
    return Cost((busy_s - work_s) / n_generations, trial_s, len(packs), whole_s)


def pack_span(histories: Sequence[list[Manifest]]) -> tuple[float, float]:
    """(seconds from the first generation's start to the last commit, those of them that were work)."""
    manifests = [manifest for history in histories for manifest in history]
    start = min(m.provenance["started_s"] for m in manifests)
    end = max(m.provenance["started_s"] + m.provenance["wall_s"] for m in manifests)
    return end - start, sum(m.provenance["seconds"].get(stage, 0.0) for m in manifests for stage in WORK)


def variants(args: argparse.Namespace) -> list[tuple[str, list[Cohort]]]:
    stored = Idle()
    # A shard holds at most four chunks.
    return [
        ("stored, 1 shard", cohorts(args, 4 * stored.chunk, stored)),
        ("stored, 3 shards", cohorts(args, 12 * stored.chunk, stored)),
        ("redrawn", cohorts(args, 256, Idle(redraw=True, span=10))),
    ]


def print_costs(rows: Sequence[tuple[str, Cost]]) -> bool:
    """Whether the goals are met."""
    print(f"{'seconds of overhead':24}{'a generation':>14}{'a trial':>10}{'trials':>8}{'whole run':>11}")
    met = True
    for name, cost in rows:
        print(f"{name:24}{cost.generation_s:14.3f}{cost.trial_s:10.2f}{cost.n_trials:8}{cost.whole_s:11.1f}")
        met &= cost.generation_s <= GOALS["generation"] and (cost.trial_s <= GOALS["trial"] or cost.n_trials == SLOTS)
    print(f"{'goal, at most':24}{GOALS['generation']:14.3f}{GOALS['trial']:10.2f}   {'met' if met else 'MISSED'}")
    return met


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=int, default=8)
    parser.add_argument("--generations", type=int, default=10)
    parser.add_argument("--only", default="", help="variants whose name holds this text")
    args = parser.parse_args()
    execution = Execution(max_concurrent=SLOTS)
    rows = []
    with tempfile.TemporaryDirectory(prefix="mad-ray-overhead-") as folder:
        started = time.perf_counter()
        with ray_session(execution, args.trajectories, 8):
            print(f"ray.init: {time.perf_counter() - started:.1f} s", flush=True)
            for name, found in variants(args):
                if args.only in name:
                    short = name.replace(", ", "-").replace(" ", "-")
                    rows.append((name, measure(short, found, Path(folder) / short, execution)))
    print_costs(rows)


if __name__ == "__main__":
    main()
