"""A detector of given hit and false-alarm rates: how good must one be?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event
from mad_ray.core.settings import STRICT


@dataclass(frozen=True)
class Detector:
    """Flags a given share of the synthetic rows, and of the real ones; a row that is flagged once is flagged always.

    At equal rates it drops at random; at 1 and 0 it is perfect.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "detector"
    n_real: ClassVar[int] = 0

    hit_rate: float = 1.0
    """Share of synthetic rows that it flags."""
    false_alarm_rate: float = 0.0
    """Share of real rows that it flags."""
    flagged_weight: float = 0.0
    """What the weight of a flagged row is multiplied by; 0 drops it, 1 does nothing."""

    def __post_init__(self) -> None:
        for name in ("hit_rate", "false_alarm_rate", "flagged_weight"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise InvalidInput(f"interventions.detector.{name}={value} is outside [0, 1]; give a share")

    @property
    def is_identity(self) -> bool:
        """Whether it flags nobody, or nothing follows from it."""
        return self.flagged_weight == 1 or self.hit_rate == self.false_alarm_rate == 0

    def check(self, event: Event, loop: Loop, others: Sequence[Any]) -> None:
        """Any samples will do."""
