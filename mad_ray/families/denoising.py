"""What diffusion models and flows on images share: their networks, classes told or hidden, guidance as the bias."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event
from mad_ray.core.settings import STRICT
from mad_ray.families.network import Network, labels, require, require_images

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mad_ray.families.phase import Loss, Phase

OF_NETWORK = {"unet": ("channels", "layers_per_block", "attention"), "dit": ("patch", "width", "depth", "n_heads")}
"""Settings that only one of the networks has."""


@dataclass(frozen=True)
class Diffusion(Network):
    """A network that is told image, time and class. lambda = 1/(1 + w), w the guidance of Ho and Salimans 2022.

    The paper's rule for its conditional DDPM; for flows, where guidance acts on the velocity, our extension.
    """

    __pydantic_config__ = STRICT
    predicts_score: ClassVar[bool] = True

    condition_dropout: float = 0.1
    """Share of labels hidden in training, for classifier-free guidance."""
    sampler_steps: int = 10
    """Network evaluations per sample."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.sampler_steps >= 1, f"family.sampler_steps={self.sampler_steps} is below 1; typical: 10")
        require(
            0 <= self.condition_dropout < 1,
            f"family.condition_dropout={self.condition_dropout} is outside [0, 1); typical: 0.1",
        )

    def n_classes(self, event: Event) -> int:
        """Classes that the network is told of; 0: it is unconditional."""
        raise NotImplementedError

    def multiple(self) -> int:
        """Of how many pixels height and width must be multiples inside the network."""
        raise NotImplementedError

    def loss(self, event: Event) -> "Loss":
        """The training loss of images padded to `multiple`."""
        raise NotImplementedError

    def solve(self, said: "Callable[[Tensor, Any], Tensor]", noise: "Callable[[], Tensor]") -> "Tensor":
        """From noise to images in about [-1, 1]; said: what the (guided) network says of (x, t)."""
        raise NotImplementedError

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """InvalidInput where the data are no images, or the bias or the workers ask for what cannot be."""
        name: str = self.name  # type: ignore[attr-defined]
        super().check(event, loop, workers)
        require_images(name, event)
        require(
            loop.bias > 0,
            f"loop.bias=0 is infinite guidance for family={name} (lambda = 1/(1 + w)); raise it, the paper goes to 0.5",
        )
        require(
            loop.bias == 1 or event.n_classes > 0,
            f"loop.bias={loop.bias}: family={name} biases by classifier-free guidance, and these data have no classes; "
            "set bias to 1, or give labelled data",
        )
        require(
            loop.bias == 1 or self.n_classes(event) > 0,
            f"loop.bias={loop.bias}: family={name} biases by classifier-free guidance, and this network is told no "
            "class; set bias to 1, or take a conditional one",
        )
        require(
            loop.bias == 1 or self.condition_dropout > 0,
            f"loop.bias={loop.bias} with family.condition_dropout=0: guidance needs a network that also saw no label; "
            "set condition_dropout to about 0.1",
        )

    def phases(self, net: "nn.Module", event: Event, keys: Keys) -> "list[Phase]":
        """One, whose loss sees images padded to what the network can halve or cut."""
        from mad_ray.families.phase import Phase
        from mad_ray.families.unet import pad

        loss, multiple = self.loss(event), self.multiple()
        return [Phase(net, lambda net, x, label, generator: loss(net, pad(x, multiple), label, generator))]

    def draw_chunk(self, net: "nn.Module", event: Event, first: int, bias: float, keys: Keys) -> np.ndarray:
        """uint8 [chunk, C, H, W]: samples first..first + chunk, their classes in turn, their noise from (..., i)."""
        import torch

        from mad_ray.families.diffusion import to_bytes
        from mad_ray.families.guidance import guidance_of, guided
        from mad_ray.families.hardware import laid_out
        from mad_ray.families.unet import padded

        device, n_classes = next(net.parameters()).device, self.n_classes(event)
        label = labels(first, first + self.chunk, n_classes)
        told = torch.from_numpy(np.where(label < 0, n_classes, label)).to(device)
        generators = [keys.generator(0, i) for i in range(first, first + self.chunk)]
        shape = (event.shape[0], *(padded(size, self.multiple()) for size in event.shape[1:]))

        def noise() -> "Tensor":
            return laid_out(torch.from_numpy(next_normals(generators, shape)).to(device))

        said = partial(guided, net, label=told, n_classes=n_classes, w=guidance_of(bias))
        x = to_bytes(self.solve(said, noise)).cpu().numpy()
        return x[..., : event.shape[1], : event.shape[2]]


@dataclass(frozen=True)
class SizedDiffusion(Diffusion):
    """Diffusion whose network is built by these settings."""

    __pydantic_config__ = STRICT

    conditional: bool = True
    """Tell the network the class, where data have classes. Without it there is no bias but lambda = 1."""
    network: Literal["unet", "dit"] = "unet"
    """unet: diffusers' UNet of residual blocks. dit: a diffusion transformer (Peebles and Xie 2023)."""
    channels: list[int] | tuple[int, ...] = (16, 32)
    """unet: channels of each level; images are halved between levels."""
    layers_per_block: int = 1
    """unet: residual blocks per level."""
    attention: bool = False
    """unet: self-attention at the lowest level."""
    patch: int = 2
    """dit: pixels along the side of a patch; each patch is one token."""
    width: int = 64
    """dit: numbers that carry a token; a multiple of 4 and of n_heads."""
    depth: int = 4
    """dit: blocks of attention and two-layer network."""
    n_heads: int = 4
    """dit: heads of the attention."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "channels", tuple(self.channels))
        for name in ("layers_per_block", "patch", "width", "depth", "n_heads"):
            value = getattr(self, name)
            require(value >= 1, f"family.{name}={value} is below 1; give a positive whole number")
        self._check_unet()
        require(
            self.width % 4 == 0 and self.width % self.n_heads == 0,
            f"family.width={self.width} must be a multiple of 4 and of n_heads={self.n_heads}, such as 64 with 4",
        )
        self._check_only_of(self.network)

    @property
    def is_conditional(self) -> bool:  # type: ignore[override]
        """Whether samples are drawn for a class."""
        return self.conditional

    def _check_unet(self) -> None:
        require(
            len(self.channels) > 0 and all(c >= 2 and c % 2 == 0 for c in self.channels),
            f"family.channels={list(self.channels)}: needs even, positive numbers, one per level, such as [32, 64]",
        )
        require(
            not self.attention or self.channels[-1] % 8 == 0,
            f"family.channels={list(self.channels)}: attention has heads of 8 channels; make the last a multiple of 8",
        )

    def _check_only_of(self, network: str) -> None:
        """A setting of the network that is not built would do nothing, and still be another identity."""
        defaults = {field.name: field.default for field in fields(self)}
        for other, names in OF_NETWORK.items():
            for name in names if other != network else ():
                require(
                    getattr(self, name) == defaults[name],
                    f"family.{name}={getattr(self, name)} is a setting of network={other}, and network={network} is "
                    f"built; leave {name} out, or set network to {other}",
                )

    def n_classes(self, event: Event) -> int:
        """Those of the data, if it is conditional."""
        return event.n_classes if self.conditional else 0

    def multiple(self) -> int:
        """A patch; or a pixel of the UNet's lowest level."""
        return self.patch if self.network == "dit" else 2 ** (len(self.channels) - 1)

    def build(self, event: Event) -> "nn.Module":
        """The UNet or the transformer, sized for the images."""
        from mad_ray.families.unet import build_unet, padded

        channels, height, width = event.shape
        if self.network == "unet":
            return build_unet(
                n_image_channels=channels,
                n_classes=self.n_classes(event),
                channels=self.channels,
                layers_per_block=self.layers_per_block,
                attention=self.attention,
            )
        from mad_ray.families.dit import DiffusionTransformer

        return DiffusionTransformer(
            n_image_channels=channels,
            size=(padded(height, self.patch), padded(width, self.patch)),
            n_classes=self.n_classes(event),
            patch=self.patch,
            width=self.width,
            depth=self.depth,
            n_heads=self.n_heads,
        )


def next_normals(generators: list[np.random.Generator], shape: tuple[int, ...]) -> np.ndarray:
    """[n, *shape] float32: the next standard normal numbers of each sample's own stream."""
    rows = np.empty((len(generators), *shape), np.float32)
    for row, generator in zip(rows, generators, strict=True):
        generator.standard_normal(out=row, dtype=np.float32)
    return rows
