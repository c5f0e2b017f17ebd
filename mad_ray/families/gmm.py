"""The Gaussian mixture: K Gaussians with full covariances, fitted by EM from scratch in every generation."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from mad_ray.core.counts import uniform_to_symbols
from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.rows import CHUNK, by_chunks
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.families.em import MIN_REG_COVAR, Fit, Mixture, Rows, fit, seed, start, units
from mad_ray.families.family import Model, Progress, Stream
from mad_ray.families.vectors import require_vectors, whole

POINTS = 128
"""Points that stand for one component where its probability mass is asked for."""
RADIUS = 3.0
"""A mode of P_r reaches this many of its spreads from its centre."""
ALIVE = 0.1
"""A mode of P_r is alive while it holds at least this part of its fair share of the model's probability, 1 / m."""


@dataclass(frozen=True)
class Gmm:
    """A mixture of Gaussians, fitted by expectation-maximisation. Bias: component k is sampled as N(mu_k, lambda
    Sigma_k), its weight unchanged: 0 gives the modes only. (Our extension: the paper runs lambda = 1 alone.)

    EM starts from greedy k-means++ and stops as scikit-learn's GaussianMixture does. What differs is reg_covar: it is
    in units of the variance of D^t, since scikit-learn's absolute 1e-6 would stop the collapse that is to be seen. A
    component of m rows loses 1/m of its variance each generation and gains reg_covar, so that its variance settles at
    m reg_covar: with the default, and 40 rows a component, at 4e-9 of the variance of D^t. A component that loses all
    its rows keeps weight 0 and is never sampled; none is seeded anew.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "gmm"
    max_cohort: ClassVar[int] = 16
    redraw: ClassVar[bool] = True
    distributed: ClassVar[bool] = False
    span: ClassVar[int] = 256
    chunk: ClassVar[int] = CHUNK
    measures: ClassVar[tuple[str, ...]] = ("total_variance", "modal_variance", "modes_alive")
    """total_variance: the trace of the mixture's covariance.
    modal_variance: the trace of a component's covariance, averaged over components by weight (the paper's average modal
    variance); total_variance less this is the variance between components.
    modes_alive: how many modes of P_r hold, within 3 of their spreads, at least a tenth of their fair share of the
    model's probability; NaN where P_r has no modes."""

    n_components: int = 25
    """K: Gaussians in the mixture."""
    n_init: int = 1
    """Fits from different starts, of which the likeliest is kept."""
    candidates: int = 10
    """Candidates for each centre of k-means++. With scikit-learn's 2 + log(K), 5 for 25 components, the start misses
    0.9 % of the modes of data=modes (1,000 rows); with 10, 0.1 %. What it misses, the loop loses for no good reason."""
    tol: float = 1e-3
    """EM stops when the log-likelihood per row changes by less."""
    max_iterations: int = 100
    """EM stops after so many iterations in any case."""
    reg_covar: float = 1e-10
    """Added to the diagonal of every covariance, in units of the variance of D^t (the mean over coordinates)."""

    def __post_init__(self) -> None:
        for name in ("n_components", "n_init", "candidates", "max_iterations"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"family.{name}={getattr(self, name)}: a mixture needs at least 1; raise it")
        if not (math.isfinite(self.tol) and self.tol >= 0):
            raise InvalidInput(f"family.tol={self.tol} is no difference of log-likelihoods; give 0 or more")
        if not (math.isfinite(self.reg_covar) and self.reg_covar >= MIN_REG_COVAR):
            raise InvalidInput(
                f"family.reg_covar={self.reg_covar}: below {MIN_REG_COVAR:g} of the data's variance rounding decides; "
                "raise it"
            )

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """Vectors only, and at least as many rows as components in every D^t."""
        require_vectors(self.name, event, "modes")
        least = min(loop.n_initial, loop.n_fixed + loop.n_fresh + loop.n_synthetic)
        if least < self.n_components:
            raise InvalidInput(
                f"loop: {least} samples in the smallest D^t, but family=gmm has n_components={self.n_components}; "
                "raise the loop's counts or lower n_components"
            )

    def fit(self, data: Stream, keys: Keys, progress: Progress) -> Model:
        """weight [B, K], mean [B, K, d], root [B, K, d, d] of D^t; component k is N(mean_k, root_k root_k^T).

        All rows are held at once: about 8 n (2 d + d^2 / 2) bytes a trajectory. TrajectoryFailed where none has weight.
        """
        rows = [Rows(x, weight) for x, weight in zip(*whole(data), strict=True)]
        fits = []
        for attempt in range(self.n_init):
            done = partial(_told, progress, attempt * len(rows), self.n_init * len(rows))
            shape = (self.n_components, self.candidates)
            seeds = [seed(one, keys.generator(b, "start", attempt).random(shape)) for b, one in enumerate(rows)]
            first = start(rows, seeds, self.reg_covar)
            fits.append(
                fit(rows, first, tol=self.tol, max_iterations=self.max_iterations, reg_covar=self.reg_covar, told=done)
            )
        progress(1.0)
        return dict(vars(_likeliest(fits).moved(*units(rows))))

    def sample(self, model: Model, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        """x [B, stop - start, d] float64. Every 1,024 samples have a stream: first their components, then where."""

        def chunk_of(b: int, chunk: int) -> np.ndarray:
            generator = keys.generator(b, chunk)
            k = uniform_to_symbols(generator.random(CHUNK), model["weight"][b])
            z = generator.standard_normal((CHUNK, model["mean"].shape[2]))
            return model["mean"][b, k] + math.sqrt(bias) * shaped(model["root"][b, k], z)

        return Samples.of(by_chunks(chunk_of, len(keys.seeds), start, stop, model["mean"].shape[2]))

    def measure(
        self, model: Mapping[str, np.ndarray], law: Mapping[str, np.ndarray], names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The wanted ones of `measures`, [B] each, of the model at lambda = 1."""
        mixture = Mixture(model["weight"], model["mean"], model["root"])
        return {name: _MEASURES[name](mixture, law) for name in names}


def _told(progress: Progress, before: int, total: int, n_converged: int) -> None:
    progress((before + n_converged) / total)


def _likeliest(fits: Sequence[Fit]) -> Mixture:
    """Of each trajectory the fit of highest likelihood; the first of equals."""
    best = np.argmax([found.log_likelihood for found in fits], axis=0)
    choose = np.arange(len(best))
    arrays = {
        name: np.stack([getattr(found.mixture, name) for found in fits])[best, choose]
        for name in ("weight", "mean", "root")
    }
    return Mixture(**arrays)


def shaped(root: np.ndarray, z: np.ndarray) -> np.ndarray:
    """root [d, d] or [n, d, d], z [n, d] -> root z [n, d], with the same rounding for a row whatever n is."""
    y = root[..., :, 0] * z[:, :1]
    for j in range(1, z.shape[1]):
        y += root[..., :, j] * z[:, j : j + 1]
    return y


def _modal_variance(mixture: Mixture) -> np.ndarray:
    return (mixture.weight * np.square(mixture.root).sum(axis=(-2, -1))).sum(axis=1)


def _total_variance(mixture: Mixture) -> np.ndarray:
    centre = (mixture.weight[..., None] * mixture.mean).sum(axis=1, keepdims=True)
    between = (mixture.weight * np.square(mixture.mean - centre).sum(axis=-1)).sum(axis=1)
    return _modal_variance(mixture) + between


def mode_shares(mixture: Mixture, centres: np.ndarray, spread: float) -> np.ndarray:
    """The model's probability [B, m] within RADIUS spreads of each centre [m, 2].

    Each component is replaced by POINTS points of equal weight, on a sunflower spiral whose radii are the quantiles of
    a Rayleigh distribution; the error is about 1 / POINTS of the component's weight.
    """
    i = np.arange(POINTS)
    radius, angle = np.sqrt(-2 * np.log1p(-(i + 0.5) / POINTS)), i * math.pi * (3 - math.sqrt(5))
    spiral = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    shares = []
    for weight, mean, root in zip(mixture.weight, mixture.mean, mixture.root, strict=True):
        alive = weight > 0
        x = mean[alive, None] + (root[alive, None] * spiral[:, None, :]).sum(axis=-1)
        squared = sum(np.square(x[..., i, None] - centres[:, i]) for i in range(2))
        shares.append(weight[alive] @ (squared <= (RADIUS * spread) ** 2).mean(axis=1))
    return np.stack(shares)


def _modes_alive(mixture: Mixture, law: Mapping[str, np.ndarray]) -> np.ndarray:
    if "centres" not in law:
        return np.full(len(mixture.weight), np.nan)
    share = mode_shares(mixture, law["centres"], float(law["spread"]))
    return (share >= ALIVE / len(law["centres"])).sum(axis=1).astype(np.float64)


_MEASURES: dict[str, Callable[[Mixture, Mapping[str, np.ndarray]], np.ndarray]] = {
    "total_variance": lambda mixture, law: _total_variance(mixture),
    "modal_variance": lambda mixture, law: _modal_variance(mixture),
    "modes_alive": _modes_alive,
}
