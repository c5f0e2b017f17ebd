"""A limit on what a trajectory's process may allocate, and running out of memory told as what it is."""

import errno
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from mad_ray.core.errors import InvalidInput, TrajectoryFailed

# torch raises RuntimeErrors: "DefaultCPUAllocator: can't allocate memory: you tried to ...", "CUDA out of memory. ...".
_WORDS = re.compile(
    r"can't allocate memory|cannot allocate memory|(CUDA|HIP) out of memory|std::bad_alloc", re.IGNORECASE
)
_STATUS = "/proc/self/status"


class OutOfMemory(TrajectoryFailed):
    """A trajectory needs more memory than there is, or than it may take."""


@contextmanager
def limited(mib: int) -> Iterator[None]:
    """For the block's duration this process may allocate so many MiB beyond what it has by now; 0: as it could before.

    What it allocates, not what it touches: a limit on the latter could only kill. More than that raises MemoryError, or
    what torch makes of it; the error itself names no limit (see `told`). Files that are mapped do not count.
    """
    if not mib:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _allocated_bytes() + (mib << 20)
    lowest = min(limit for limit in (soft, hard, wanted) if limit != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_DATA, (lowest, hard))
    try:
        yield
    finally:
        # The next trajectory may find the same process.
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def told(error: Exception, mib: int) -> Exception:
    """OutOfMemory in place of an error that says so in other words; any other error as it is."""
    if isinstance(error, OutOfMemory) or not is_out_of_memory(error):
        return error
    text = " ".join(str(error).split())
    reason = text[:200] or type(error).__name__
    on_gpu = "CUDA" in text or "HIP" in text
    if on_gpu or not mib:
        return OutOfMemory(
            f"out of memory: {reason}; lower the family's batch_size or chunk, or run.max_concurrent, or take a "
            "machine with more, and run the same command again"
        )
    return OutOfMemory(
        f"out of memory: {reason}; run.trial_memory={mib} (MiB) is too little: raise it, or lower run.memory or the "
        "family's batch_size, and run the same command again"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory could not be had, of this machine or of its GPU."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and bool(_WORDS.search(str(error)))


def _allocated_bytes() -> int:
    """What the kernel counts against the limit: this process's own writable memory, used or not."""
    try:
        with open(_STATUS) as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmData:"))
    except (OSError, StopIteration) as error:
        raise InvalidInput(
            "run.trial_memory needs Linux, which tells what a process holds; leave it out here"
        ) from error
