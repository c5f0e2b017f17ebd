"""The last few models as modules, since sampling comes in pieces. Imports torch."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from mad_ray.families.hardware import settled
from mad_ray.families.neural import arrays_to_module, initialised

_KEPT: OrderedDict[tuple[object, ...], nn.Module] = OrderedDict()
N_KEPT = 4


def kept_module(arrays: Mapping[str, np.ndarray], settings: object, build: Callable[[], nn.Module]) -> nn.Module:
    """The module of these arrays on this process's device; the last few are kept.

    settings: hashable, whatever else decides what `build` makes and how it is used.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    key = (settings, device, _arrays_digest(arrays))
    if key not in _KEPT:
        _KEPT[key] = settled(arrays_to_module(arrays, initialised(build, 0)), torch.device(device))
        if len(_KEPT) > N_KEPT:
            _KEPT.popitem(last=False)
    _KEPT.move_to_end(key)
    return _KEPT[key]


def _arrays_digest(arrays: Mapping[str, np.ndarray]) -> bytes:
    sha = hashlib.sha256()
    for name in sorted(arrays):
        sha.update(f"{name} {arrays[name].dtype} {arrays[name].shape} ".encode())
        sha.update(np.ascontiguousarray(arrays[name]).data)
    return sha.digest()
