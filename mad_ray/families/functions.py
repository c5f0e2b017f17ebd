"""A model of the user's own as two plain functions: fit(images) -> arrays, sample(model, n) -> images."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput, TrajectoryFailed
from mad_ray.core.fingerprint import canonical_json
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import NO_LABEL, Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.families.family import Model, Progress, Stream
from mad_ray.families.own import named
from mad_ray.families.returned import returned_model, returned_samples
from mad_ray.families.seeded import seeded
from mad_ray.families.vectors import nothing_left

BATCH = 4096
GIVEN_TO_FIT = ("labels", "weights", "seed")
GIVEN_TO_SAMPLE = ("labels", "seed", "bias")


class Options(dict[str, Any]):
    """Settings of the two functions, as plain JSON; never changed, so that they have a hash."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(canonical_json(self))


@dataclass(frozen=True)
class Functions:
    """Two functions of the user's own module, no class needed. Bias: what `sample` makes of its parameter `bias`;
    without that parameter only lambda = 1. (Our extension.)

    fit(images) is given D^t as a NumPy array [n, *event], and returns a dict of NumPy arrays or torch tensors.
    sample(model, n) is given these, always as NumPy arrays, and returns n images. Both are also given, where they have
    a parameter of that name: `seed` (an integer), the `options`; fit `labels` [n] (-1: none) and `weights` [n]; sample
    `bias` (lambda) and `labels` [n], the wanted classes 0, 1, .. in turn. Around each call the global random
    generators of Python, NumPy and torch start from an addressed seed, and afterwards stand where they stood.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "functions"
    max_cohort: ClassVar[int] = 1
    redraw: ClassVar[bool] = False
    distributed: ClassVar[bool] = False
    span: ClassVar[int] = 1

    fit_function: str
    """The function that fits, as my_module:fit; found beside the config, where the command runs, or installed."""
    sample_function: str
    """The function that samples, as my_module:sample."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further parameters by name, for each function that has them."""
    chunk: int = 256
    """Samples drawn in one call, always so many, each call with its own seed. Part of what a sample is."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", Options(self.options))
        if self.chunk < 1:
            raise InvalidInput(f"family.chunk={self.chunk} is below 1; give a positive whole number")
        unknown = self.options.keys() & {*GIVEN_TO_FIT, *GIVEN_TO_SAMPLE}
        if unknown:
            raise InvalidInput(f"family.options.{min(unknown)}: mad_ray gives this itself; remove it")

    @property
    def modules(self) -> tuple[str, ...]:
        """Where the functions come from."""
        return tuple(dict.fromkeys(text.partition(":")[0] for text in (self.fit_function, self.sample_function)))

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """InvalidInput if the functions cannot be found or called, or the bias asks for what `sample` does not have."""
        fit = _callable(self.fit_function, "family.fit_function", 1)
        sample = _callable(self.sample_function, "family.sample_function", 2)
        for name in self.options:
            if not (_takes(fit, name) or _takes(sample, name)):
                raise InvalidInput(f"family.options.{name}: neither function has a parameter {name}; remove it")
        if loop.bias != 1 and not _takes(sample, "bias"):
            raise InvalidInput(
                f"loop.bias={loop.bias}: {self.sample_function} has no parameter bias, so that family=functions knows "
                "lambda = 1 only; set bias to 1, or add the parameter"
            )

    def fit(self, data: Stream, keys: Keys, progress: Progress) -> Model:
        """What fit_function returns, and the event. All rows of weight are held in memory."""
        fit = _callable(self.fit_function, "family.fit_function", 1)
        images, labels, weights = _rows(data)
        if not _takes(fit, "weights") and np.any(weights != weights[0]):
            raise TrajectoryFailed(
                f"family.fit_function={self.fit_function}: D^t has rows of unequal weight, and the function has no "
                "parameter weights; add it"
            )
        seed = keys.seed(0, "fit")
        with seeded(seed):
            found = fit(images, **self._given(fit, labels=labels, weights=weights, seed=seed))
        progress(1.0)
        return {**returned_model(found, f"family.fit_function={self.fit_function}"), **_event_to_arrays(data.event)}

    def sample(self, model: Model, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        """Samples start..stop, whole chunks at a time: call c has the seed of the stream (..., c).

        The first is drawn twice, and TrajectoryFailed raised if the same seed then gave other samples.
        """
        event, own = _split(model)
        chunks = range(start // self.chunk, -(-stop // self.chunk))
        drawn = [self._chunk(own, event, c, bias, keys) for c in chunks]
        if 0 in chunks and not np.array_equal(drawn[0], self._chunk(own, event, 0, bias, keys)):
            raise TrajectoryFailed(
                f"family.sample_function={self.sample_function} drew other samples from the same seed; take all "
                "randomness from the global generators of random, NumPy and torch, or from a parameter seed"
            )
        offset = start - chunks.start * self.chunk
        x = np.concatenate([np.empty((0, *event.shape), event.dtype), *drawn])[offset:][: stop - start]
        return Samples.of(x[None], self._labels(event, start, stop)[None])

    def _chunk(self, model: Model, event: Event, c: int, bias: float, keys: Keys) -> np.ndarray:
        sample = _callable(self.sample_function, "family.sample_function", 2)
        labels = self._labels(event, c * self.chunk, (c + 1) * self.chunk)
        # Copies: what the function does to its model shall not show in the next call.
        own, seed = {name: array.copy() for name, array in model.items()}, keys.seed(0, c)
        with seeded(seed):
            found = sample(own, self.chunk, **self._given(sample, labels=labels, seed=seed, bias=bias))
        return returned_samples(found, self.chunk, event, f"family.sample_function={self.sample_function}")

    def _labels(self, event: Event, start: int, stop: int) -> np.ndarray:
        """The wanted classes in turn, if `sample` asks for them."""
        sample = _callable(self.sample_function, "family.sample_function", 2)
        if event.n_classes and _takes(sample, "labels"):
            return np.arange(start, stop) % event.n_classes
        return np.full(stop - start, NO_LABEL)

    def _given(self, function: Callable[..., Any], **known: Any) -> dict[str, Any]:
        """Of what we know, and of copies of the options, what the function has parameters for."""
        values = {**known, **copy.deepcopy(dict(self.options))}
        return {name: value for name, value in values.items() if _takes(function, name)}


def _callable(reference: str, field: str, n_given: int) -> Callable[..., Any]:
    """The function, seen to take so many parameters by place."""
    function = named(reference, field)
    if not callable(function):
        raise InvalidInput(f"{field}={reference}: this is no function but {type(function).__name__}; name a function")
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    n_places = sum(p.kind in places for p in inspect.signature(function).parameters.values())
    if n_places < n_given:
        head = "fit(images)" if n_given == 1 else "sample(model, n)"
        raise InvalidInput(f"{field}={reference}: it takes {n_places} parameters by place; write it as {head}")
    return function


def _takes(function: Callable[..., Any], name: str) -> bool:
    """Whether the function has a parameter of this name that can be given by name. **kwargs take nothing: too much."""
    parameter = inspect.signature(function).parameters.get(name)
    return parameter is not None and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)


def _rows(data: Stream) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x [n, *event], label [n], weight [n] of the rows that have weight."""
    batches = list(data.batches(BATCH))
    if not batches:
        raise nothing_left(data.n)
    x, label, weight = (
        np.concatenate([getattr(batch, name)[0] for batch in batches]) for name in ("x", "label", "weight")
    )
    kept = weight > 0
    if not kept.any():
        raise nothing_left(data.n)
    return x[kept], label[kept], weight[kept]


def _event_to_arrays(event: Event) -> Model:
    """What `_split` reads."""
    return {
        "mad_ray.shape": np.array(event.shape, np.int64),
        "mad_ray.dtype": np.frombuffer(event.dtype.encode(), np.uint8).copy(),
        "mad_ray.counts": np.array([event.n_classes, event.n_symbols], np.int64),
    }


def _split(model: Model) -> tuple[Event, Model]:
    """The event, and the arrays that the function returned."""
    shape = tuple(int(size) for size in model["mad_ray.shape"])
    event = Event(shape, bytes(model["mad_ray.dtype"]).decode(), *(int(n) for n in model["mad_ray.counts"]))
    return event, {name: array for name, array in model.items() if not name.startswith("mad_ray.")}
