"""The protocols that interventions fulfil: each is a frozen dataclass of its settings, and has what it needs of these.

None is told which rows are synthetic, but `Dice`, whose flags the engine throws by the truth. The manifest's slices
record the truth, so that hits and false alarms can be counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples

State = Mapping[str, np.ndarray]
"""What an intervention has learnt: named arrays. Empty for those that learn nothing."""


class Rows(Protocol):
    """D^t as it comes to an intervention, as often as wanted: the same rows in the same order each time."""

    @property
    def event(self) -> Event:
        """What a row is."""
        ...

    def batches(self, size: int) -> Iterator[Samples]:
        """All rows in order, `size` at a time."""
        ...


class Lesson(Protocol):
    """What an intervention may learn from, before generation t."""

    @property
    def generation(self) -> int:
        """t; 0 for what is learnt once."""
        ...

    @property
    def event(self) -> Event:
        """What a row is."""
        ...

    @property
    def keys(self) -> Keys:
        """Streams of its own, one per trajectory; other ones in every generation."""
        ...

    @property
    def others(self) -> Sequence[Any]:
        """All interventions of the trajectory, in their order."""
        ...

    def real(self, n: int) -> Samples:
        """n real rows of each trajectory that no D^t holds: they count towards the real data it has used."""
        ...

    def training_set(self) -> Rows:
        """D^t, as the interventions before this one let it in."""
        ...

    def synthetic(self, n: int) -> Samples | None:
        """At most n samples of each trajectory that are known by now to be synthetic.

        Some generations up to G^{t-2} have told, for interventions that say `looks_back = True`; those of G^{t-1} have
        only just come. None where there are none yet.
        """
        ...


class Intervention(Protocol):
    """What all have."""

    name: ClassVar[str]

    @property
    def is_identity(self) -> bool:
        """Whether its settings make it do nothing, to the byte. Then the engine leaves it out."""
        ...

    @property
    def n_real(self) -> int:
        """Real rows beyond those of the loop that it learns from; 0 if none."""
        ...

    def check(self, event: Event, loop: Loop, others: Sequence[Any]) -> None:
        """InvalidInput, one line that begins with `interventions.NAME`, if it cannot work on such samples."""
        ...


@runtime_checkable
class Marks(Protocol):
    """Changes samples as they leave a model: a watermark, a correction."""

    def learn_once(self, lesson: Lesson) -> State:
        """Before generation 1, from real rows only; kept in the store, since whoever samples needs it."""
        ...

    def publish(self, samples: Samples, generation: int, state: State) -> Samples:
        """As many rows, row by row: a row is changed alike whichever rows come with it."""
        ...


@runtime_checkable
class Chooses(Protocol):
    """Keeps the best share of what a model draws."""

    share: float
    """Of the candidates, in (0, 1]: 1/share of them are drawn for each sample that is published."""

    def learn_once(self, lesson: Lesson) -> State:
        """As for `Marks`."""
        ...

    def score(self, samples: Samples, state: State) -> np.ndarray:
        """[B, n], row by row; higher is better."""
        ...


@runtime_checkable
class Prefers(Protocol):
    """Makes a model of tokens prefer some of them while it samples."""

    def logit_bias(self, previous: np.ndarray, generation: int, n_symbols: int) -> np.ndarray:
        """Tokens before the one to be drawn [n], -1 at a start -> what is added to its logits [n, n_symbols]."""
        ...


@runtime_checkable
class Observes(Protocol):
    """A mark whose strength can be measured."""

    def observe(self, samples: Samples, generation: int, state: State) -> dict[str, np.ndarray]:
        """Names -> a number per row, [B, n]. Their means are metrics, before the mark is set and after it."""
        ...


@runtime_checkable
class Admits(Protocol):
    """Decides with what weight rows enter D^t."""

    def learn(self, lesson: Lesson) -> State:
        """Before every fit."""
        ...

    def admit(self, samples: Samples, state: State) -> Samples:
        """The same rows with other weights, row by row; weight 0 drops a row."""
        ...


@runtime_checkable
class Detects(Protocol):
    """An `Admits` that takes rows for synthetic."""

    def flag(self, samples: Samples, state: State) -> np.ndarray:
        """[B, n] bool: taken for synthetic."""
        ...


@runtime_checkable
class Dice(Protocol):
    """A detector of given rates. It stands for one that exists: the engine throws its flags, knowing the truth."""

    hit_rate: float
    """Share of synthetic rows that it flags."""
    false_alarm_rate: float
    """Share of real rows that it flags."""
    flagged_weight: float
    """What the weight of a flagged row is multiplied by."""


@runtime_checkable
class Extrapolates(Protocol):
    """Moves a fitted model away from one that was trained on its own samples."""

    n_samples: int
    """Of the model's own samples, how many the other one is trained on."""

    def auxiliary(self, family: Any) -> Any:
        """The family's settings by which the other model is trained, starting from the first."""
        ...

    def combine(self, model: State, auxiliary: State) -> dict[str, np.ndarray]:
        """What is published from."""
        ...


def no_state(lesson: Lesson) -> State:
    """For those that learn nothing."""
    return {}
