"""The denoising network: diffusers' UNet2DModel, sized for the images at hand. Imports torch."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mad_ray.shims import mend_torchvision


def build_unet(
    *, n_image_channels: int, n_classes: int, channels: Sequence[int], layers_per_block: int, attention: bool
) -> nn.Module:
    """eps(x, t, class): one level per entry of `channels`, each half as large; class n_classes is none."""
    mend_torchvision()
    from diffusers import UNet2DModel

    levels = len(channels)
    down = ["DownBlock2D"] * (levels - 1) + ["AttnDownBlock2D" if attention else "DownBlock2D"]
    net: Any = UNet2DModel(
        in_channels=n_image_channels,
        out_channels=n_image_channels,
        down_block_types=tuple(down),
        up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(down)),
        block_out_channels=tuple(channels),
        layers_per_block=layers_per_block,
        add_attention=attention,
        norm_num_groups=n_groups(channels),
        num_class_embeds=n_classes + 1,
    )
    return net


def n_groups(channels: Sequence[int]) -> int:
    """Groups of the group norms: the most, of 8, 4, 2, 1, that leave at least two channels in each."""
    common = math.gcd(*channels)
    return next((n for n in (8, 4, 2) if common % (2 * n) == 0), 1)


def padded(size: int, multiple: int) -> int:
    """The smallest multiple that holds `size` pixels."""
    return -(-size // multiple) * multiple


def pad(x: Tensor, multiple: int) -> Tensor:
    """x [n, C, H, W] with its last row and column repeated up to multiples of `multiple`; the top left stays."""
    _, _, height, width = x.shape
    if height % multiple == 0 and width % multiple == 0:
        return x
    rows, columns = (torch.arange(padded(size, multiple)).clamp(max=size - 1) for size in (height, width))
    return x[:, :, rows][:, :, :, columns]
