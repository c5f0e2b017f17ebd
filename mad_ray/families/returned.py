"""What functions of the user's own returned, checked and made plain arrays: one clear line where it cannot be."""

from typing import Any

import numpy as np

from mad_ray.core.errors import TrajectoryFailed
from mad_ray.core.samples import Event
from mad_ray.families.family import Model

STORED = {"float16", "float32", "float64", "bool"} | {f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)}
"""Types of arrays that a model may have."""


def returned_model(found: Any, who: str) -> Model:
    """A dict of NumPy arrays or torch tensors -> NumPy arrays. TrajectoryFailed for anything else: nothing is pickled.

    who: begins the message.
    """
    if not isinstance(found, dict) or not found:
        raise TrajectoryFailed(
            f"{who} returned {_what(found)}; return a dict of NumPy arrays or torch tensors, since models are stored "
            "as plain arrays"
        )
    return {_name(name, who): _array(name, value, who) for name, value in found.items()}


def returned_samples(found: Any, n: int, event: Event, who: str) -> np.ndarray:
    """n samples as an array or tensor -> [n, *event] of the event's dtype. TrajectoryFailed unless they are such.

    Images are integers from 0 to 255, tokens from 0 to n_symbols - 1; other samples are finite numbers.
    """
    x = _to_numpy(found)
    if x is None:
        raise TrajectoryFailed(f"{who} returned {_what(found)}; return {n} samples as a NumPy array or torch tensor")
    expected = (n, *event.shape)
    if x.shape != expected:
        raise TrajectoryFailed(f"{who} returned samples of shape {list(x.shape)}; asked for n={n}: {list(expected)}")
    if event.dtype == "uint8":
        return _integers(x, "images", 255, who).astype(np.uint8)
    if event.n_symbols:
        return _integers(x, "tokens", event.n_symbols - 1, who).astype(event.dtype)
    if x.dtype.kind not in "fiub":
        raise TrajectoryFailed(f"{who} returned samples of type {x.dtype}; return numbers ({event.dtype})")
    if not np.isfinite(x).all():
        raise TrajectoryFailed(f"{who} returned samples that are not finite (NaN or infinite); check the fit")
    return x.astype(event.dtype)


def _integers(x: np.ndarray, what: str, most: int, who: str) -> np.ndarray:
    if x.dtype.kind not in "iu":
        raise TrajectoryFailed(
            f"{who} returned {what} of type {x.dtype}; scale them to 0..{most}, round, clip, and return integers"
        )
    low, high = int(x.min()), int(x.max())
    if low < 0 or high > most:
        raise TrajectoryFailed(f"{who} returned {what} with values from {low} to {high}; clip them to 0..{most}")
    return x


def _name(name: Any, who: str) -> str:
    if not isinstance(name, str) or not name or name.startswith("mad_ray."):
        raise TrajectoryFailed(f"{who} returned an array named {name!r}; name arrays by texts such as 'mean'")
    return name


def _array(name: str, value: Any, who: str) -> np.ndarray:
    array = _to_numpy(value)
    if array is None or array.dtype.name not in STORED:
        raise TrajectoryFailed(
            f"{who} returned {_what(value)} as {name!r}; return NumPy arrays or torch tensors of numbers (float32)"
        )
    return np.array(array)


def _to_numpy(value: Any) -> np.ndarray | None:
    """An array or tensor as an array; None for what is neither."""
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    if type(value).__module__.partition(".")[0] != "torch":
        return None
    import torch

    if not isinstance(value, torch.Tensor):
        return None
    value = value.detach().cpu()
    # NumPy has no bfloat16.
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def _what(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return "nothing" if value is None else f"a {type(value).__name__}"
