"""Samplers of one diffusion model: images per second at equal FID, against ancestral sampling with all T steps.

    OMP_NUM_THREADS=1 python benchmarks/samplers.py [sample sets] [epsilon|v]

Trains a DDPM on scikit-learn's digits once, on all 1,200 training images, then draws sets of 597 images with each
sampler and number of steps, all from the same noise. FID is the Frechet distance in LeNet features to the 597 held-out
images: its mean over the sets, plus or minus the standard error of that mean. A sampler counts as equal if its FID is
not above that of T-step ancestral sampling by more than 2 standard errors of their difference, set by set. Time is CPU
time on one thread, medians over sets, drawn in turn. The goal is a ratio of 8 or more for DDIM or
DPM-Solver++, deterministic or stochastic.
"""

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace

from mad_ray.core.keys import Keys
from mad_ray.core.moments import rows_to_moments
from mad_ray.core.samples import Samples
from mad_ray.data import Digits
from mad_ray.engine.reference import Reference, open_reference
from mad_ray.engine.threads import fix_threads
from mad_ray.families.ddpm import DDPM
from mad_ray.families.family import Model
from mad_ray.families.progress import Progress
from mad_ray.ledger.local import LocalStore
from mad_ray.metrics.frechet import moments_to_frechet
from mad_ray.metrics.measure import Metrics

T = 500
MODELS = {
    "epsilon": DDPM(T=T, n_steps=1000, chunk=597),
    "v": DDPM(T=T, n_steps=1000, chunk=597, prediction="v", schedule="squaredcos_cap_v2"),
}
KEYS = Keys((0,))
METRICS = Metrics(features="lenet", n=597, names=("frechet",))
SAMPLERS = [
    ("ancestral", T),
    ("ancestral", 50),
    *((name, n) for name in ("ddim", "dpm_solver", "sde_dpm_solver") for n in (10, 20, 40)),
]


class Digits1200:
    """All training digits, as a stream."""

    event, n = Digits().event, 1200

    def batches(self, size: int) -> "list[Samples]":
        rows = Digits().rows(0, self.n, KEYS.at("real"))
        return [rows.rows(start, min(self.n, start + size)) for start in range(0, self.n, size)]


@dataclass
class Row:
    """What was seen of one sampler."""

    sampler: str
    n_steps: int
    fid: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float:
        return statistics.mean(self.fid)

    @property
    def error(self) -> float:
        """Standard error of the mean FID."""
        return statistics.stdev(self.fid) / len(self.fid) ** 0.5

    @property
    def rate(self) -> float:
        """Images per second of CPU time."""
        return METRICS.n / statistics.median(self.seconds)

    def is_equal(self, slow: "Row") -> bool:
        """Not worse than `slow` by more than 2 standard errors of the difference; the sets pair up."""
        losses = [fid - other for fid, other in zip(self.fid, slow.fid, strict=True)]
        return statistics.mean(losses) <= 2 * statistics.stdev(losses) / len(losses) ** 0.5


def draw(family: DDPM, row: Row, model: Model, reference: Reference, k: int) -> None:
    """Sample set k, from the same noise for every sampler."""
    family = replace(family, sampler=row.sampler, sampler_steps=row.n_steps)
    start = time.process_time()
    x = family.sample(model, 0, METRICS.n, 1.0, KEYS.at("sample", k)).x[0]
    row.seconds.append(time.process_time() - start)
    found = rows_to_moments(reference.extractor(x)[None])
    row.fid.append(float(moments_to_frechet(real=reference.moments, synthetic=found)[0]))


def compare(family: DDPM, n_sets: int, reference: Reference) -> list[Row]:
    """Train once; every sampler draws every set."""
    model = family.fit(Digits1200(), KEYS.at("fit", 1), Progress())  # type: ignore[arg-type]
    rows = [Row(*sampler) for sampler in SAMPLERS]
    for k in range(n_sets):
        for row in rows:
            draw(family, row, model, reference, k)
    return rows


def show(rows: list[Row]) -> None:
    """The table; ratios are to the first row."""
    slow = rows[0]
    print(f"{'sampler':16}{'steps':>6}{'FID':>8}{'error':>8}{'images/s':>10}{'ratio':>8}  equal")
    for row in rows:
        numbers = f"{row.n_steps:6}{row.mean:8.2f}{row.error:8.2f}{row.rate:10.1f}{row.rate / slow.rate:8.1f}"
        print(f"{row.sampler:16}{numbers}  {'yes' if row.is_equal(slow) else 'no'}")


def main() -> None:
    n_sets = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    fix_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        reference = open_reference(LocalStore(folder), Digits(), METRICS)
    floor = reference.floors["frechet"]
    for name in sys.argv[2:] or list(MODELS):
        print(f"predicting {name}, T = {T}, {n_sets} sets of {METRICS.n} images; FID of real images {floor:.1f}")
        show(compare(MODELS[name], n_sets, reference))


if __name__ == "__main__":
    main()
