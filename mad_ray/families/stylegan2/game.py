"""The four kinds of steps by which generator and discriminator train each other. Imports torch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from mad_ray.families.diffusion import to_unit
from mad_ray.families.phase import Loss, Phase
from mad_ray.families.stylegan2 import losses
from mad_ray.families.stylegan2.augment import augment
from mad_ray.families.stylegan2.discriminator import Discriminator
from mad_ray.families.stylegan2.family import Kind
from mad_ray.families.stylegan2.generator import Generator


@dataclass(frozen=True)
class Rules:
    """The settings of the game; each is a field of the family, explained there."""

    batch_size: int
    learning_rate: float
    style_mixing: float
    r1_gamma: float
    r1_every: int
    path_weight: float
    path_every: int
    path_decay: float
    augment: tuple[Kind, ...]
    augment_target: float
    augment_images: int
    augment_max: float


@dataclass(frozen=True)
class Game:
    """Two networks and their rules; the methods are losses for `Phase`, and what their statistics set."""

    generator: Generator
    discriminator: Discriminator
    rules: Rules

    def phases(self) -> list[Phase]:
        """Discriminator, its R1, generator, its path-length penalty; the second and fourth now and then (lazily)."""
        found = [self._phase("discriminator", self.discriminate, after=self.adapt)]
        if self.rules.r1_gamma > 0:
            found.append(self._phase("r1", self.r1, every=self.rules.r1_every))
        found.append(self._phase("generator", self.generate))
        if self.rules.path_weight > 0:
            found.append(self._phase("path", self.path, every=self.rules.path_every, after=self.follow))
        return found

    def _phase(self, name: str, loss: Loss, *, every: int = 1, after: Callable[[Tensor], None] | None = None) -> Phase:
        """Adam with beta_1 = 0; rate and beta_2 as if the regulariser's extra steps were part of the others.

        Of k + 1 steps in a row one is the regulariser's, so with c = k / (k + 1) the rate is c times as large and
        beta_2 is 0.99^c (appendix B of Karras et al. 2020).
        """
        is_critic = name in ("discriminator", "r1")
        weight, k = (
            (self.rules.r1_gamma, self.rules.r1_every) if is_critic else (self.rules.path_weight, self.rules.path_every)
        )
        c = k / (k + 1) if weight > 0 else 1.0
        return Phase(
            self.discriminator if is_critic else self.generator,
            loss,
            address=(name,),
            every=every,
            learning_rate=self.rules.learning_rate * c,
            betas=(0.0, 0.99**c),
            schedule="constant",
            max_grad_norm=0.0,
            after=after,
        )

    def discriminate(
        self, module: nn.Module, x: Tensor, label: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The logistic loss; tells the mean sign of D(real), by which augmentation adapts."""
        with torch.no_grad():
            fake = self._draw(len(x), x.device, generator)
        both = self._augmented(torch.cat([fake, self._real(x)]), generator)
        scores = module(both)
        on_fake, on_real = scores[: len(x)], scores[len(x) :]
        return losses.discriminator_loss(real=on_real, fake=on_fake), on_real.detach().sign().mean()[None]

    def r1(self, module: nn.Module, x: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
        """gamma / 2 |grad D(real)|^2, times `every` since it runs that seldom; in float32."""
        with torch.autocast(x.device.type, enabled=False):
            # forward, not a call: a compiled module cannot be differentiated twice.
            penalty = losses.r1_penalty(lambda real: module.forward(self._augmented(real, generator)), self._real(x))
        return self.rules.r1_gamma / 2 * self.rules.r1_every * penalty

    def generate(self, module: nn.Module, x: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
        """The non-saturating logistic loss."""
        fake = self._draw(len(x), x.device, generator)
        return losses.generator_loss(self.discriminator(self._augmented(fake, generator)))

    def path(self, module: nn.Module, x: Tensor, label: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The path-length penalty on half as many images, times `every`; tells their mean length."""
        n, net = max(1, len(x) // 2), self.generator
        with torch.autocast(x.device.type, enabled=False):
            w, noise = self._styles(n, x.device, generator), self._noise(n, x.device, generator)
            y = torch.randn(n, *self._real(x[:1]).shape[1:], generator=generator).to(x.device)
            # forward, not a call: a compiled module cannot be differentiated twice.
            lengths = losses.path_lengths(partial(net.forward, noise=noise), w, y)
        penalty = losses.path_penalty(lengths, net.path_length)
        return self.rules.path_weight * self.rules.path_every * penalty, lengths.detach().mean()[None]

    def adapt(self, told: Tensor) -> None:
        """p <- p +- batch_size / augment_images towards a mean sign of D(real) equal to the target.

        Karras et al. 2020 ("Training Generative Adversarial Networks with Limited Data"), section 3: r_t.
        """
        if self.rules.augment:
            step = torch.sign(told[0] - self.rules.augment_target) * self.rules.batch_size / self.rules.augment_images
            p = self.discriminator.p
            p.copy_((p + step.to(p)).clamp(0.0, self.rules.augment_max))

    def follow(self, told: Tensor) -> None:
        """The running mean of path lengths: a <- a + max(path_decay, 1/k) (mean length - a), the k-th time.

        1/k is ours: the mean of all so far, where the paper's mean starts at 0 and would shrink paths in short runs.
        """
        net = self.generator
        net.n_paths += 1
        weight = (1 / net.n_paths).clamp(min=self.rules.path_decay)
        net.path_length += weight * (told[0].to(weight) - net.path_length)

    def _draw(self, n: int, device: torch.device, generator: torch.Generator) -> Tensor:
        w = self._styles(n, device, generator)
        return self.generator(w, self._noise(n, device, generator))

    def _styles(self, n: int, device: torch.device, generator: torch.Generator) -> Tensor:
        """w [n, n_styles, d]; with probability `style_mixing` a row changes to another w from a random layer on."""
        net = self.generator
        z = torch.randn(2 * n, net.mean_style.shape[0], generator=generator).to(device)
        change = torch.randint(1, net.n_styles, (n,), generator=generator)
        is_mixed = torch.rand(n, generator=generator) < self.rules.style_mixing
        change = torch.where(is_mixed, change, net.n_styles).to(device)
        first, second = net.mapping(z).chunk(2)
        is_first = torch.arange(net.n_styles, device=device) < change[:, None]
        return torch.where(is_first[:, :, None], first[:, None], second[:, None])

    def _noise(self, n: int, device: torch.device, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.generator.n_noise, generator=generator).to(device)

    def _augmented(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return augment(x, self.discriminator.p, self.rules.augment, generator)

    def _real(self, x: Tensor) -> Tensor:
        """uint8 -> [-1, 1], right and lower edge repeated until the image is as large as the generator's."""
        size = self.generator.sizes[-1]
        return f.pad(to_unit(x), (0, size - x.shape[3], 0, size - x.shape[2]), mode="replicate")
