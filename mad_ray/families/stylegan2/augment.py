"""Augmentation that does not leak into what is generated: each kind is applied with probability p < 1, to both sides.

Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", section 2 and appendix B. Images lie
about in [-1, 1]; everything is differentiable, twice. Imports torch.
"""

import math

import torch
from torch import Tensor

from mad_ray.families.stylegan2.family import Kind

TRANSLATION = 0.125
"""Largest translation, as a share of the size."""
SCALE = 0.2
"""Standard deviation of log2 of the zoom; cut at 3 of them."""
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0
"""Standard deviations: of what is added, of log2 of the contrast, of log2 of the saturation."""


def augment(x: Tensor, p: Tensor, kinds: tuple[Kind, ...], generator: torch.Generator) -> Tensor:
    """x [n, C, S, S] with each kind applied to each row with probability p, a scalar tensor.

    Rows that nothing was chosen for come back as they were, to the bit.
    """
    if not kinds:
        return x
    with torch.autocast(x.device.type, enabled=False):
        x = moved(x, *_placement(x, p, kinds, generator))
        return coloured(x, *_tint(x, p, generator)) if "colour" in kinds else x


def moved(x: Tensor, turned: Tensor, sign: Tensor, shift: Tensor, zoom: Tensor) -> Tensor:
    """x [n, C, S, S], row by row: transposed where `turned` [n]; then along (y, x) mirrored where sign [n, 2] is -1,
    enlarged `zoom` [n] times about the centre, and moved by shift [n, 2] pixels. Beyond the edge lies the mirror image.
    """
    rows, columns = (placement_matrix(x, sign[:, i], shift[:, i], zoom) for i in (0, 1))
    is_moved = turned | (sign != 1).any(dim=1) | (shift != 0).any(dim=1) | (zoom != 1)
    upright = torch.where(turned[:, None, None, None], x.transpose(2, 3), x)
    new = rows[:, None] @ upright @ columns[:, None].transpose(2, 3)
    return torch.where(is_moved[:, None, None, None], new, x)


def placement_matrix(x: Tensor, sign: Tensor, shift: Tensor, zoom: Tensor) -> Tensor:
    """[n, S, S]: output pixel i of row n as weights of the input's pixels along one axis, which add up to 1.

    Linear interpolation, wide enough not to alias when the image shrinks. Products with these matrices need no
    scattered sums, so their gradients are the same bits on a GPU too.
    """
    size = x.shape[2]
    place = torch.arange(size, device=x.device, dtype=x.dtype) - (size - 1) / 2
    at = sign[:, None] * (place - shift[:, None]) / zoom[:, None] + (size - 1) / 2
    source = torch.arange(-size, 2 * size, device=x.device, dtype=x.dtype)
    width = (1 / zoom).clamp(min=1)[:, None, None]
    weight = (1 - (at[:, :, None] - source).abs() / width).clamp(min=0)
    before, within, after = (weight / weight.sum(dim=2, keepdim=True)).split(size, dim=2)
    return within + before.flip(2) + after.flip(2)


def coloured(x: Tensor, added: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """x [n, C, S, S]: times contrast, plus `added`; with 3 channels the part off the grey axis (1, 1, 1) is scaled by
    saturation and turned about that axis by `hue` radians. All [n].
    """
    n, n_channels = x.shape[:2]
    changes = [added != 0, contrast != 1]
    if n_channels == 3:
        changes += [saturation != 1, hue != 0]
        new = (colour_matrix(contrast, saturation, hue) @ x.flatten(2)).view_as(x) + added.view(n, 1, 1, 1)
    else:
        new = x * contrast.view(n, 1, 1, 1) + added.view(n, 1, 1, 1)
    return torch.where(torch.stack(changes).any(dim=0).view(n, 1, 1, 1), new, x)


def colour_matrix(contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """[n, 3, 3]: contrast (v v^T + saturation (cos hue (1 - v v^T) + sin hue [v]x)), v the grey axis (Rodrigues)."""
    eye = torch.eye(3, device=hue.device, dtype=hue.dtype)
    grey = torch.full_like(eye, 1 / 3)
    cross = (eye.roll(1, dims=0) - eye.roll(-1, dims=0)) / math.sqrt(3)
    s, cos, sin = (value[:, None, None] for value in (saturation, hue.cos(), hue.sin()))
    return contrast[:, None, None] * (grey + s * (cos * (eye - grey) + sin * cross))


def _placement(
    x: Tensor, p: Tensor, kinds: tuple[Kind, ...], generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(turned [n], sign [n, 2], shift [n, 2], zoom [n]) of each row."""
    n, size = x.shape[0], x.shape[2]
    u = torch.rand(n, 8, generator=generator).to(x)
    normal = torch.randn(n, generator=generator).to(x)
    chosen = {
        kind: u[:, i] < p if kind in kinds else torch.zeros_like(u[:, i], dtype=torch.bool)
        for i, kind in enumerate(("flip", "rotate", "translate", "scale"))
    }
    turns = torch.where(chosen["rotate"], (u[:, 4] * 4).floor(), 0)
    flipped = chosen["flip"] & (u[:, 5] < 0.5)
    # A turn by 90 degrees is a transposition and a flip; by 180 degrees, both flips.
    upside_down = (turns == 1) | (turns == 2)
    mirrored = ((turns == 2) | (turns == 3)) ^ flipped
    sign = 1 - 2 * torch.stack([upside_down, mirrored], dim=1).to(x.dtype)
    shift = torch.where(chosen["translate"][:, None], ((2 * u[:, 6:8] - 1) * TRANSLATION * size).round(), 0)
    zoom = torch.where(chosen["scale"], torch.exp2(SCALE * normal.clamp(-3, 3)), 1)
    return (turns == 1) | (turns == 3), sign, shift, zoom


def _tint(x: Tensor, p: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(added, contrast, saturation, hue) [n] of each row."""
    n = len(x)
    chosen = torch.rand(n, 4, generator=generator).to(x) < p
    normal = torch.randn(n, 3, generator=generator).to(x)
    angle = (2 * torch.rand(n, generator=generator).to(x) - 1) * math.pi
    added = torch.where(chosen[:, 0], BRIGHTNESS * normal[:, 0], 0)
    contrast = torch.where(chosen[:, 1], torch.exp2(CONTRAST * normal[:, 1]), 1)
    saturation = torch.where(chosen[:, 2], torch.exp2(SATURATION * normal[:, 2]), 1)
    return added, contrast, saturation, torch.where(chosen[:, 3], angle, 0)
