"""What the two networks minimise, and the two regularisers, as functions of scores and images. Imports torch."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as f

Images = Callable[[Tensor], Tensor]
"""Styles w [n, k, d] -> images [n, C, H, W]."""
Score = Callable[[Tensor], Tensor]
"""Images [n, C, H, W] -> logits [n]."""


def discriminator_loss(*, real: Tensor, fake: Tensor) -> Tensor:
    """Logits [n] -> the mean of -log sigma(D(real)) - log(1 - sigma(D(fake))) (Goodfellow et al. 2014)."""
    return f.softplus(-real).mean() + f.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Logits [n] -> the mean of -log sigma(D(fake)), which does not saturate."""
    return f.softplus(-fake).mean()


def r1_penalty(score: Score, x: Tensor) -> Tensor:
    """The mean over real images x [n, ...] of |grad_x D(x)|^2; times gamma / 2 it is R1 (Mescheder et al. 2018)."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(score(x).sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1).mean()


def path_lengths(images: Images, w: Tensor, direction: Tensor) -> Tensor:
    """[n]: how far image n moves per step of w [n, k, d], along a random direction y [n, C, H, W], N(0, 1).

    |J_w^T y| of Eq. (4) of Karras et al. 2020, with y divided by sqrt(H W) and the squares averaged over the k styles,
    so that a weight of 2 is the paper's ln 2 / (r^2 (ln r - ln 2)) at every size r.
    """
    y = direction / math.sqrt(direction.shape[2] * direction.shape[3])
    (gradient,) = torch.autograd.grad((images(w) * y).sum(), w, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def path_penalty(lengths: Tensor, mean: Tensor) -> Tensor:
    """The mean of (|J_w^T y| - a)^2, Eq. (4) of Karras et al. 2020; a is the running mean of the lengths."""
    return (lengths - mean).square().mean()
