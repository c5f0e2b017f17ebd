"""What every family of networks shares: the settings of training, and sampling in chunks of addressed samples."""

from collections.abc import Callable
from dataclasses import dataclass, field
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

    from mad_ray.families.phase import Phase
    from mad_ray.families.rows import Rows


@dataclass(frozen=True)
class Network:
    """A family whose model is the moving average of a network's weights; subclasses say which network, which loss."""

    __pydantic_config__ = STRICT

    max_cohort: ClassVar[int] = 1
    redraw: ClassVar[bool] = False
    distributed: ClassVar[bool] = True
    span: ClassVar[int] = 1
    predicts_score: ClassVar[bool] = False
    """Whether its network predicts a score, noise or a velocity, linear in one another at given x and t."""
    is_conditional: ClassVar[bool] = False
    """Whether samples are drawn for a class: sample i for class i mod n_classes."""

    n_steps: int = 400
    """Optimiser steps of each generation's training, from scratch."""
    epochs: int = 0
    """Instead of n_steps: how often training goes through D^t. 0: n_steps counts."""
    batch_size: int = 64
    """Rows per optimiser step."""
    learning_rate: float = 2e-3
    """AdamW's learning rate; of a one-cycle schedule the peak."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    ema_decay: float = 0.995
    """Decay of the weights' moving average, which is the model; warmed up, so that short runs forget their start."""
    micro_batches: int = 1
    """Equal parts of a batch whose gradients are computed apart and added in order; at least as many as workers."""
    chunk: int = 256
    """Samples per forward pass. Part of what a sample is: batch sizes change the rounding of matrix products."""
    precision: Literal["float32", "tf32", "bf16"] = "tf32"
    """Of matrix products on CUDA: full, rounded to tf32, or bf16 by autocast. On the CPU always full."""
    compile: bool = field(default=False, metadata={"execution": True})
    """Compile the networks (torch.compile): seconds once, then faster steps on a GPU."""

    def __post_init__(self) -> None:
        for name in ("n_steps", "batch_size", "micro_batches", "chunk"):
            value = getattr(self, name)
            require(value >= 1, f"family.{name}={value} is below 1; give a positive whole number")
        require(self.epochs >= 0, f"family.epochs={self.epochs} is negative; 0 trains for n_steps")
        require(0 <= self.ema_decay < 1, f"family.ema_decay={self.ema_decay} is outside [0, 1); typical: 0.995")
        require(self.learning_rate > 0, f"family.learning_rate={self.learning_rate} is not positive; typical: 2e-3")
        require(self.weight_decay >= 0, f"family.weight_decay={self.weight_decay} is negative; 0 turns it off")
        require(
            self.batch_size % self.micro_batches == 0,
            f"family.batch_size={self.batch_size} does not split in micro_batches={self.micro_batches} equal parts; "
            "make it a multiple",
        )

    def build(self, event: Event) -> "nn.Module":
        """The network that samples are drawn from, its weights from torch's default generator."""
        raise NotImplementedError

    def phases(self, net: "nn.Module", event: Event, keys: Keys) -> "list[Phase]":
        """What a training step is made of. keys: seeds of further modules."""
        raise NotImplementedError

    def draw_chunk(self, net: "nn.Module", event: Event, first: int, bias: float, keys: Keys) -> np.ndarray:
        """[chunk, *event.shape]: samples first..first + chunk, from streams below keys (see `noise`)."""
        raise NotImplementedError

    def begin(self, net: "nn.Module", rows: "Rows", keys: Keys) -> None:
        """Before the first step: what depends on the data. Repeated, to the same effect, before a fit goes on."""

    def finish(self, net: "nn.Module", rows: "Rows", keys: Keys) -> Model:
        """After the last step: further arrays of the model."""
        return {}

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """InvalidInput where a step has fewer parts than workers."""
        if workers > max(1, self.micro_batches):
            from mad_ray.families.team import workers_line

            raise InvalidInput(workers_line(workers, self.micro_batches))

    def steps_of(self, n: int) -> int:
        """Optimiser steps for n rows."""
        return max(1, round(self.epochs * n / self.batch_size)) if self.epochs else self.n_steps

    def images_of_fit(self, n: int) -> int:
        """Rows that a fit on n of them goes through."""
        return self.steps_of(n) * self.batch_size

    def fit(self, data: Stream, keys: Keys, progress: Progress) -> Model:
        """Train from scratch, or from `progress.initial`.

        The model is the averaged weights (net.*), and the event that they belong to (event.*).
        """
        from mad_ray.families.neural import Recipe, arrays_to_module, initialised, module_to_arrays, train
        from mad_ray.families.rows import Rows

        rows = Rows.of(data)
        net = initialised(partial(self.build, data.event), keys.seed(0, "init"))
        if progress.initial is not None:
            arrays_to_module(progress.initial, net)
        self.begin(net, rows, keys)
        recipe = Recipe(
            n_steps=self.steps_of(len(rows.label)),
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            ema_decay=self.ema_decay,
            micro_batches=self.micro_batches,
            precision=self.precision,
            compile=self.compile,
        )
        net = train(self.phases(net, data.event, keys), net, rows, recipe, keys, progress)
        return {**module_to_arrays(net), **self.finish(net, rows, keys), **event_to_arrays(data.event)}

    def sample(self, model: Model, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        """Samples start..stop; of a conditional family for classes 0, 1, .. in turn.

        Sample i is always computed in the same chunk, so that it is the same bytes whatever start and stop are.
        """

        def draw(net: "nn.Module", event: Event, first: int) -> np.ndarray:
            return self.draw_chunk(net, event, first, bias, keys)

        return self.sample_by(draw, model, start, stop)

    def sample_by(
        self, draw: "Callable[[nn.Module, Event, int], np.ndarray]", model: Model, start: int, stop: int
    ) -> Samples:
        """Samples start..stop of whole chunks draw(net, event, first), each [chunk, *event.shape]."""
        import torch

        from mad_ray.families.away import with_guidance
        from mad_ray.families.hardware import arithmetic
        from mad_ray.families.kept import kept_module

        event = arrays_to_event(model)
        build = partial(self.build, event)
        net = with_guidance(kept_module(model, self, build), model, self, build)
        chunks = range(start // self.chunk, -(-stop // self.chunk))
        with torch.inference_mode(), arithmetic(self.precision):
            x = [draw(net, event, c * self.chunk) for c in chunks]
        offset = start - chunks.start * self.chunk
        rows = np.concatenate([np.empty((0, *event.shape), event.dtype), *x])[offset:][: stop - start]
        n_classes = event.n_classes if self.is_conditional else 0
        return Samples.of(rows[None], labels(start, stop, n_classes)[None])


def require(holds: bool, message: str) -> None:
    """InvalidInput with the message unless it holds."""
    if not holds:
        raise InvalidInput(message)


def require_images(family: str, event: Event) -> None:
    """InvalidInput unless samples are images."""
    require(
        len(event.shape) == 3 and event.dtype == "uint8",
        f"family={family} needs images [channels, height, width] of uint8; data gives {event.dtype} "
        f"{list(event.shape)}: choose an image data set, or another family",
    )


def noise(keys: Keys, first: int, n: int, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal float32 [n, *shape] of the whole chunk first..first + n, from the chunk's own stream.

    A stream for each sample would take longer to open than a small network to run.
    """
    assert first % n == 0, "chunks are drawn whole"
    return keys.generator(0, "chunk", first // n).standard_normal((n, *shape), dtype=np.float32)


def labels(start: int, stop: int, n_classes: int) -> np.ndarray:
    """Label i mod n_classes for sample i; NO_LABEL without classes."""
    return np.arange(start, stop) % n_classes if n_classes else np.full(stop - start, NO_LABEL)


def event_to_arrays(event: Event) -> Model:
    """What `arrays_to_event` reads; of images no dtype, since it is always uint8."""
    found = {"event.shape": np.array(event.shape, np.int64), "event.n_classes": np.array(event.n_classes, np.int64)}
    if event.dtype != "uint8":
        found["event.dtype"] = np.frombuffer(event.dtype.encode(), np.uint8)
    if event.n_symbols:
        found["event.n_symbols"] = np.array(event.n_symbols, np.int64)
    return found


def arrays_to_event(model: Model) -> Event:
    """The event that a model was trained on."""
    dtype = bytes(model["event.dtype"]).decode() if "event.dtype" in model else "uint8"
    n_symbols = int(model.get("event.n_symbols", 0))
    return Event(tuple(int(size) for size in model["event.shape"]), dtype, int(model["event.n_classes"]), n_symbols)
