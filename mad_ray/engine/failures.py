"""Which failures end a trajectory, and how their reason is told in one line."""

from mad_ray.core.errors import MadError


def reason_of(error: BaseException) -> str:
    """One line: the message of our own errors, class and message of others."""
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, MadError) else f"{type(error).__name__}: {text}"[:500]
