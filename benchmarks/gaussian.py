"""Loops of Gaussians: moments that are drawn against the rows that everybody else draws. One thread each, in one run.

    python benchmarks/gaussian.py

Time per trajectory and generation, d = 100, the median of REPEATS; contenders take turns, so that a busy machine slows
them alike. The plain loop is the one that papers publish: rows, mean, np.cov, rng.multivariate_normal. Ours goes
through the family's and the source's own `draw`, `merge_many` and `fit`, a cohort of 64 trajectories at once; without
the engine, as the plain loop is without one. "measured" adds the squared Wasserstein-2 distance of every generation.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop, compose, fresh_data, fully_synthetic, pieces
from mad_ray.core.moments import Moments, merge_many
from mad_ray.data import GaussianData
from mad_ray.families import Gaussian
from mad_ray.families.family import Model

D = 100
COHORT = 64
REPEATS = 7
FAMILY, DATA = Gaussian(), GaussianData(d=D)


@dataclass(frozen=True)
class Summed:
    """A stream of which only the moments are known."""

    moments: Moments

    def summary(self, kind: type[Moments]) -> Moments:
        return self.moments


def ours(loop: Loop, n_trajectories: int) -> Iterator[Model]:
    """G^1, G^2, ... of a cohort."""
    keys, past, t = Keys(tuple(range(n_trajectories))), {}, 0
    while True:
        t += 1
        parts = []
        for part in (piece for whole in compose(loop, t) for piece in pieces(loop, whole)):
            g, start, stop = part.generation, part.start, part.stop
            if part.is_real:
                parts.append(DATA.draw(Moments, start, stop, keys.at("real")))
            else:
                parts.append(FAMILY.draw(past[g], start, stop, loop.bias, keys.at("sample", g)))
        past[t] = FAMILY.fit(Summed(merge_many(parts)), keys.at("fit", t), lambda share: None)
        past.pop(t - loop.memory, None)
        yield past[t]


def plain(loop: Loop) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """G^1, G^2, ... of one trajectory, as everybody writes it."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((loop.n_initial, D))
    while True:
        mean, cov = rows.mean(axis=0), np.cov(rows.T)
        yield mean, cov
        synthetic = rng.multivariate_normal(mean, loop.bias * cov, loop.n_synthetic)
        rows = np.concatenate([rng.standard_normal((loop.n_fresh, D)), synthetic])


def measure_ours(model: Model) -> object:
    return FAMILY.measure(model, DATA.law(), ["w2_squared"])


def measure_plain(model: tuple[np.ndarray, np.ndarray]) -> object:
    """|mu|^2 + tr(Sigma + I - 2 Sigma^1/2), by eigenvalues; papers take the slower sqrtm."""
    mean, cov = model
    return mean @ mean + np.trace(cov) + D - 2 * np.sqrt(np.maximum(np.linalg.eigvalsh(cov), 0)).sum()


def seconds(models: Iterator, n: int, measure: Callable | None) -> float:
    """Wall time per generation over the next n."""
    start = time.perf_counter()
    for _ in range(n):
        model = next(models)
        if measure:
            measure(model)
    return (time.perf_counter() - start) / n


def compare(title: str, loop: Loop, *, measured: bool = False, goal: int | None = None) -> None:
    """Print both times and their ratio."""
    one, other = ours(loop, COHORT), plain(loop)
    n_plain = max(1, 20_000 // (loop.n_fresh + loop.n_synthetic))
    times: list[tuple[float, float]] = []
    for _ in range(REPEATS + 1):
        found = seconds(one, 5, measure_ours if measured else None) / COHORT
        times.append((found, seconds(other, n_plain, measure_plain if measured else None)))
    # The first turn warms caches up.
    a, b = (median(column) * 1e6 for column in zip(*times[1:], strict=True))
    low, high = (f([y / x for x, y in times[1:]]) for f in (min, max))
    wanted = "" if goal is None else f", goal {goal}"
    print(f"{title:<44} {a:8,.0f} us  plain {b:11,.0f} us  {b / a:7,.0f} times ({low:,.0f} to {high:,.0f}{wanted})")


def main() -> None:
    print(f"d = {D}, per trajectory and generation; ours in cohorts of {COHORT}")
    for n, goal in ((1_000, 20), (10_000, 120), (100_000, 1200)):
        compare(f"fully synthetic, n_s = {n:,}", fully_synthetic(n_initial=1_000, n_synthetic=n), goal=goal)
    compare("fully synthetic, n_s = 1,000, measured", fully_synthetic(n_initial=1_000), measured=True)
    fresh = fresh_data(n_fresh=1_000, n_synthetic=10_000)
    compare("fresh data, n_r = 1,000, n_s = 10,000", fresh)
    compare("fresh data, n_r = 1,000, n_s = 10,000, measured", fresh, measured=True)
    compare("n_r = 100, n_s = 900 (figure 10)", fresh_data(n_fresh=100, n_synthetic=900))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
