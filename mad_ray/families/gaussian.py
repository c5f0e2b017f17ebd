"""The Gaussian: mean and unbiased covariance as the model, N(mean, lambda covariance) as its samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from mad_ray.core.cholesky import covariance_root
from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.moments import Factored, Moments, exact_moments
from mad_ray.core.rows import CHUNK
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.core.wasserstein import gaussian_w2, isotropic_w2
from mad_ray.core.wishart import drawn_moments, normal_rows
from mad_ray.families.family import Model, Progress, Stream
from mad_ray.families.vectors import require_vectors


@dataclass(frozen=True)
class Gaussian:
    """N(mu, Sigma), fitted by mean and unbiased covariance (n - 1). Bias: samples N(mu, lambda Sigma) (the paper's).

    A model is mean [B, d] and root [B, d, d], lower-triangular, Sigma = root root^T. Where n <= d, Sigma has rank
    n - 1, and so many columns of its root are not 0.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "gaussian"
    # Wide enough that Python's own time is shared by many, narrow enough to keep 100 generations of d = 100 in memory.
    max_cohort: ClassVar[int] = 64
    redraw: ClassVar[bool] = True
    distributed: ClassVar[bool] = False
    span: ClassVar[int] = 256
    chunk: ClassVar[int] = CHUNK
    summary: ClassVar[type[Moments]] = Moments
    measures: ClassVar[tuple[str, ...]] = (
        "w2_squared",
        "mean_squared",
        "total_variance",
        "trace_ratio",
        "log_det_ratio",
    )
    """w2_squared: squared Wasserstein-2 distance to the Gaussian of P_r's mean and covariance Sigma_r.
    mean_squared: |mu - mu_r|^2. total_variance: tr Sigma. trace_ratio: tr Sigma / tr Sigma_r.
    log_det_ratio: log det Sigma - log det Sigma_r; minus infinity where n <= d.
    NaN where it takes moments of P_r that nobody knows."""

    draws: Literal["summaries", "rows"] = field(default="summaries", metadata={"always": True})
    """summaries: training sets are drawn as moments (mean and Wishart scatter), without their rows. rows: the same law
    the slow way, row by row."""

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """Every D^t needs two rows for a covariance, and images are not for this family."""
        require_vectors(self.name, event, "gaussian")
        per_generation = loop.n_fixed + loop.n_fresh + loop.n_synthetic
        if min(loop.n_initial, per_generation) < 2:
            raise InvalidInput("loop: family=gaussian needs at least 2 samples in every D^t; raise the loop's counts")

    def fit(self, data: Stream, keys: Keys, progress: Progress) -> Model:
        """mean [B, d] and root [B, d, d] of D^t, float64."""
        moments = data.summary(Moments)
        model = {"mean": moments.mean, "root": unbiased_root(moments)}
        progress(1.0)
        return model

    def sample(self, model: Model, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        """x [B, stop - start, d] float64 from N(mean, bias root root^T)."""
        return Samples.of(normal_rows(model["mean"], _scaled(model["root"], bias), start, stop, keys))

    def draw(self, model: Mapping[str, np.ndarray], start: int, stop: int, bias: float, keys: Keys) -> Moments:
        """Moments of samples start..stop of N(mean, bias root root^T), without the samples."""
        return drawn_moments(model["mean"], _scaled(model["root"], bias), start, stop, keys)

    def moments(self, model: Mapping[str, np.ndarray]) -> Moments:
        """The model's own mean and covariance."""
        return exact_moments(model["mean"], np.matmul(model["root"], model["root"].transpose(0, 2, 1)))

    def measure(
        self, model: Mapping[str, np.ndarray], law: Mapping[str, np.ndarray], names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The wanted ones of `measures`, [B] each, of the model at lambda = 1.

        law: "mean" [d] and "covariance" [d, d], or the modes of equal weight whose moments these are.
        """
        mean, covariance = _moments_of(law, model["mean"].shape[1])
        return {name: _MEASURES[name](model["mean"], model["root"], mean, covariance) for name in names}


def unbiased_root(moments: Moments) -> np.ndarray:
    """Lower-triangular root [B, d, d] of the unbiased covariance (n - 1). ValueError below two samples."""
    if not isinstance(moments, Factored) or np.any(moments.n < 2):
        return covariance_root(moments.covariance)
    _, d, rank = moments.factor.shape
    root = moments.factor / np.sqrt(moments.n - 1)[:, None, None]
    return np.pad(root, ((0, 0), (0, 0), (0, d - rank))) if rank < d else root


def _scaled(root: np.ndarray, bias: float) -> np.ndarray:
    return root if bias == 1 else np.sqrt(bias) * root


def _moments_of(law: Mapping[str, np.ndarray], d: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean [d] and covariance [d, d] of P_r; NaN where its law does not tell."""
    if "covariance" in law:
        return law["mean"], law["covariance"]
    if "centres" in law:
        centres, spread = law["centres"], float(law["spread"])
        centred = centres - centres.mean(axis=0)
        return centres.mean(axis=0), centred.T @ centred / len(centres) + spread**2 * np.eye(d)
    return np.full(d, np.nan), np.full((d, d), np.nan)


def _w2_squared(mean: np.ndarray, root: np.ndarray, of_mean: np.ndarray, of_covariance: np.ndarray) -> np.ndarray:
    if np.isnan(of_covariance).any():
        return np.full(len(mean), np.nan)
    variance = of_covariance[0, 0]
    if np.array_equal(of_covariance, variance * np.eye(len(of_covariance))):
        return isotropic_w2(mean, root, of_mean, float(np.sqrt(variance)))
    return gaussian_w2(mean, root, of_mean, covariance_root(of_covariance[None]))


def _mean_squared(mean: np.ndarray, root: np.ndarray, of_mean: np.ndarray, of_covariance: np.ndarray) -> np.ndarray:
    return np.square(mean - of_mean).sum(axis=1)


def _total_variance(mean: np.ndarray, root: np.ndarray, of_mean: np.ndarray, of_covariance: np.ndarray) -> np.ndarray:
    return np.square(root).sum(axis=(1, 2))


def _trace_ratio(mean: np.ndarray, root: np.ndarray, of_mean: np.ndarray, of_covariance: np.ndarray) -> np.ndarray:
    return np.square(root).sum(axis=(1, 2)) / np.trace(of_covariance)


def _log_det_ratio(mean: np.ndarray, root: np.ndarray, of_mean: np.ndarray, of_covariance: np.ndarray) -> np.ndarray:
    """From the diagonal of the root, which is good for determinants far below the smallest float."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log_det = 2 * np.log(np.abs(np.diagonal(root, axis1=1, axis2=2))).sum(axis=1)
        return log_det - np.linalg.slogdet(of_covariance)[1]


_MEASURES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "w2_squared": _w2_squared,
    "mean_squared": _mean_squared,
    "total_variance": _total_variance,
    "trace_ratio": _trace_ratio,
    "log_det_ratio": _log_det_ratio,
}
