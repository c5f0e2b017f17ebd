"""Metrics against their plain alternatives: time, peak memory, and the same answer. One thread each.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py [--large]

Each contender runs in a process of its own, so that its peak memory is its own; "+" is what it takes beyond the
peak of making its inputs, which seconds leave out as well.
--large adds 50,000 x 50,000 neighbours (about a minute; prdc's matrices would take 60 GB).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ROOT = str(Path(__file__).parent.parent)


def features(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.normal(size=(n, d)) * 0.95 + 0.05


def ours_neighbours(n: int, d: int) -> Callable[[], list[float]]:
    from mad_ray.metrics.neighbours import neighbours

    real, synthetic = features(n, d)
    neighbours(real=real[:50], synthetic=synthetic[:50])
    return lambda: list(vars(neighbours(real=real, synthetic=synthetic)).values())


def prdc_neighbours(n: int, d: int) -> Callable[[], list[float]]:
    from prdc import compute_prdc

    real, synthetic = features(n, d)
    compute_prdc(real[:50], synthetic[:50], 5)
    return lambda: list(map(float, compute_prdc(real, synthetic, 5).values()))


def ours_frechet(n: int, d: int) -> Callable[[], list[float]]:
    from mad_ray.core.moments import rows_to_moments
    from mad_ray.metrics.frechet import moments_to_frechet

    real, synthetic = (rows_to_moments(x[None]) for x in features(n, d))
    return lambda: moments_to_frechet(real=real, synthetic=synthetic).tolist()


def clean_fid_frechet(n: int, d: int) -> Callable[[], list[float]]:
    from mad_ray.shims import mend_torchvision

    mend_torchvision()
    from cleanfid.fid import frechet_distance

    real, synthetic = features(n, d)
    moments = real.mean(0), np.cov(real.T), synthetic.mean(0), np.cov(synthetic.T)
    return lambda: [float(frechet_distance(*moments))]


def ours_kernel(n: int, d: int) -> Callable[[], list[float]]:
    from mad_ray.metrics.kernel import kernel_distance

    real, synthetic = features(n, d)
    return lambda: [kernel_distance(real=real, synthetic=synthetic)]


def clean_fid_kernel(n: int, d: int) -> Callable[[], list[float]]:
    from mad_ray.shims import mend_torchvision

    mend_torchvision()
    from cleanfid.fid import kernel_distance

    real, synthetic = features(n, d)
    return lambda: [float(kernel_distance(real, synthetic, num_subsets=1, max_subset_size=n))]


CONTENDERS = {
    f.__name__: f
    for f in (ours_neighbours, prdc_neighbours, ours_frechet, clean_fid_frechet, ours_kernel, clean_fid_kernel)
}


def measure(name: str, n: int, d: int) -> dict:
    """Run one contender in a process of its own -> its answer, seconds, and peak MiB (+: see above)."""
    command = [sys.executable, "-W", "ignore", __file__, "--contender", name, str(n), str(d)]
    done = subprocess.run(
        command, env=os.environ | ONE_THREAD | {"PYTHONPATH": ROOT}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def contend(name: str, n: int, d: int) -> None:
    run = CONTENDERS[name](n, d)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    answer = run()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"answer": answer, "seconds": seconds, "mib": (peak - before) / 1024, "peak_mib": peak / 1024}))


def compare(title: str, ours: str, theirs: str, n: int, d: int) -> None:
    a, b = measure(ours, n, d), measure(theirs, n, d)
    difference = np.max(np.abs(np.array(a["answer"]) - b["answer"]) / np.abs(b["answer"]))
    for name, found in ((ours, a), (theirs, b)):
        memory = f"+{found['mib']:6.0f} MiB, {found['peak_mib']:.0f} in all"
        print(f"{title:<34} {name:<18} {found['seconds']:8.2f} s  {memory}", flush=True)
    print(f"{'':<34} {b['seconds'] / a['seconds']:.1f} times faster, relative difference {difference:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="also 50,000 x 50,000 neighbours")
    parser.add_argument("--contender", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        contend(given.contender[0], *map(int, given.contender[1:]))
        return
    for d in (64, 84):
        compare(f"neighbours, 10,000 x 10,000, d={d}", "ours_neighbours", "prdc_neighbours", 10_000, d)
    compare("frechet, d=2048, n=5,000", "ours_frechet", "clean_fid_frechet", 5_000, 2048)
    compare("frechet, d=2048, n=1,000", "ours_frechet", "clean_fid_frechet", 1_000, 2048)
    compare("kernel, 5,000 x 5,000, d=84", "ours_kernel", "clean_fid_kernel", 5_000, 84)
    if given.large:
        found = measure("ours_neighbours", 50_000, 84)
        print(f"neighbours, 50,000 x 50,000, d=84: {found['seconds']:.0f} s, +{found['mib']:.0f} MiB beyond its inputs")


if __name__ == "__main__":
    main()
