"""What interventions cost. Each line: a loop with them against the same loop without, in turn, in one run.

    python benchmarks/interventions.py

Loops of a Gaussian, d = 100, 1,000 real and 2,000 synthetic rows in each D^t, 16 trajectories in a cohort, through the
engine, on one thread; CPU time of a trajectory's generation. "thinned": a detector of given rates, whose D^t is drawn
as a summary of fewer rows. "by rows": the same where each row throws its die, against the loop by rows.
"""

import time
import uuid
from dataclasses import replace
from statistics import median
from typing import Any

from mad_ray.core.loop import fresh_data
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.data import GaussianData
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.threads import fix_threads
from mad_ray.engine.trajectory import run_cohort
from mad_ray.families import Gaussian
from mad_ray.interventions import INTERVENTIONS
from mad_ray.ledger.memory import MemoryStore
from mad_ray.metrics.measure import Metrics

N_GENERATIONS, COHORT, REPEATS = 8, 16, 3
SUMMARIES, ROWS = Gaussian(), Gaussian(draws="rows")
CASES: dict[str, tuple[Gaussian, tuple[tuple[str, dict[str, Any]], ...]]] = {
    "detector, thinned": (SUMMARIES, (("detector", {"hit_rate": 0.8, "false_alarm_rate": 0.05}),)),
    "detector, by rows": (ROWS, (("detector", {"hit_rate": 0.8, "false_alarm_rate": 0.05}),)),
    "watermark": (ROWS, (("watermark", {"strength": 1.0}),)),
    "watermark and its detector": (ROWS, (("watermark", {"strength": 1.0}), ("mark_detector", {}))),
    "self-correction": (ROWS, (("self_correction", {}),)),
    "importance weights": (ROWS, (("reweight_importance", {}),)),
    "tails raised": (ROWS, (("reweight_density", {}),)),
    "cherry-picking": (ROWS, (("cherry_pick", {"by": "likelihood"}),)),
}


def seconds(family: Gaussian, interventions: tuple[Any, ...]) -> float:
    """CPU seconds of a generation of one trajectory."""
    data, metrics = GaussianData(d=100), Metrics(n=1000, names=["w2_squared"])
    head = Trajectory(data, family, fresh_data(n_fresh=1000, n_synthetic=2000), metrics, N_GENERATIONS, 0)
    cohort = Cohort(tuple(replace(head, seed=seed, interventions=interventions) for seed in range(COHORT)))
    start = time.process_time()
    for _ in run_cohort(cohort, MemoryStore(uuid.uuid4().hex), LocalRuntime()):
        pass
    return (time.process_time() - start) / (N_GENERATIONS * COHORT)


def main() -> None:
    """Every case against its family alone, in turn."""
    fix_threads(1)
    for name, (family, given) in CASES.items():
        interventions = tuple(INTERVENTIONS[kind](**settings) for kind, settings in given)
        pairs = [(seconds(family, interventions), seconds(family, ())) for _ in range(REPEATS + 1)][1:]
        ours, plain = (median(side) for side in zip(*pairs, strict=True))
        print(f"{name:28} {1e3 * ours:8.2f} ms   without {1e3 * plain:8.2f} ms   ratio {ours / plain:.2f}", flush=True)


if __name__ == "__main__":
    main()
