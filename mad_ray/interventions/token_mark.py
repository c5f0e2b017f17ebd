"""A watermark for text: the model prefers the words of a keyed green list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.interventions.calibration import check_calibration
from mad_ray.interventions.green import MAX_SYMBOLS, green_lists, green_recipe
from mad_ray.interventions.intervention import Lesson, State
from mad_ray.interventions.keyed import Key, number_of
from mad_ray.interventions.observing import learn_to_observe, observed

MOST = 100.0
"""More leaves red tokens no chance either."""


@dataclass(frozen=True)
class TokenMark:
    """The soft red list of Kirchenbauer et al. 2023: delta is added to the logits of green tokens while sampling.

    Which are green depends on the key and on the token before. The first token of a sequence has no list, and no bias.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "token_mark"

    delta: float = 2.0
    """Added to the logit of green tokens, before the temperature; 0: no mark."""
    gamma: float = 0.5
    """Share of the tokens that are green."""
    key: Key = "fixed"
    """fixed: one set of lists for ever. rotating: another one each generation."""
    secret: int = 0
    """Which lists: another number, other keys."""
    false_alarm: float = 0.01
    """Share of unmarked real sequences that count as marked in `mark_flagged`."""
    n_real: int = 500
    """Real sequences on which its measurement is calibrated, beyond those of the loop."""

    def __post_init__(self) -> None:
        if not 0 <= self.delta <= MOST:
            raise InvalidInput(
                f"interventions.token_mark.delta={self.delta}: expected 0 (no mark) to {MOST:g}; typical: 2"
            )
        if not 0 < self.gamma < 1:
            raise InvalidInput(f"interventions.token_mark.gamma={self.gamma} is outside (0, 1); typical: 0.25 or 0.5")
        if not 0 <= self.secret < 1 << 63:
            raise InvalidInput(f"interventions.token_mark.secret={self.secret}: expected a whole number from 0 to 2^63")
        check_calibration(self.name, self.false_alarm, self.n_real)

    @property
    def is_identity(self) -> bool:
        """Whether nothing is preferred."""
        return self.delta == 0

    def check(self, event: Event, loop: Loop, others: Sequence[Any]) -> None:
        """Sequences of tokens, of no more symbols than a table of pairs can hold."""
        if event.dtype != "int32" or len(event.shape) != 1 or event.shape[0] < 2 or event.n_symbols < 2:
            raise InvalidInput(
                f"interventions.token_mark marks sequences of tokens; data gives {event.dtype} samples of shape "
                f"{event.shape}: take interventions.watermark for images and vectors, or remove it"
            )
        if event.n_symbols > MAX_SYMBOLS:
            raise InvalidInput(
                f"interventions.token_mark: data have {event.n_symbols:,} symbols, its table of pairs holds "
                f"{MAX_SYMBOLS:,} at most; lower data.vocabulary, or remove it"
            )

    def learn_once(self, lesson: Lesson) -> State:
        """How its keys are looked for in such data."""
        return learn_to_observe(self, lesson)

    def logit_bias(self, previous: np.ndarray, generation: int, n_symbols: int) -> np.ndarray:
        """[n, n_symbols] float32: delta where a token is green after previous [n]; zeros after -1, the beginning."""
        green = green_lists(self.secret, number_of(self.key, generation), self.gamma, n_symbols)
        return (green[previous] & (previous >= 0)[:, None]) * np.float32(self.delta)

    def observe(self, samples: Samples, generation: int, state: State) -> dict[str, np.ndarray]:
        """mark_z [B, n]: the green share's z (`green_scores`) by this generation's key, in standard deviations around

        the mean of real sequences: words depend on each other and some are common, so that z is no standard normal
        there. mark_flagged: 1 where a test of `false_alarm` finds it. With a rotating key also mark_z_previous,
        mark_flagged_previous: the key of generation - 1 (of generation 1 the key number 0, which marks nothing).
        """
        return observed(self, samples, generation, state)

    def background(self, real: np.ndarray, event: Event) -> dict[str, np.ndarray]:
        """Nothing: real sequences choose nothing of the statistic."""
        return {}

    def recipe(self, background: Mapping[str, np.ndarray], event: Event, number: int) -> dict[str, np.ndarray]:
        """The lists, by what they are drawn from."""
        return green_recipe(self.secret, number, self.gamma, event.n_symbols)
