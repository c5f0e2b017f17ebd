"""How large a study may be: a slip of the keyboard shall be told, not computed until memory ends."""

from mad_ray.core.errors import InvalidInput

MAX_TRAJECTORIES = 100_000
MAX_VALUES = 10_000
"""Values of one axis."""


def require_feasible(n: int, what: str, most: int = MAX_TRAJECTORIES) -> None:
    """InvalidInput if there are more than a study can have. what: the field that says so, for the message."""
    if n > most:
        # A number of hundreds of digits tells no more than that.
        found = f"{n:,}" if n < 10**15 else "more than 10^15"
        raise InvalidInput(f"{what}: {found} where {most:,} are the most; make it smaller, or several studies of it")
