"""A small diffusion transformer (DiT, Peebles and Xie 2023): tokens of patches, blocks that time and class modulate.

Written here in plain torch; no dropout, no batch statistics. Imports torch.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as f

N_FREQUENCIES = 128
"""Pairs of sine and cosine that tell the time."""


class DiffusionTransformer(nn.Module):
    """f(x, t, class) for images of one size. It starts as zero everywhere (adaLN-Zero); class n_classes is none."""

    position: Tensor

    def __init__(
        self,
        *,
        n_image_channels: int,
        size: tuple[int, int],
        n_classes: int,
        patch: int,
        width: int,
        depth: int,
        n_heads: int,
    ) -> None:
        """size: height and width in pixels, multiples of patch. width: a multiple of 4 and of n_heads."""
        super().__init__()
        self.patch, self.grid = patch, (size[0] // patch, size[1] // patch)
        self.n_image_channels = n_image_channels
        n_values = n_image_channels * patch**2
        self.embed = nn.Linear(n_values, width)
        self.register_buffer("position", positions(self.grid, width), persistent=False)
        self.time = nn.Sequential(nn.Linear(2 * N_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(n_classes + 1, width)
        self.blocks = nn.ModuleList(Block(width, n_heads) for _ in range(depth))
        self.modulation = nn.Linear(width, 2 * width)
        self.last = nn.Linear(width, n_values)
        self._initialise()

    def _initialise(self) -> None:
        """Section 3.2 of the paper and its code: Xavier, small embeddings, and zeros where residuals begin."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for name, parameter in self.named_parameters():
            if name in ("label.weight", "time.0.weight", "time.2.weight"):
                nn.init.normal_(parameter, std=0.02)
            if "modulation" in name or name.startswith("last."):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, t: Tensor | int, label: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        """x [n, C, H, W], t a number or [n], label [n] -> ([n, C, H, W],), as diffusers' networks answer."""
        t = torch.as_tensor(t, device=x.device).expand(len(x))
        condition = f.silu(self.time(frequencies(t)) + self.label(label))
        tokens = self.embed(to_patches(x, self.patch)) + self.position
        for block in self.blocks:
            tokens = block(tokens, condition)
        shift, scale = self.modulation(condition).chunk(2, dim=1)
        return (from_patches(self.last(modulate(tokens, shift, scale)), self.patch, self.grid),)


class Block(nn.Module):
    """Attention and a two-layer network, each shifted, scaled and gated by the condition (adaLN-Zero)."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.modulation = nn.Linear(width, 6 * width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """tokens [n, N, width], condition [n, width] -> [n, N, width]; the tokens themselves while gates are zero."""
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.modulation(condition).chunk(6, dim=1)
        tokens = tokens + gate[:, None] * self.attend(modulate(tokens, shift, scale))
        return tokens + gate_mlp[:, None] * self.mlp(modulate(tokens, shift_mlp, scale_mlp))

    def attend(self, tokens: Tensor) -> Tensor:
        """Every token looks at all tokens, [n, N, width] -> [n, N, width]."""
        n, length, width = tokens.shape
        q, k, v = self.qkv(tokens).view(n, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        return self.out(f.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, width))


def modulate(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm without weights of its own, then (1 + scale) times plus shift, both [n, width]."""
    return f.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) * (1 + scale[:, None]) + shift[:, None]


def to_patches(x: Tensor, patch: int) -> Tensor:
    """x [n, C, H, W] -> [n, H/p W/p, C p p], patches row by row."""
    n, channels, height, width = x.shape
    x = x.reshape(n, channels, height // patch, patch, width // patch, patch)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(n, height // patch * (width // patch), channels * patch**2)


def from_patches(tokens: Tensor, patch: int, grid: tuple[int, int]) -> Tensor:
    """The inverse of `to_patches` for a grid of patches: [n, N, C p p] -> [n, C, H, W]."""
    n, rows, columns = len(tokens), *grid
    x = tokens.reshape(n, rows, columns, -1, patch, patch).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(n, -1, rows * patch, columns * patch)


def frequencies(t: Tensor) -> Tensor:
    """t [n] -> cosines and sines [n, 2 N_FREQUENCIES] of t at frequencies from 1 down to 1e-4 (Vaswani et al. 2017)."""
    rate = torch.exp(-math.log(1e4) * torch.arange(N_FREQUENCIES, device=t.device) / N_FREQUENCIES)
    angle = t.float()[:, None] * rate
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def positions(grid: tuple[int, int], width: int) -> Tensor:
    """[N, width]: sines and cosines of each patch's row in half of the channels, of its column in the other half."""
    rate = torch.exp(-math.log(1e4) * torch.arange(width // 4) / (width // 4))
    row, column = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    angles = [place.reshape(-1, 1) * rate for place in (row, column)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
