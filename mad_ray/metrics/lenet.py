"""LeNet: a small classifier trained on the real images, whose last hidden layer gives the features."""

from collections.abc import Mapping
from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.steady import in_batches, one_thread

if TYPE_CHECKING:
    import torch

State = Mapping[str, np.ndarray]
"""A trained LeNet: named arrays, safe to store as safetensors."""

N_FEATURES = 84
_CHANNELS = (32, 64)
_HIDDEN = 120
_LARGEST = 7
"""Feature maps are averaged down to 7x7, what MNIST's 28x28 come to, so that large images need no larger network."""
_BATCH = 64
_STEPS = 1500
_EVALUATION_BATCH = 256


class LeNet:
    """Extractor: the 84 units before the logits of a trained LeNet."""

    def __init__(self, state: State) -> None:
        self.state = dict(state)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x [n, c, h, w] uint8, shaped like the training images -> [n, 84] float32."""
        return _evaluate(self.state, x)[0]


def classify(state: State, x: np.ndarray) -> np.ndarray:
    """x [n, c, h, w] uint8 -> class probabilities [n, n_classes] float32."""
    logits = _evaluate(state, x)[1]
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)


def lenet_accuracy(state: State, x: np.ndarray, label: np.ndarray) -> float:
    """Share of images x [n, c, h, w] whose most probable class is their label [n]."""
    return float((_evaluate(state, x)[1].argmax(axis=1) == label).mean())


def train_lenet(
    x: np.ndarray,
    label: np.ndarray,
    n_classes: int,
    keys: Keys,
    *,
    epochs: int | None = None,
    lr: float = 2e-3,
    weight: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Train on images x [n, c, h, w] uint8 with label [n] in 0..n_classes - 1; the state is the same bytes each time.

    LeCun et al. 1998 with ReLU, max pooling and wider convolutions; AdamW, cosine schedule, batch 64. epochs: by
    default as many as make 1,500 steps, at least 3. weight [n], positive: a row's loss counts so much, relative to the
    mean weight; equal weights are as none. All randomness is keys'; torch's own generator is left alone. Runs
    in one thread, as more would change the last bits. InvalidInput where x or label do not fit.
    """
    _check(x, label, n_classes)
    import torch

    epochs = max(3, ceil(_STEPS * _BATCH / len(x))) if epochs is None else epochs
    with one_thread():
        unit = _unit(x)
        mean, spread = unit.mean(), max(float(unit.std()), 1e-6)
        parameters = _initial(x.shape[1:], n_classes, keys)
        images = (torch.from_numpy(unit) - float(mean)) / spread
        _fit(parameters, images, torch.from_numpy(label.astype(np.int64)), keys, epochs, lr, _relative(weight))
    state = {name: value.detach().numpy() for name, value in parameters.items()}
    scale = {"mean": np.array([mean], np.float32), "spread": np.array([spread], np.float32)}
    return {**state, **scale, "image": np.array(x.shape[1:], np.int64)}


def _check(x: np.ndarray, label: np.ndarray, n_classes: int) -> None:
    if x.ndim != 4 or x.dtype != np.uint8 or min(x.shape[2:]) < 8:
        raise InvalidInput(
            f"metrics.features=lenet needs uint8 images [n, c, h, w] of at least 8x8, found {x.dtype} {list(x.shape)}; "
            "take features: identity"
        )
    if len(label) != len(x) or len(x) == 0 or label.min() < 0 or label.max() >= n_classes:
        raise InvalidInput(
            f"metrics.features=lenet needs one label in 0..{n_classes - 1} for each of the {len(x)} images; "
            "take a labelled data set, or features: identity"
        )


def _relative(weight: np.ndarray | None) -> "torch.Tensor | None":
    """Weights of mean 1; None where all are equal."""
    import torch

    if weight is None or np.all(weight == weight[0]):
        return None
    return torch.from_numpy((weight / weight.mean(dtype=np.float64)).astype(np.float32))


def _fit(
    parameters: "dict[str, torch.Tensor]",
    x: "torch.Tensor",
    label: "torch.Tensor",
    keys: Keys,
    epochs: int,
    lr: float,
    weight: "torch.Tensor | None" = None,
) -> None:
    import torch

    optimizer = torch.optim.AdamW(parameters.values(), lr=lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * ceil(len(x) / _BATCH))
    for epoch in range(epochs):
        generator = torch.Generator().manual_seed(keys.seed(0, "shuffle", epoch))
        for rows in torch.randperm(len(x), generator=generator).split(_BATCH):
            logits = _forward(parameters, x[rows])[1]
            if weight is None:
                loss = torch.nn.functional.cross_entropy(logits, label[rows])
            else:
                each = torch.nn.functional.cross_entropy(logits, label[rows], reduction="none")
                loss = (weight[rows] * each).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def _initial(image: tuple[int, ...], n_classes: int, keys: Keys) -> "dict[str, torch.Tensor]":
    """Weights uniform with He's variance 2 / fan-in, zero biases."""
    import torch

    channels, height, width = image
    area = min(height // 4, _LARGEST) * min(width // 4, _LARGEST)
    shapes = {
        "conv1": (_CHANNELS[0], channels, 5, 5),
        "conv2": (_CHANNELS[1], _CHANNELS[0], 5, 5),
        "hidden": (_HIDDEN, _CHANNELS[1] * area),
        "features": (N_FEATURES, _HIDDEN),
        "logits": (n_classes, N_FEATURES),
    }
    parameters = {}
    for name, shape in shapes.items():
        generator = torch.Generator().manual_seed(keys.seed(0, "initial", name))
        bound = sqrt(6 / int(np.prod(shape[1:])))
        weight = torch.empty(shape).uniform_(-bound, bound, generator=generator)
        parameters[f"{name}.weight"] = weight.requires_grad_()
        parameters[f"{name}.bias"] = torch.zeros(shape[0]).requires_grad_()
    return parameters


def _forward(p: "Mapping[str, torch.Tensor]", x: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Standardised images [n, c, h, w] -> (features [n, 84], logits [n, n_classes])."""
    from torch.nn import functional as f

    for name in ("conv1", "conv2"):
        x = f.max_pool2d(f.relu(f.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"], padding=2)), 2)
    if max(x.shape[2:]) > _LARGEST:
        x = f.adaptive_avg_pool2d(x, (min(x.shape[2], _LARGEST), min(x.shape[3], _LARGEST)))
    x = x.flatten(1)
    for name in ("hidden", "features"):
        x = f.relu(f.linear(x, p[f"{name}.weight"], p[f"{name}.bias"]))
    return x, f.linear(x, p["logits.weight"], p["logits.bias"])


def _evaluate(state: State, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(features [n, 84], logits [n, n_classes]), float32, in fixed batches on one thread."""
    if x.dtype != np.uint8 or tuple(x.shape[1:]) != tuple(state["image"]):
        expected = "x".join(str(size) for size in state["image"])
        raise InvalidInput(f"this LeNet reads uint8 images {expected}, found {x.dtype} {list(x.shape[1:])}")
    import torch

    parameters = {name: torch.tensor(value) for name, value in state.items() if "." in name}

    def both(batch: np.ndarray) -> np.ndarray:
        images = (torch.from_numpy(_unit(batch)) - float(state["mean"][0])) / float(state["spread"][0])
        return torch.cat(_forward(parameters, images), dim=1).numpy()

    with torch.no_grad(), one_thread():
        columns = in_batches(both, x, _EVALUATION_BATCH)
    return columns[:, :N_FEATURES], columns[:, N_FEATURES:]


def _unit(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) / 255
