"""Patience with what does not answer: the one schedule by which anything is asked again."""

import random
from collections.abc import Iterator

# Of a server that loses one request in five, one in ten million goes unanswered: a grid asks some hundred thousand.
ATTEMPTS = 10
# A server that has never answered is more likely misnamed than away; who runs the command waits for the message.
ATTEMPTS_AT_FIRST = 6
BASE_S, CAP_S = 0.1, 10.0
# The system's entropy: no seed to share between workers that wait for the same server, and none to disturb.
_JITTER = random.SystemRandom()


def wait_s(failures: int, base_s: float = BASE_S, cap_s: float = CAP_S) -> float:
    """Seconds to wait after so many failures in a row: up to base_s * 2^k, at most cap_s (exponential, full jitter)."""
    return _JITTER.uniform(0.0, min(cap_s, base_s * 2 ** (failures - 1)))


def waits_s(attempts: int) -> Iterator[float]:
    """What to wait between so many attempts: one less than those."""
    return (wait_s(failures) for failures in range(1, attempts))
