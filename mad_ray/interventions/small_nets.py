"""Small classifiers, trained in seconds on one thread: convolutions for images, for all else a line and a layer.

Of vectors the linear classifier learns what is simple from few rows; the hidden layer beside it begins as nothing.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.steady import in_batches, one_thread

if TYPE_CHECKING:
    import torch

Net = Mapping[str, np.ndarray]
"""A trained one: named arrays."""

_HIDDEN = 32
_CHANNELS = (8, 16, 32)
_SIDE = 32
"""Larger images are taken in strides, so that the first layer leaves about so many pixels along a side."""
_BATCH = 128
_RATE = 2e-3
_DECAY = 1e-2


def train_net(
    x: np.ndarray, target: np.ndarray, n_classes: int, keys: Keys, b: int, n_steps: int, *, pixels: bool = False
) -> dict[str, np.ndarray]:
    """x [n, d] or [n, c, h, w] float, target [n] in 0..n_classes - 1 -> a net, the same bytes each time.

    Coordinates of vectors are standardised one by one, and their squares are inputs too, since a variance that was lost
    shows in nothing else. Of images, and of vectors of pixels, all have one scale: those at the edge stay dark.

    Cross-entropy by AdamW with a cosine schedule; a class weighs as much as another, however many rows it has. All
    randomness is stream b of keys; torch's own generator is left alone.
    """
    import torch

    with one_thread():
        scale = _scale(x, pixels or x.ndim == 4)
        inputs = torch.from_numpy(_standardised(scale, x))
        parameters = _initial(inputs.shape[1:], n_classes, keys, b)
        optimizer = torch.optim.AdamW(list(parameters.values()), lr=_RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
        generator = torch.Generator().manual_seed(keys.seed(b, "rows"))
        labels, weight = torch.from_numpy(target.astype(np.int64)), torch.from_numpy(_evened(target, n_classes))
        for _ in range(n_steps):
            rows = torch.randint(len(inputs), (_BATCH,), generator=generator)
            logits = _forward(parameters, inputs[rows])
            loss = torch.nn.functional.cross_entropy(logits, labels[rows], weight=weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return {**{name: value.detach().numpy() for name, value in parameters.items()}, **scale}


def net_logits(net: Net, x: np.ndarray) -> np.ndarray:
    """x as in training -> logits [n, n_classes] float32, row by row."""
    import torch

    parameters = {name: torch.tensor(value) for name, value in net.items() if "." in name}

    def logits(batch: np.ndarray) -> np.ndarray:
        return _forward(parameters, torch.from_numpy(_standardised(net, batch))).numpy()

    with torch.no_grad(), one_thread():
        return in_batches(logits, x)


def _scale(x: np.ndarray, pixels: bool) -> dict[str, np.ndarray]:
    """mean and spread, [] of all pixels, or [d] of each coordinate."""
    axis = None if pixels else 0
    spread = x.std(axis=axis, dtype=np.float64)
    return {
        "mean": np.asarray(x.mean(axis=axis, dtype=np.float64)),
        "spread": np.asarray(np.where(spread > 1e-9, spread, 1.0)),
    }


def _standardised(scale: Net, x: np.ndarray) -> np.ndarray:
    z = ((x - scale["mean"]) / scale["spread"]).astype(np.float32)
    return np.concatenate([z, z * z - 1], axis=1) if scale["mean"].ndim else z


def _evened(target: np.ndarray, n_classes: int) -> np.ndarray:
    count = np.bincount(target, minlength=n_classes)
    return np.where(count > 0, len(target) / (n_classes * np.maximum(count, 1)), 0.0).astype(np.float32)


def _initial(event: tuple[int, ...], n_classes: int, keys: Keys, b: int) -> "dict[str, torch.Tensor]":
    """Weights uniform with He's variance 2 / fan-in, zero biases; of vectors all that leads to the logits is 0."""
    import torch

    if len(event) == 3:
        shapes = {
            "conv1": (_CHANNELS[0], event[0], 3, 3),
            "conv2": (_CHANNELS[1], _CHANNELS[0], 3, 3),
            "conv3": (_CHANNELS[2], _CHANNELS[1], 3, 3),
            "logits": (n_classes, 2 * _CHANNELS[2]),
        }
    else:
        shapes = {"hidden": (_HIDDEN, *event), "logits": (n_classes, _HIDDEN), "linear": (n_classes, *event)}
    parameters = {}
    for name, shape in shapes.items():
        generator = torch.Generator().manual_seed(keys.seed(b, "initial", name))
        bound = 0.0 if len(event) == 1 and name != "hidden" else math.sqrt(6 / math.prod(shape[1:]))
        weight = torch.empty(shape).uniform_(-bound, bound, generator=generator)
        parameters[f"{name}.weight"] = weight.requires_grad_()
        parameters[f"{name}.bias"] = torch.zeros(shape[0]).requires_grad_()
    return parameters


def _forward(p: "Mapping[str, torch.Tensor]", x: "torch.Tensor") -> "torch.Tensor":
    """Of images the mean and the largest answer of every filter count, wherever in the image it lies."""
    import torch
    from torch.nn.functional import conv2d, linear, relu

    if x.ndim == 2:
        z = relu(linear(x, p["hidden.weight"], p["hidden.bias"]))
        return linear(z, p["logits.weight"], p["logits.bias"]) + linear(x, p["linear.weight"], p["linear.bias"])
    stride = max(1, min(x.shape[2:]) // _SIDE)
    x = relu(conv2d(x, p["conv1.weight"], p["conv1.bias"], padding=1, stride=stride))
    x = relu(conv2d(x, p["conv2.weight"], p["conv2.bias"], padding=1, stride=2))
    x = relu(conv2d(x, p["conv3.weight"], p["conv3.bias"], padding=1, stride=2))
    return linear(torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1), p["logits.weight"], p["logits.bias"])
