"""What a classifier is worth that was trained on some samples: accuracy, likelihood and calibration on real ones.

Trained on what a model draws, its accuracy is the Classification Accuracy Score of Ravuri and Vinyals 2019. Images are
classified by a LeNet, all else by multinomial logistic regression.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.metrics.lenet import classify, train_lenet
from mad_ray.steady import one_thread

State = Mapping[str, np.ndarray]
"""A trained classifier: named arrays."""

BINS = 15
"""Of confidence, all equally wide, as in Guo et al. 2017."""
_SMALLEST_LENET = 8
"""Pixels along a side; smaller images are classified as vectors."""
_LARGEST_SIDE = 32
"""Pixels: larger images are averaged over square blocks first, so that the cost does not grow with their size."""
_BATCH = 64
_EPOCHS, _FEWEST_STEPS, _MOST_STEPS = 10, 20, 300
_PENALTY = 1e-3
"""Of the squared weights of a logistic regression on standardised columns: classes may be separable."""
_ITERATIONS = 200


@dataclass(frozen=True)
class Score:
    """Of a classifier on labelled samples.

    accuracy: share whose most probable class is their label; of_class [n_classes]: the same within each class, NaN of
    an empty one. nll: mean negative log-likelihood of the labels, in nats. ece: expected calibration error.
    """

    accuracy: float
    nll: float
    ece: float
    of_class: np.ndarray


def train_classifier(x: np.ndarray, label: np.ndarray, weight: np.ndarray, n_classes: int, keys: Keys) -> State | None:
    """A classifier of x [n, *event] with label [n] and weight [n]; None without a row that has a label and weight.

    Rows of weight 0, or without a label, are left out; the loss of the others counts by their weight. The same bytes
    each time, in one thread. Images: ten epochs of `train_lenet`, but about 300 steps at most and 20 at least, on at
    most 32 x 32 pixels. Scores are comparable where classifiers were trained on equally many rows.
    """
    kept = (weight > 0) & (label >= 0)
    x, label, weight = x[kept], label[kept], weight[kept]
    if not len(x):
        return None
    if _is_picture(x):
        return train_lenet(_small(x), label, n_classes, keys, epochs=_epochs(len(x)), weight=weight)
    return _logistic(_columns(x), label, weight, n_classes)


def probabilities(state: State, x: np.ndarray) -> np.ndarray:
    """Class probabilities [n, n_classes] of x [n, *event], float64; row i depends on sample i alone."""
    if "logits.weight" in state:
        # The LeNet of the features reads whole images.
        readable = x if tuple(state["image"]) == x.shape[1:] else _small(x)
        return classify(state, readable).astype(np.float64)
    columns = (_columns(x) - state["centre"]) / state["spread"]
    logits = np.einsum("nd,dc->nc", columns, state["weight"], optimize=False) + state["bias"]
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)


def score(p: np.ndarray, label: np.ndarray) -> Score:
    """The score of class probabilities p [n, n_classes] of samples whose labels [n] are known (0 and above)."""
    right = p.argmax(axis=1) == label
    # A float32 probability can be 0, whose logarithm no mean survives.
    likelihood = np.maximum(p[np.arange(len(p)), label], np.finfo(np.float32).tiny)
    with np.errstate(invalid="ignore"):
        members = np.bincount(label, minlength=p.shape[1])
        of_class = np.bincount(label, right, minlength=p.shape[1]) / members
    return Score(float(right.mean()), float(-np.log(likelihood).mean()), calibration_error(p, label), of_class)


def calibration_error(p: np.ndarray, label: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error, Eq. (3) of Guo et al. 2017, of probabilities p [n, n_classes] and labels [n].

    The mean over samples of |accuracy - mean confidence| of their bin: the bins part [0, 1] equally.
    """
    confidence, right = p.max(axis=1), p.argmax(axis=1) == label
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(bin_of, right, minlength=bins) - np.bincount(bin_of, confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(p))


def _is_picture(x: np.ndarray) -> bool:
    return x.ndim == 4 and x.dtype == np.uint8 and min(x.shape[2:]) >= _SMALLEST_LENET


def _small(x: np.ndarray) -> np.ndarray:
    """Images [n, c, h, w] uint8 of at most 32 pixels a side: block means; what fills no block is cut off."""
    side = ceil(max(x.shape[2:]) / _LARGEST_SIDE)
    height, width = x.shape[2] // side, x.shape[3] // side
    if side == 1 or min(height, width) < _SMALLEST_LENET:
        return x
    blocks = x[:, :, : height * side, : width * side].reshape(*x.shape[:2], height, side, width, side)
    return np.rint(blocks.mean(axis=(3, 5), dtype=np.float32)).astype(np.uint8)


def _epochs(n: int) -> int:
    batches = ceil(n / _BATCH)
    return max(1, ceil(_FEWEST_STEPS / batches), min(_EPOCHS, round(_MOST_STEPS / batches)))


def _columns(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype(np.float64)


def _logistic(x: np.ndarray, label: np.ndarray, weight: np.ndarray, n_classes: int) -> dict[str, np.ndarray]:
    """Multinomial logistic regression on columns x [n, d], standardised; the minimum is unique, so nothing is drawn."""
    import torch

    share = weight.astype(np.float64) / weight.sum(dtype=np.float64)
    centre = share @ x
    spread = np.sqrt(share @ np.square(x - centre))
    spread[spread < 1e-12] = 1.0
    with one_thread():
        columns, of_row = torch.from_numpy((x - centre) / spread), torch.from_numpy(share)
        target = torch.from_numpy(label.astype(np.int64))
        slope = torch.zeros((x.shape[1], n_classes), dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(n_classes, dtype=torch.float64, requires_grad=True)
        search = torch.optim.LBFGS([slope, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            search.zero_grad()
            each = torch.nn.functional.cross_entropy(columns @ slope + bias, target, reduction="none")
            total = (of_row * each).sum() + _PENALTY * (slope.square().sum() + bias.square().sum()) / 2
            total.backward()
            return total

        search.step(loss)
    found = {"weight": slope.detach().numpy(), "bias": bias.detach().numpy()}
    return {**found, "centre": centre, "spread": spread}
