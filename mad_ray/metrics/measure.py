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
"""The metrics of samples that every data set allows, in the order in which they are reported."""
MODE_NAMES = ("sample_modes_alive", "high_quality", "sample_modal_variance")
"""Metrics of samples of data that has modes."""
TEXT_NAMES = ("distinct_1", "distinct_2", "distinct_3", "tail_recall", "rule_error")
"""Metrics of samples that are sequences of tokens."""
MODEL_NAMES = (
    "w2_squared",
    "mean_squared",
    "total_variance",
    "trace_ratio",
    "log_det_ratio",
    "modal_variance",
    "modes_alive",
    "support",
    "head_alive",
    "body_alive",
    "tail_alive",
    "tail_mass",
    "missing_mass",
    "entropy",
    "heterozygosity",
    "total_variation",
    "nll",
    "perplexity",
    "kl_per_token",
)
"""What models say of themselves; each family knows some (Family.measures)."""
DOWNSTREAM_NAMES = (
    "accuracy_published",
    "nll_published",
    "ece_published",
    "accuracy_training",
    "nll_training",
    "ece_training",
)
"""What a classifier is worth on held-out real samples, once trained on what was published, once on D^t."""
CLASS_NAMES = ("classes_alive", "class_precision", "class_recall")
"""What became of the classes."""
COPYING_NAMES = ("copying", "authenticity")
"""Whether samples are copies of the rows of D^t."""
DYNAMICS_NAMES = (*DOWNSTREAM_NAMES, *CLASS_NAMES, *COPYING_NAMES)
LABELLED_NAMES = (*DOWNSTREAM_NAMES, *CLASS_NAMES)
"""Metrics that need labels, of the data and of what its models draw."""
ALL_NAMES = (*NAMES, *MODE_NAMES, *TEXT_NAMES, *MODEL_NAMES, *DYNAMICS_NAMES)
BETTER: dict[str, Literal["lower", "higher"]] = {
    name: "lower" if name in ("frechet", "kernel") else "higher" for name in NAMES
}
"""Which way each metric improves. (Density has no upper limit: 1 is what real samples reach.)"""

MAX_EMBEDDED = 2000
"""Samples of a generation that an embedding shows at most: t-SNE of all generations takes minutes then."""

Features = Literal["identity", "lenet", "inception", "ngrams"]


@dataclass(frozen=True)
class Metrics:
    """What is measured of every generation, and in which features."""

    __pydantic_config__ = STRICT

    features: Features = "identity"
    """identity: the samples themselves. lenet: 84 features of a classifier trained on the real images, as the paper
    does for MNIST. inception: clean-fid's 2048 features of InceptionV3. ngrams: of text, how often tokens and pairs of
    neighbouring tokens stand in a sequence, hashed to 32 features each."""
    n: int = 1000
    """Samples measured, real and synthetic each. Distances shrink as it grows: compare only equal n."""
    k: int = 5
    """Nearest neighbours that make a sample's ball, in precision, recall, density and coverage."""
    names: Sequence[str] = NAMES
    """Which metrics. Of samples: frechet (FID in these features, or squared Wasserstein-2), kernel (KID), precision,
    recall, density, coverage; of data with modes also sample_modes_alive, high_quality, sample_modal_variance; of text
    distinct_1, distinct_2, distinct_3, tail_recall, rule_error. Of the model itself: what its family knows, such as
    w2_squared, support, perplexity. Of labelled data a classifier's accuracy_published, nll_published, ece_published
    (trained on the samples, tested on held-out real data), accuracy_training, nll_training, ece_training (trained on
    D^t); classes_alive, class_precision, class_recall. Of any: copying, authenticity (against D^t). Left out: the first
    six, all that the family knows, and of labelled images what `downstream` says."""
    downstream: bool | None = None
    """Whether the metrics of classifiers, classes and copying are measured, too. Left out: of labelled images, along
    curves, where names are left out. false: only those that names list."""
    per_octave: int = 0
    """Measure every generation up to 2 * per_octave, and of each doubling after that so many, evenly spaced. 0: measure
    every generation."""
    snapshots: Sequence[int] = ()
    """Generations whose first 1,000 samples, of two seeds, are kept for a picture (vectors; images are kept anyway)."""
    embedding: int = field(default=0, metadata={"execution": True})
    """Samples of each generation that one t-SNE of a trajectory, real samples included, shows; 0: none is made. Of
    twelve generations at most; where samples are drawn anew rather than stored, of those in `snapshots`."""
    embedding_seeds: int = field(default=1, metadata={"execution": True})
    """Trajectories of each case that get an embedding of their own, from the first seed on."""
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
            _check_known("names", name, ALL_NAMES)
        _require(len(self.names) > 0, f"metrics.names is empty; give one or more of {', '.join(ALL_NAMES)}")
        # The order in which they were written is not part of the identity.
        object.__setattr__(self, "names", tuple(name for name in ALL_NAMES if name in self.names))
        _require(
            self.per_octave == 0 or self.per_octave >= 4,
            f"metrics.per_octave={self.per_octave}: fewer than 4 do not show a course; give 0 (all) or 4 and more",
        )
        _require(all(t >= 1 for t in self.snapshots), "metrics.snapshots: generations count from 1; leave out others")
        object.__setattr__(self, "snapshots", tuple(sorted(set(self.snapshots))))
        _require(
            self.embedding == 0 or 10 <= self.embedding <= min(self.n, MAX_EMBEDDED),
            f"metrics.embedding={self.embedding}: give 10 to {min(self.n, MAX_EMBEDDED)} samples (n, and "
            f"{MAX_EMBEDDED} at most), or 0 for no picture",
        )
        _require(
            self.embedding_seeds >= 1,
            f"metrics.embedding_seeds={self.embedding_seeds}: give 1 trajectory or more; metrics.embedding=0 is none",
        )
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

    @property
    def of_samples(self) -> tuple[str, ...]:
        """The names that are measured of samples."""
        named = tuple(name for name in self.names if name not in MODEL_NAMES)
        return (*named, *(name for name in DYNAMICS_NAMES if name not in named)) if self.downstream else named

    def dynamics(self, by_default: bool) -> tuple[str, ...]:
        """Those of DYNAMICS_NAMES that are measured. by_default: of data, family and loop that have them unasked."""
        if self.downstream:
            return DYNAMICS_NAMES
        if self.downstream is None and by_default and tuple(self.names) == NAMES:
            # Inception would have to read D^t again for copies, which costs as much as all other metrics.
            return LABELLED_NAMES if self.features == "inception" else DYNAMICS_NAMES
        return tuple(name for name in DYNAMICS_NAMES if name in self.names)

    def of_model(self, measures: Sequence[str]) -> tuple[str, ...]:
        """Those of a family's measures that are asked for."""
        return tuple(name for name in measures if tuple(self.names) == NAMES or name in self.names)

    def is_measured(self, t: int) -> bool:
        """Whether generation t is one of those measured."""
        if not self.per_octave or t <= 2 * self.per_octave or t in self.snapshots:
            return True
        octave = 1 << ((t - 1).bit_length() - 1)
        # Evenly spaced in (octave, 2 octave], the last one included: t is one if the count of them steps at t.
        return (t - octave) * self.per_octave // octave > (t - 1 - octave) * self.per_octave // octave


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
    if settings.features == "ngrams":
        from mad_ray.metrics.ngrams import NGrams

        return NGrams()
    return Identity()


def evaluate(
    *,
    real: np.ndarray,
    synthetic: np.ndarray,
    settings: Metrics,
    real_moments: Moments | None = None,
    synthetic_moments: Moments | None = None,
    law: Mapping[str, np.ndarray] | None = None,
    tokens: np.ndarray | None = None,
) -> dict[str, float]:
    """Features real [n_r, d] and synthetic [n_s, d] -> the metrics that settings.names lists.

    Moments (B = 1) replace those of the rows where more is known than the rows measured; law: the facts of P_r that
    metrics of modes and of text need; tokens [n_s, L]: the synthetic samples, where they are text. Real features on
    both sides give the floor: what a perfect model would reach.
    TrajectoryFailed where synthetic features are not finite, InvalidInput where real ones are not, or where there are
    too few rows.
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
    if modal := [name for name in MODE_NAMES if name in settings.names]:
        from mad_ray.metrics.modes import mode_metrics

        numbers |= mode_metrics(synthetic, law or {}, modal)
    if textual := [name for name in TEXT_NAMES if name in settings.names]:
        from mad_ray.metrics.texts import text_metrics

        numbers |= dict.fromkeys(textual, np.nan) if tokens is None else text_metrics(tokens, law or {}, textual)
    return {name: numbers[name] for name in settings.of_samples if name not in DYNAMICS_NAMES}


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
