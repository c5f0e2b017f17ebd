"""The test for a watermark, by whoever has its secret: what carries a mark is taken for synthetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.interventions.calibration import check_calibration
from mad_ray.interventions.flags import check_flagged_weight, weighed_down
from mad_ray.interventions.intervention import Lesson, State
from mad_ray.interventions.keyed import Keyed, calibrated_search, carries_any, numbers_before


@dataclass(frozen=True)
class MarkDetector:
    """Flags rows that carry any key with which a mark of the same study has marked a generation so far.

    One test, however many keys: of the largest score, calibrated for being the largest. Before generation 2 no key was
    used, and nobody is flagged. A mark of strength 0 leaves false alarms alone.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "mark_detector"

    false_alarm: float = 0.01
    """Share of unmarked real rows that it flags, at most, in expectation over the rows on which it is calibrated."""
    flagged_weight: float = 0.0
    """What the weight of a flagged row is multiplied by; 0 drops it, 1 does nothing."""
    n_real: int = 500
    """Real rows that it learns from, beyond those of the loop: half choose the statistic, half calibrate it."""

    def __post_init__(self) -> None:
        check_flagged_weight(self.name, self.flagged_weight)
        check_calibration(self.name, self.false_alarm, self.n_real)

    @property
    def is_identity(self) -> bool:
        """Whether nothing follows from a flag."""
        return self.flagged_weight == 1

    def check(self, event: Event, loop: Loop, others: Sequence[Any]) -> None:
        """A mark is set by another intervention."""
        if not _marks(others):
            mark = "token_mark" if event.n_symbols else "watermark"
            raise InvalidInput(
                f"interventions.mark_detector: no watermark is set; add interventions.{mark}, or remove it"
            )

    def learn(self, lesson: Lesson) -> State:
        """The search for all keys used so far, calibrated for the largest of their scores; empty without such keys."""
        wanted = [(one, n) for one in _marks(lesson.others) for n in numbers_before(one.key, lesson.generation)]
        if not wanted:
            return {}
        return calibrated_search(wanted, lesson.real(self.n_real), lesson.event, self.false_alarm)

    def flag(self, samples: Samples, state: State) -> np.ndarray:
        """[B, n] bool."""
        return carries_any(samples, state) if state else np.zeros(samples.weight.shape, bool)

    def admit(self, samples: Samples, state: State) -> Samples:
        """Weights of flagged rows times flagged_weight."""
        return weighed_down(samples, self.flag(samples, state), self.flagged_weight)


def _marks(others: Sequence[Any]) -> list[Keyed]:
    return [one for one in others if isinstance(one, Keyed)]
