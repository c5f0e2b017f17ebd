"""The Gaussian: mean and unbiased covariance as the model, N(mean, lambda covariance) as its samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.moments import Moments, exact_moments
from mad_ray.core.rows import CHUNK, addressed_normal
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.families.family import Model, Progress, Stream


@dataclass(frozen=True)
class Gaussian:
    """N(mu, Sigma), fitted by mean and unbiased covariance (n - 1). Bias: samples N(mu, lambda Sigma) (the paper's)."""

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "gaussian"
    max_cohort: ClassVar[int] = 1000
    redraw: ClassVar[bool] = True
    distributed: ClassVar[bool] = False
    span: ClassVar[int] = 10
    chunk: ClassVar[int] = CHUNK

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """Every D^t needs two rows for a covariance, and images are not for this family."""
        if event.dtype == "uint8" or len(event.shape) != 1:
            raise InvalidInput(
                f"family=gaussian needs vectors; data gives {event.dtype} samples of shape {event.shape}: "
                "use data=gaussian, or an image family such as ddpm"
            )
        per_generation = loop.n_fixed + loop.n_fresh + loop.n_synthetic
        if min(loop.n_initial, per_generation) < 2:
            raise InvalidInput("loop: family=gaussian needs at least 2 samples in every D^t; raise the loop's counts")

    def fit(self, data: Stream, keys: Keys, progress: Progress) -> Model:
        """mean [B, d] and cov [B, d, d] of D^t, float64."""
        moments = data.moments()
        progress(1.0)
        return {"mean": moments.mean, "cov": moments.covariance}

    def sample(self, model: Model, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        """x [B, stop - start, d] float64 from N(mean, bias cov); computed in whole chunks, which fixes rounding."""
        root = np.sqrt(bias) * covariance_root(model["cov"])
        low, high = start // CHUNK * CHUNK, -(-stop // CHUNK) * CHUNK
        z = addressed_normal(keys, low, high, model["mean"].shape[1])
        parts = [np.matmul(z[:, i : i + CHUNK], root.transpose(0, 2, 1)) for i in range(0, high - low, CHUNK)]
        x = model["mean"][:, None, :] + np.concatenate([z[:, :0], *parts], axis=1)
        return Samples.of(x[:, start - low : stop - low])

    def moments(self, model: Mapping[str, np.ndarray]) -> Moments:
        """The model's own mean and covariance."""
        return exact_moments(model["mean"], model["cov"])


def covariance_root(cov: np.ndarray) -> np.ndarray:
    """cov [B, d, d] -> R with R R^T = cov. By eigenvalues, since n <= d leaves a covariance singular."""
    values, vectors = np.linalg.eigh(cov)
    return vectors * np.sqrt(np.clip(values, 0.0, None))[:, None, :]
