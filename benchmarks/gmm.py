"""EM of Gaussian mixtures against scikit-learn's: time, and the same likelihood from the same start. One thread each.

    python benchmarks/gmm.py [--generations 200]

Rows are those of a fully synthetic loop (25 modes in the plane, 25 components, n = 1,000) at several generations. "EM":
the same start, tolerance and regularisation. "fit": as a user would call it, each with its own k-means++. Last, what a
generation of the loop costs a trajectory, in cohorts of 16. Times are of the processor, the best of a few.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from mad_ray.core.keys import Keys
from mad_ray.core.samples import Event, Samples
from mad_ray.data.modes import Modes
from mad_ray.families.em import Mixture, Rows, fit, seed, start, units
from mad_ray.families.gmm import Gmm
from mad_ray.metrics.modes import MODE_METRICS, mode_metrics
from mad_ray.metrics.neighbours import neighbours

FAMILY, DATA, N = Gmm(), Modes(), 1000
KEYS = Keys(tuple(range(16)))


class InMemory:
    """A stream over rows in memory."""

    def __init__(self, samples: Samples) -> None:
        self.samples, self.event, self.n = samples, Event(samples.event, "float64"), samples.n

    def batches(self, size: int) -> Any:
        return (self.samples.rows(a, min(a + size, self.n)) for a in range(0, self.n, size))


def best_of(repeats: int, run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, and the answer."""
    taken = []
    for _ in range(repeats):
        begin = time.process_time()
        answer = run()
        taken.append(time.process_time() - begin)
    return min(taken), answer


def first_step(rows: list[Rows]) -> Mixture:
    uniform = [np.random.default_rng(b).random((FAMILY.n_components, FAMILY.candidates)) for b in range(len(rows))]
    return start(rows, [seed(one, u) for one, u in zip(rows, uniform, strict=True)], FAMILY.reg_covar)


def theirs(x: np.ndarray, rows: list[Rows], first: Mixture) -> list[GaussianMixture]:
    first, found = first.moved(*units(rows)), []
    for b, one in enumerate(rows):
        mixture = GaussianMixture(
            FAMILY.n_components,
            tol=FAMILY.tol,
            max_iter=FAMILY.max_iterations,
            reg_covar=FAMILY.reg_covar * one.scale**2,
            weights_init=first.weight[b],
            means_init=first.mean[b],
            precisions_init=np.linalg.inv(first.covariance[b]),
        )
        # Else it spends most of its time on a k-means whose answer it then throws away.
        mixture.init_params = "random_from_data"
        found.append(mixture.fit(x[b]))
    return found


def compare_em(t: int, x: np.ndarray) -> None:
    """Both from the same start, 16 trajectories."""
    rows = [Rows(one) for one in x]
    first = first_step(rows)
    settings = {"tol": FAMILY.tol, "max_iterations": FAMILY.max_iterations, "reg_covar": FAMILY.reg_covar}
    our_s, ours = best_of(5, lambda: fit([Rows(one) for one in x], first, **settings))
    their_s, found = best_of(2, lambda: theirs(x, rows, first))
    likelihood = ours.log_likelihood - x.shape[2] * np.log([one.scale for one in rows])
    difference = np.abs(likelihood - [one.lower_bound_ for one in found]).max()
    steps, their_steps = ours.n_iterations.sum(), sum(one.n_iter_ for one in found)
    print(
        f"t={t:<4} EM   ours {1e3 * our_s / len(x):6.2f} ms ({1e3 * our_s / steps:.3f} an iteration, {steps} in all)   "
        f"scikit-learn {1e3 * their_s / len(x):6.2f} ms ({1e3 * their_s / their_steps:.3f}, {their_steps})   "
        f"{their_s / our_s:.1f} times faster, log-likelihoods differ by {difference:.0e}",
        flush=True,
    )


def compare_fit(t: int, x: np.ndarray) -> None:
    """Both from their own k-means++; log-likelihood per row, the mean of 16 trajectories."""
    our_s, model = best_of(3, lambda: FAMILY.fit(InMemory(Samples.of(x)), KEYS.at("fit", t), lambda share: None))
    variance = [Rows(one).scale ** 2 for one in x]
    their_s, found = best_of(
        1,
        lambda: [
            GaussianMixture(
                FAMILY.n_components, init_params="k-means++", random_state=b, reg_covar=FAMILY.reg_covar * variance[b]
            ).fit(one)
            for b, one in enumerate(x)
        ],
    )
    their_likelihood = np.mean([mixture.score(one) for mixture, one in zip(found, x, strict=True)])
    print(
        f"t={t:<4} fit  ours {1e3 * our_s / len(x):6.2f} ms (log-likelihood {log_likelihood(x, model):.3f})   "
        f"scikit-learn {1e3 * their_s / len(x):6.2f} ms ({their_likelihood:.3f})   {their_s / our_s:.1f} times faster",
        flush=True,
    )


def log_likelihood(x: np.ndarray, model: dict[str, np.ndarray]) -> float:
    total = 0.0
    for b, one in enumerate(x):
        white = np.linalg.solve(model["root"][b], (one[:, None] - model["mean"][b])[..., None])[..., 0]
        log_root = np.log(np.diagonal(model["root"][b], axis1=1, axis2=2)).sum(axis=1)
        with np.errstate(divide="ignore"):
            terms = np.log(model["weight"][b]) - log_root - 0.5 * (white**2).sum(axis=2) - np.log(2 * np.pi)
        total += np.logaddexp.reduce(terms, axis=1).mean() / len(x)
    return total


def run_loop(n_generations: int) -> None:
    x, fitting, sampling = DATA.rows(0, N, KEYS.at("real")).x, 0.0, 0.0
    for t in range(1, n_generations + 1):
        if t in (1, 20, n_generations):
            compare_em(t, x)
            compare_fit(t, x)
        seconds, model = best_of(
            1, lambda x=x, t=t: FAMILY.fit(InMemory(Samples.of(x)), KEYS.at("fit", t), lambda s: None)
        )
        fitting += seconds
        seconds, samples = best_of(1, lambda model=model, t=t: FAMILY.sample(model, 0, N, 1.0, KEYS.at("sample", t)))
        sampling += seconds
        x = samples.x
    each = 1e3 / n_generations / len(KEYS.seeds)
    print(f"a generation, per trajectory: fit {each * fitting:.2f} ms, sample {each * sampling:.2f} ms")
    held, law = DATA.held_out(N).x[0], DATA.law()
    measuring, _ = best_of(3, lambda: [FAMILY.measure(model, law, FAMILY.measures)])
    modal, _ = best_of(3, lambda: [mode_metrics(one, law, MODE_METRICS) for one in x])
    nearest, _ = best_of(2, lambda: [neighbours(real=held, synthetic=one) for one in x])
    print(
        f"where measured: of the model {1e3 * measuring / 16:.2f} ms, modes of samples {1e3 * modal / 16:.2f} ms, "
        f"precision and recall {1e3 * nearest / 16:.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generations", type=int, default=200, help="of the loop that is run")
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(1):
        run_loop(given.generations)


if __name__ == "__main__":
    main()
