"""The kernel density estimate: its training rows, each with a Gaussian around it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from mad_ray.core.cholesky import covariance_root
from mad_ray.core.counts import uniform_to_symbols
from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.moments import Moments, rows_to_moments
from mad_ray.core.rows import CHUNK, by_chunks
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.families.family import Model, Progress, Stream
from mad_ray.families.gmm import shaped
from mad_ray.families.vectors import require_vectors, whole


@dataclass(frozen=True)
class Kde:
    """A Gaussian kernel density estimate, as SciPy's gaussian_kde: N(row, h^2 S) around every training row, with S the
    covariance of all of them. Bias: kernels are N(row, lambda h^2 S), so that 0 draws training rows again, which are
    the modes of narrow kernels. (Our extension: the paper has no KDE; the rule is the one of family=gmm.)

    A fully synthetic loop *gains* variance while h^2 > 1/n: E[Sigma_t | past] = ((n - 1)/n + lambda h^2) Sigma_{t-1},
    with n rows of equal weight in every D^t (test_kde.py). At lambda = 1 / (n h^2) it neither gains nor loses any.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "kde"
    max_cohort: ClassVar[int] = 16
    redraw: ClassVar[bool] = True
    distributed: ClassVar[bool] = False
    # The model is the training set itself: a span of 16 x 16 trajectories of 1,000 rows in the plane is 4 MB.
    span: ClassVar[int] = 16
    chunk: ClassVar[int] = CHUNK
    measures: ClassVar[tuple[str, ...]] = ("total_variance",)
    """total_variance: the trace of the estimate's covariance."""

    bandwidth: float | Literal["scott", "silverman"] = "scott"
    """h: kernels are so many times as wide as the data. With n rows in d dimensions, scott is n^(-1/(d+4)), silverman
    (n (d + 2) / 4)^(-1/(d+4)); of weighted rows n is (sum w)^2 / sum w^2."""

    def __post_init__(self) -> None:
        h = self.bandwidth
        known = h in ("scott", "silverman") if isinstance(h, str) else math.isfinite(h) and h > 0
        if not known:
            raise InvalidInput(
                f"family.bandwidth={h!r}: expected scott, silverman or a number above 0; give one of them"
            )

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """Vectors only, and two rows for a covariance."""
        require_vectors(self.name, event, "modes")
        if min(loop.n_initial, loop.n_fixed + loop.n_fresh + loop.n_synthetic) < 2:
            raise InvalidInput("loop: family=kde needs at least 2 samples in every D^t; raise the loop's counts")

    def fit(self, data: Stream, keys: Keys, progress: Progress) -> Model:
        """row [B, n, d], weight [B, n] (0: never sampled) and root [B, d, d], of a kernel's covariance h^2 S."""
        x, weight = whole(data)
        weight /= weight.sum(axis=1, keepdims=True)
        moments, n = rows_to_moments(x, weight), 1 / np.square(weight).sum(axis=1)
        # Unbiased, n - 1 for equal weights; a single row has no spread.
        unbiased = np.divide(n, n - 1, out=np.zeros_like(n), where=n > 1 + 1e-9)
        h = bandwidth(self.bandwidth, n, x.shape[2])
        root = covariance_root(moments.scatter * (unbiased * h * h)[:, None, None])
        progress(1.0)
        return {"row": x, "weight": weight, "root": root}

    def sample(self, model: Model, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        """x [B, stop - start, d] float64. Every 1,024 samples have a stream: first their rows, then where around."""

        def chunk_of(b: int, chunk: int) -> np.ndarray:
            generator = keys.generator(b, chunk)
            of = uniform_to_symbols(generator.random(CHUNK), model["weight"][b])
            z = generator.standard_normal((CHUNK, model["row"].shape[2]))
            return model["row"][b, of] + math.sqrt(bias) * shaped(model["root"][b], z)

        return Samples.of(by_chunks(chunk_of, len(keys.seeds), start, stop, model["row"].shape[2]))

    def measure(
        self, model: Mapping[str, np.ndarray], law: Mapping[str, np.ndarray], names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The wanted ones of `measures`, [B] each, of the model at lambda = 1."""
        return {name: _MEASURES[name](model) for name in names}


def bandwidth(rule: float | str, n: np.ndarray, d: int) -> np.ndarray:
    """h [B] of n [B] rows (of weighted ones, the effective number) in d dimensions (Scott 1992, Silverman 1986)."""
    if isinstance(rule, str):
        factor = {"scott": 1.0, "silverman": (d + 2) / 4}[rule]
        return (factor * n) ** (-1 / (d + 4))
    return np.full(len(n), float(rule))


def _total_variance(model: Mapping[str, np.ndarray]) -> np.ndarray:
    # Weights add up to 1, so the scatter is the covariance of the rows as a distribution.
    moments: Moments = rows_to_moments(model["row"], model["weight"])
    return np.trace(moments.scatter, axis1=1, axis2=2) + np.square(model["root"]).sum(axis=(1, 2))


_MEASURES: dict[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]] = {"total_variance": _total_variance}
