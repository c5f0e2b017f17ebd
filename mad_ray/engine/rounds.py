"""A search asks for cohorts round by round; the Rounds protocol is what a runtime needs to know of it."""

from typing import Protocol

from mad_ray.core.trajectory import Cohort


class Rounds(Protocol):
    """Asks for cohorts, and for more once these are computed. Whoever drives it need not know what is searched."""

    def next(self) -> list[Cohort]:
        """The cohorts to compute now; called again when they are done (or have failed). Empty at the end."""
        ...
