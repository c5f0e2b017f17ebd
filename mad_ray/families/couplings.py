"""Normalizing flow on vectors: Glow's steps of ActNorm, invertible linear map and affine coupling. Imports torch.

`forward` goes from data to noise: x [n, d] -> (z [n, d], log |det dz/dx| [n]); `inverse` goes back: z -> x.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

BOUND = 1.0
"""A coupling stretches by exp(-BOUND) to exp(BOUND): no input, however far out, overflows. With 3, both loops
tried on data=rosenbrock threw a few samples so far out, within 16 generations, that the next fit saw nothing else."""
LEAST = 1000
"""A coordinate does not vary if its spread is below so many roundings of its mean."""


class ActNorm(nn.Module):
    """z = exp(log_scale) (x - centre) / spread + shift, per coordinate (Kingma and Dhariwal 2018, section 3.1).

    centre and spread are set once, from data. What is learned is relative to them, so that training sees the same
    numbers whatever the units of x are. The outer one takes the data as they are, and so keeps both in float64.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, d: int, is_outer: bool = False) -> None:
        super().__init__()
        dtype = torch.float64 if is_outer else torch.float32
        self.is_outer = is_outer
        self.register_buffer("centre", torch.zeros(d, dtype=dtype))
        self.register_buffer("spread", torch.ones(d, dtype=dtype))
        self.log_scale = nn.Parameter(torch.zeros(d))
        self.shift = nn.Parameter(torch.zeros(d))

    @torch.no_grad()
    def set_from(self, x: Tensor) -> None:
        """After this, x [n, d] comes out with mean 0 and variance 1 in every coordinate that varies."""
        self.centre.copy_(x.mean(dim=0))
        rounding = torch.finfo(x.dtype).eps * self.centre.abs() + torch.finfo(torch.float32).tiny
        least, spread = LEAST * rounding, x.std(dim=0, unbiased=False)
        # Further in, coordinates that do not vary yet will, by order 1, once training moves what lies before them.
        self.spread.copy_(spread.where(spread > least, least if self.is_outer else torch.ones_like(least)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        unit = ((x - self.centre) / self.spread).to(self.shift.dtype)
        log_det = self.log_scale.sum() - self.spread.log().sum().to(self.shift.dtype)
        return self.log_scale.exp() * unit + self.shift, log_det.expand(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        return (z - self.shift) * (-self.log_scale).exp() * self.spread + self.centre


class Linear(nn.Module):
    """z = W x with W = P L (U + diag(s)): P a fixed permutation, L unit lower and U strictly upper triangular, so that
    log |det W| = sum log |s| (Kingma and Dhariwal 2018, Eq. (10)). Starts as a random rotation.
    """

    order: Tensor
    sign: Tensor

    def __init__(self, d: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(d, d))
        permutation, lower, upper = torch.linalg.lu(rotation)
        s = upper.diagonal()
        self.register_buffer("order", permutation)
        self.register_buffer("sign", s.sign())
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_s = nn.Parameter(s.abs().log())

    def _factors(self) -> tuple[Tensor, Tensor]:
        """L and U + diag(s), [d, d] each."""
        lower = self.lower.tril(-1) + torch.eye(len(self.log_s), dtype=self.lower.dtype, device=self.lower.device)
        return lower, self.upper.triu(1) + torch.diag(self.sign * self.log_s.exp())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = self._factors()
        return x @ (self.order @ lower @ upper).T, self.log_s.sum().expand(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        lower, upper = self._factors()
        x = torch.linalg.solve_triangular(lower, self.order.T @ z.T, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, x, upper=True).T


class Coupling(nn.Module):
    """z_a = x_a and z_b = exp(s(x_a)) x_b + t(x_a): the affine coupling of Dinh et al. 2017, Eq. (7).

    x_a is the first half of the coordinates. s and t come from one network with two hidden layers, whose last layer
    starts at 0, so that the coupling starts as the identity; s is kept within BOUND by a tanh.
    """

    def __init__(self, d: int, hidden: int) -> None:
        super().__init__()
        self.n_a = d // 2
        self.net = nn.Sequential(
            nn.Linear(self.n_a, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, 2 * (d - self.n_a)),
        )  # fmt: skip
        for parameter in self.net[-1].parameters():
            nn.init.zeros_(parameter)

    def _scale_and_shift(self, x_a: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.net(x_a).chunk(2, dim=1)
        return BOUND * torch.tanh(s / BOUND), t

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x_a, x_b = x[:, : self.n_a], x[:, self.n_a :]
        s, t = self._scale_and_shift(x_a)
        return torch.cat([x_a, s.exp() * x_b + t], dim=1), s.sum(dim=1)

    def inverse(self, z: Tensor) -> Tensor:
        z_a, z_b = z[:, : self.n_a], z[:, self.n_a :]
        s, t = self._scale_and_shift(z_a)
        return torch.cat([z_a, (-s).exp() * (z_b - t)], dim=1)


class FlowNet(nn.Module):
    """n_couplings steps of flow on vectors of d >= 2 coordinates, and a last ActNorm.

    All but the outer ActNorm is float32: it sees numbers of order 1 even where a collapsing loop has left a spread far
    below the rounding of the mean.
    """

    def __init__(self, d: int, n_couplings: int, hidden: int) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for k in range(n_couplings):
            steps += [ActNorm(d, is_outer=k == 0), Linear(d), Coupling(d, hidden)]
        self.steps = nn.ModuleList([*steps, ActNorm(d)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [n, d] -> z [n, d] and log |det dz/dx| [n]."""
        log_det = torch.zeros((), device=x.device)
        for step in self.steps:
            x, part = step(x)
            log_det = log_det + part
        return x, log_det

    def inverse(self, z: Tensor) -> Tensor:
        """z [n, d] -> x [n, d] float64."""
        step: Any
        for step in reversed(self.steps):
            z = step.inverse(z)
        return z

    @torch.no_grad()
    def set_from(self, x: Tensor) -> None:
        """Let every ActNorm make its output of x [n, d] have mean 0 and variance 1: Glow's data-dependent start."""
        for step in self.steps:
            if isinstance(step, ActNorm):
                step.set_from(x)
            x, _ = step(x)


def log_density(net: nn.Module, x: Tensor) -> Tensor:
    """x [n, d] -> log p(x) [n] in nats, at lambda = 1: log N(z; 0, I) + log |det dz/dx|."""
    z, log_det = net(x)
    return log_det - 0.5 * (z.square().sum(dim=1) + z.shape[1] * math.log(2 * math.pi))


def nll_loss(net: nn.Module, x: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
    """Mean negative log-likelihood of the rows, per coordinate."""
    return -log_density(net, x).mean() / x.shape[1]
