"""Class-conditional denoising diffusion (Ho et al. 2020) with classifier-free guidance as its sampling bias."""

from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import NO_LABEL, Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.families.family import Model, Progress, Stream

if TYPE_CHECKING:
    from torch import nn


MIN_LINEAR_T = 400
"""Below it more than 2 % of the variance at t = T is still the image's."""


@dataclass(frozen=True)
class DDPM:
    """A conditional UNet that predicts noise. Images [C, H, W] uint8; lambda = 1/(1 + w), w the guidance."""

    __pydantic_config__ = STRICT
    name: ClassVar[str] = "ddpm"
    max_cohort: ClassVar[int] = 1
    redraw: ClassVar[bool] = False
    distributed: ClassVar[bool] = True
    span: ClassVar[int] = 1

    T: int = 500
    """T: diffusion steps in training."""
    schedule: Literal["squaredcos_cap_v2", "linear"] = "linear"
    """Noise schedule, by diffusers' name: betas linear from 1e-4 to 0.02 (needs T >= 400), or cosine (any T)."""
    channels: list[int] | tuple[int, ...] = (16, 32)
    """Channels of each level of the UNet; images are halved between levels."""
    layers_per_block: int = 1
    """Residual blocks per level."""
    attention: bool = False
    """Self-attention at the lowest level."""
    n_steps: int = 400
    """Optimiser steps of each generation's training, from scratch."""
    batch_size: int = 64
    """Images per optimiser step."""
    learning_rate: float = 8e-3
    """Peak of the one-cycle schedule; wider networks want less, [32, 64] channels about 4e-3."""
    weight_decay: float = 1e-2
    """AdamW's weight decay."""
    ema_decay: float = 0.995
    """Decay of the weights' moving average, which is the model; warmed up, so that short runs forget their start."""
    condition_dropout: float = 0.1
    """Share of labels hidden in training, for classifier-free guidance."""
    micro_batches: int = 1
    """Equal parts of a batch whose gradients are computed apart and added in order; a multiple of the workers."""
    sampler: Literal["ddim", "ancestral", "dpm_solver"] = "ddim"
    """DDIM, DDPM's own ancestral sampling, or DPM-Solver++ (2M)."""
    sampler_steps: int = 10
    """Network evaluations per sample, at most T."""
    chunk: int = 256
    """Samples per forward pass. Part of what a sample is: batch sizes change the rounding of matrix products."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        for name in ("T", "layers_per_block", "n_steps", "batch_size", "micro_batches", "sampler_steps", "chunk"):
            value = getattr(self, name)
            _require(value >= 1, f"family.{name}={value} is below 1; give a positive whole number")
        for name in ("ema_decay", "condition_dropout"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"family.{name}={value} is outside [0, 1); typical: 0.995 and 0.1")
        _require(self.learning_rate > 0, f"family.learning_rate={self.learning_rate} is not positive; typical: 4e-3")
        _require(self.weight_decay >= 0, f"family.weight_decay={self.weight_decay} is negative; 0 turns it off")
        _require(
            len(self.channels) > 0 and all(c >= 2 and c % 2 == 0 for c in self.channels),
            f"family.channels={list(self.channels)}: needs even, positive numbers, one per level, such as [32, 64]",
        )
        _require(
            not self.attention or self.channels[-1] % 8 == 0,
            f"family.channels={list(self.channels)}: attention has heads of 8 channels; make the last a multiple of 8",
        )
        _require(
            self.schedule != "linear" or self.T >= MIN_LINEAR_T,
            f"family.T={self.T} with schedule=linear ends before the image is noise, which sampling starts from: "
            f"raise T to {MIN_LINEAR_T} or more, or set schedule to squaredcos_cap_v2",
        )
        _require(
            self.sampler_steps <= self.T,
            f"family.sampler_steps={self.sampler_steps} exceeds T={self.T}; lower sampler_steps or raise T",
        )
        _require(
            self.batch_size % self.micro_batches == 0,
            f"family.batch_size={self.batch_size} does not split in micro_batches={self.micro_batches} equal parts; "
            "make it a multiple",
        )

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """InvalidInput where the data are no images, or the bias or the workers ask for what cannot be."""
        _require(
            len(event.shape) == 3 and event.dtype == "uint8",
            f"family=ddpm needs images [channels, height, width] of uint8; data gives {event.dtype} "
            f"{list(event.shape)}: choose an image data set, or another family",
        )
        _require(
            loop.bias > 0,
            "loop.bias=0 is infinite guidance for family=ddpm (lambda = 1/(1 + w)); raise it, the paper goes to 0.5",
        )
        _require(
            loop.bias == 1 or event.n_classes > 0,
            f"loop.bias={loop.bias}: family=ddpm biases by classifier-free guidance, and these data have no classes; "
            "set bias to 1, or give labelled data",
        )
        _require(
            loop.bias == 1 or self.condition_dropout > 0,
            f"loop.bias={loop.bias} with family.condition_dropout=0: guidance needs a network that also saw no label; "
            "set condition_dropout to about 0.1",
        )
        if workers > 1 and self.micro_batches % workers:
            from mad_ray.families.neural import workers_line

            raise InvalidInput(workers_line(workers, self.micro_batches))

    def fit(self, data: Stream, keys: Keys, progress: Progress) -> Model:
        """Train from scratch; the model is the averaged weights (net.*) and the event they belong to (event.*)."""
        from mad_ray.families.diffusion import abar_of, eps_loss
        from mad_ray.families.neural import Recipe, initialised, module_to_arrays, train
        from mad_ray.families.rows import Rows
        from mad_ray.families.unet import pad

        event = data.event
        recipe = Recipe(
            **{field.name: getattr(self, field.name) for field in fields(Recipe) if hasattr(self, field.name)}
        )
        loss = partial(
            eps_loss, abar=abar_of(self.schedule, self.T), n_classes=event.n_classes, dropout=self.condition_dropout
        )
        net = initialised(partial(self._net, event), keys.seed(0, "init"))
        rows = Rows.of(data)
        rows = replace(rows, x=pad(rows.x, len(self.channels)))
        net = train(net, rows, loss, recipe, keys, progress)
        return {**module_to_arrays(net), **_event_to_arrays(event)}

    def sample(self, model: Model, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        """Samples start..stop, labels 0, 1, .. in turn.

        Sample i's noise is the stream (..., i), and it is always computed in the same chunk, so that it is the same
        bytes whatever start and stop are.
        """
        from mad_ray.families.neural import kept_module

        event = _arrays_to_event(model)
        net = kept_module(model, self, partial(self._net, event))
        chunks = range(start // self.chunk, -(-stop // self.chunk))
        x = [self._chunk(net, event, c * self.chunk, bias, keys) for c in chunks]
        offset = start - chunks.start * self.chunk
        rows = np.concatenate([np.empty((0, *event.shape), np.uint8), *x])[offset:][: stop - start]
        return Samples.of(rows[None], _labels(start, stop, event.n_classes)[None])

    def _chunk(self, net: "nn.Module", event: Event, first: int, bias: float, keys: Keys) -> np.ndarray:
        """uint8 [chunk, C, H, W]: samples first..first + chunk, all of them, so that the batch size never varies."""
        from mad_ray.families.diffusion import abar_of, draw
        from mad_ray.families.unet import padded

        shape = (event.shape[0], *(padded(size, len(self.channels)) for size in event.shape[1:]))
        generators = [keys.generator(0, i) for i in range(first, first + self.chunk)]
        x = draw(
            net,
            _labels(first, first + self.chunk, event.n_classes),
            partial(_noise, generators, shape),
            abar=abar_of(self.schedule, self.T),
            n_classes=event.n_classes,
            bias=bias,
            sampler=self.sampler,
            n_steps=self.sampler_steps,
        )
        return x[..., : event.shape[1], : event.shape[2]]

    def _net(self, event: Event) -> "nn.Module":
        from mad_ray.families.unet import build_unet

        return build_unet(
            n_image_channels=event.shape[0],
            n_classes=event.n_classes,
            channels=self.channels,
            layers_per_block=self.layers_per_block,
            attention=self.attention,
        )


def _noise(generators: list[np.random.Generator], shape: tuple[int, ...]) -> np.ndarray:
    """[n, *shape] float32: the next standard normal numbers of each sample's own stream."""
    rows = np.empty((len(generators), *shape), np.float32)
    for row, generator in zip(rows, generators, strict=True):
        generator.standard_normal(out=row, dtype=np.float32)
    return rows


def _labels(start: int, stop: int, n_classes: int) -> np.ndarray:
    """Label i mod n_classes for sample i; NO_LABEL without classes."""
    return np.arange(start, stop) % n_classes if n_classes else np.full(stop - start, NO_LABEL)


def _event_to_arrays(event: Event) -> Model:
    return {"event.shape": np.array(event.shape, np.int64), "event.n_classes": np.array(event.n_classes, np.int64)}


def _arrays_to_event(model: Model) -> Event:
    return Event(tuple(int(size) for size in model["event.shape"]), "uint8", int(model["event.n_classes"]))


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidInput(message)
