"""Classes told to a network and kept from it: classifier-free guidance (Ho and Salimans 2022). Imports torch.

Class n_classes is "none". Networks have the head of diffusers' UNet2DModel: net(x, t, label, return_dict=False)[0].
"""

import torch
from torch import Tensor, nn


def guidance_of(bias: float) -> float:
    """w = (1 - lambda)/lambda: the guidance whose lambda = 1/(1 + w)."""
    return (1 - bias) / bias


def hide_labels(label: Tensor, n_classes: int, dropout: float, generator: torch.Generator) -> Tensor:
    """label [n] with a share `dropout` of them, and all that are negative, replaced by none; all of 0 classes."""
    if n_classes == 0:
        return torch.zeros_like(label)
    dropped = (torch.rand(len(label), generator=generator) < dropout).to(label.device)
    return torch.where(dropped | (label < 0), n_classes, label)


def predict(net: nn.Module, x: Tensor, t: Tensor | int, label: Tensor) -> Tensor:
    """What the network says of x [n, C, H, W] at time t, a number or [n], for label [n]."""
    return net(x, t, label, return_dict=False)[0]


def guided(net: nn.Module, x: Tensor, t: Tensor | int, *, label: Tensor, n_classes: int, w: float) -> Tensor:
    """(1 + w) f(x, t, label) - w f(x, t, none), Eq. (6) of Ho and Salimans 2022; both in one forward pass.

    f is the noise there. v, and the velocity of a flow, are at given x and t a multiple of the noise plus a multiple of
    x; as the weights sum to 1, the rule for them is the same (tests/families/test_diffusion.py).
    """
    if w == 0:
        return predict(net, x, t, label)
    labels = torch.cat([label, torch.full_like(label, n_classes)])
    conditional, unconditional = predict(net, torch.cat([x, x]), t, labels).chunk(2)
    return (1 + w) * conditional - w * unconditional
