"""A keyed watermark for images and vectors: the same faint pattern added to every row that a model publishes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.interventions.calibration import check_calibration
from mad_ray.interventions.intervention import Lesson, State
from mad_ray.interventions.keyed import Key, number_of
from mad_ray.interventions.observing import learn_to_observe, observed
from mad_ray.interventions.spread_spectrum import (
    LEAST_IN_BAND,
    Band,
    background_of,
    direction,
    image_pattern,
    in_band,
    whitened,
)

LEAST = 0.5
"""Grey levels: a weaker pattern is gone once grey levels are whole numbers."""
MOST = 127.0


@dataclass(frozen=True)
class Watermark:
    """Spread spectrum (Cox et al. 1997): x + strength * pattern, the pattern drawn from a secret key.

    Additive, where Cox et al. multiply coefficients. Theirs is found by whoever has the unmarked image; of a generated
    one nobody has, and a change whose sign is the coefficient's own correlates with nothing. An additive pattern does,
    shifts any linear statistic by the same amount in every row, and is the mean shift that a model can learn: which
    makes `mark_z` before marking the measure of what it has learnt.

    Grey levels are rounded to the nearest whole one (a half to the even one) and clipped to 0..255. Not dithered: the
    same row has to become the same bytes. Of the pattern on a saturated background the half that points inward is left.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "watermark"

    strength: float = 8.0
    """Images: root mean square of the pattern in grey levels, 0.5 or more. Vectors: length of the shift, in the data's
    units. 0: no mark."""
    band: Band = "all"
    """Images only: which thirds of the frequencies (radially, of the DCT) carry the pattern."""
    key: Key = "fixed"
    """fixed: one pattern for ever. rotating: another one each generation."""
    secret: int = 0
    """Which patterns: another number, other keys."""
    false_alarm: float = 0.01
    """Share of unmarked real rows that count as marked in `mark_flagged`."""
    n_real: int = 500
    """Real rows on which its measurement is calibrated, beyond those of the loop."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength < np.inf:
            raise InvalidInput(f"interventions.watermark.strength={self.strength}: expected 0 (no mark) or more")
        if not 0 <= self.secret < 1 << 63:
            raise InvalidInput(f"interventions.watermark.secret={self.secret}: expected a whole number from 0 to 2^63")
        check_calibration(self.name, self.false_alarm, self.n_real)

    @property
    def is_identity(self) -> bool:
        """Whether the pattern is added zero times."""
        return self.strength == 0

    def check(self, event: Event, loop: Loop, others: Sequence[Any]) -> None:
        """Images whose band is not empty, or vectors of numbers; for tokens there is token_mark."""
        if event.dtype == "uint8" and len(event.shape) == 3:
            self._check_images(event)
        elif not _is_vector(event):
            raise InvalidInput(
                f"interventions.watermark marks images and vectors; data gives {event.dtype} samples of shape "
                f"{event.shape}{' that stand for symbols' if event.n_classes else ''}: for sequences of tokens take "
                "interventions.token_mark, or remove it"
            )

    def _check_images(self, event: Event) -> None:
        if 0 < self.strength < LEAST or self.strength > MOST:
            raise InvalidInput(
                f"interventions.watermark.strength={self.strength}: images have whole grey levels 0..255; give "
                f"{LEAST:g} to {MOST:g}, or 0 for no mark"
            )
        n = np.count_nonzero(in_band(event.shape, self.band))
        if n < LEAST_IN_BAND:
            raise InvalidInput(
                f"interventions.watermark.band={self.band}: images of {event.shape[1]}x{event.shape[2]} have {n} "
                f"frequencies in it, a key takes {LEAST_IN_BAND} or more; take band: all, or larger images"
            )

    def learn_once(self, lesson: Lesson) -> State:
        """How its keys are looked for in such data."""
        return learn_to_observe(self, lesson)

    def publish(self, samples: Samples, generation: int, state: State) -> Samples:
        """x + strength * pattern, of the same type."""
        x, number = samples.x, number_of(self.key, generation)
        if self.is_identity:
            return samples
        if x.dtype == np.uint8:
            # As x holds whole numbers, rounding the pattern is rounding the sum.
            step = np.rint(self.strength * image_pattern(samples.event, self.band, self.secret, number)).astype(
                np.int16
            )
            return replace(samples, x=np.clip(x + step, 0, 255).astype(np.uint8))
        shift = self.strength * direction(x.shape[-1], self.secret, number)
        return replace(samples, x=(x + shift).astype(x.dtype, copy=False))

    def observe(self, samples: Samples, generation: int, state: State) -> dict[str, np.ndarray]:
        """mark_z [B, n]: the correlation with this generation's key, in standard deviations around the mean of real

        rows unmarked. mark_flagged: 1 where a test of `false_alarm` finds it (`evidence`). With a rotating key also
        mark_z_previous, mark_flagged_previous: the key of generation - 1, the newest that a model can have learnt (of
        generation 1 the key number 0, which marks nothing).
        """
        return observed(self, samples, generation, state)

    def background(self, real: np.ndarray, event: Event) -> dict[str, np.ndarray]:
        """Of images their mean and covariance (`background_of`); of vectors nothing."""
        if event.dtype != "uint8":
            return {}
        return background_of(real)

    def recipe(self, background: Mapping[str, np.ndarray], event: Event, number: int) -> dict[str, np.ndarray]:
        """filter [d]. Images: matched to the covariance of the real rows; band [d]. Vectors: the keyed direction."""
        if event.dtype != "uint8":
            return {"filter": direction(event.shape[0], self.secret, number)}
        pattern = image_pattern(event.shape, self.band, self.secret, number).ravel()
        return {
            "filter": whitened(pattern[None], background)[0],
            "band": in_band(event.shape, self.band).ravel(),
        }


def _is_vector(event: Event) -> bool:
    # A single number with classes is a symbol, its own label.
    is_symbol = event.shape == (1,) and event.n_classes > 0
    return len(event.shape) == 1 and event.dtype.startswith("float") and not is_symbol
