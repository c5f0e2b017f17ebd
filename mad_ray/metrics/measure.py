"""What to measure, and the measuring: real features and synthetic features to named numbers."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, get_args

import numpy as np

from mad_ray.core.errors import InvalidInput, TrajectoryFailed
from mad_ray.core.moments import Moments, rows_to_moments
from mad_ray.core.settings import STRICT
from mad_ray.metrics.features import Extractor, Identity
from mad_ray.metrics.frechet import moments_to_frechet
from mad_ray.metrics.kernel import kernel_distance
from mad_ray.metrics.neighbours import neighbours

NEIGHBOURS = ("precision", "recall", "density", "coverage")
NAMES = ("frechet", "kernel", *NEIGHBOURS)
"""Every metric, in the order in which they are reported."""
BETTER: dict[str, Literal["lower", "higher"]] = {
    name: "lower" if name in ("frechet", "kernel") else "higher" for name in NAMES
}
"""Which way each metric improves. (Density has no upper limit: 1 is what real samples reach.)"""

Features = Literal["identity", "lenet", "inception"]


@dataclass(frozen=True)
class Metrics:
    """What is measured of every generation, and in which features."""

    __pydantic_config__ = STRICT

    features: Features = "identity"
    """identity: the samples themselves. lenet: 84 features of a classifier trained on the real images, as the paper
    does for MNIST. inception: clean-fid's 2048 features of InceptionV3."""
    n: int = 1000
    """Samples measured, real and synthetic each. Distances shrink as it grows: compare only equal n."""
    k: int = 5
    """Nearest neighbours that make a sample's ball, in precision, recall, density and coverage."""
    names: Sequence[str] = NAMES
    """Which metrics: frechet (FID in these features, or squared Wasserstein-2), kernel (KID), precision, recall,
    density, coverage."""
    weights: str | None = field(default=None, metadata={"execution": True})
    """features: inception only. Path or http(s) URL of clean-fid's inception-2015-12-05.pt."""
    weights_sha256: str | None = None
    """features: inception only. What the SHA-256 of that file must be, in hex."""

    def __post_init__(self) -> None:
        _check_known("features", self.features, get_args(Features))
        _require(
            not isinstance(self.names, str), f"metrics.names={self.names!r} is a string; give a list: [{self.names}]"
        )
        for name in self.names:
            _check_known("names", name, NAMES)
        _require(len(self.names) > 0, f"metrics.names is empty; give one or more of {', '.join(NAMES)}")
        # The order in which they were written is not part of the identity.
        object.__setattr__(self, "names", tuple(name for name in NAMES if name in self.names))
        _require(self.k >= 1, f"metrics.k={self.k}: a ball needs at least 1 neighbour; give k >= 1")
        _require(self.n >= 2, f"metrics.n={self.n}: a covariance needs at least 2 samples; raise n")
        _require(
            self.n > self.k or not set(NEIGHBOURS) & set(self.names),
            f"metrics.k={self.k} with n={self.n}: each sample needs k others; lower k or raise n",
        )
        if self.weights is not None and "://" not in self.weights:
            # Workers have other working directories.
            object.__setattr__(self, "weights", os.path.abspath(os.path.expanduser(self.weights)))
        if self.weights_sha256 is not None:
            _require(
                re.fullmatch("[0-9a-fA-F]{64}", self.weights_sha256) is not None,
                f"metrics.weights_sha256={self.weights_sha256!r} is no SHA-256; give its 64 hex digits",
            )
            object.__setattr__(self, "weights_sha256", self.weights_sha256.lower())


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidInput(message)


def _check_known(where: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        nearest = get_close_matches(str(name), known, n=1, cutoff=0.0)[0]
        raise InvalidInput(
            f"metrics.{where}: unknown {name!r}, expected one of {', '.join(known)}; did you mean {nearest}?"
        )


def make_extractor(
    settings: Metrics, *, lenet: Mapping[str, np.ndarray] | None = None, device: str = "cpu"
) -> Extractor:
    """The extractor that the settings name. lenet: the state of `train_lenet`, for features=lenet."""
    if settings.features == "lenet":
        from mad_ray.metrics.lenet import LeNet

        if lenet is None:
            raise ValueError("features=lenet needs the state of a LeNet trained on the real images")
        return LeNet(lenet)
    if settings.features == "inception":
        from mad_ray.metrics.inception import Inception

        return Inception(settings.weights, settings.weights_sha256, device)
    return Identity()


def evaluate(
    *,
    real: np.ndarray,
    synthetic: np.ndarray,
    settings: Metrics,
    real_moments: Moments | None = None,
    synthetic_moments: Moments | None = None,
) -> dict[str, float]:
    """Features real [n_r, d] and synthetic [n_s, d] -> the metrics that settings.names lists.

    Moments (B = 1) replace those of the rows where more is known than the rows measured. Real features on both sides
    give the floor: what a perfect model would reach. TrajectoryFailed where synthetic features are not finite,
    InvalidInput where real ones are not, or where there are too few rows.
    """
    _check_finite(real, synthetic)
    numbers: dict[str, float] = {}
    if "frechet" in settings.names:
        of_real = rows_to_moments(real[None]) if real_moments is None else real_moments
        of_synthetic = rows_to_moments(synthetic[None]) if synthetic_moments is None else synthetic_moments
        numbers["frechet"] = float(moments_to_frechet(real=of_real, synthetic=of_synthetic)[0])
    if "kernel" in settings.names:
        numbers["kernel"] = kernel_distance(real=real, synthetic=synthetic)
    if set(NEIGHBOURS) & set(settings.names):
        numbers |= vars(neighbours(real=real, synthetic=synthetic, k=settings.k))
    return {name: numbers[name] for name in settings.names}


def _check_finite(real: np.ndarray, synthetic: np.ndarray) -> None:
    sides: tuple[tuple[str, np.ndarray, Callable[[str], Exception], str], ...] = (
        ("real", real, InvalidInput, "clean the data"),
        ("synthetic", synthetic, TrajectoryFailed, "the model has diverged: lower its learning rate"),
    )
    for side, x, failure, remedy in sides:
        with np.errstate(over="ignore", invalid="ignore"):
            # Squares too must be finite: distances are made of them.
            bad = np.flatnonzero(~np.isfinite(np.einsum("nd,nd->n", x, x)))
        if len(bad):
            raise failure(
                f"metrics: {len(bad)} of {len(x)} {side} samples are not finite, first row {bad[0]}; {remedy}"
            )
