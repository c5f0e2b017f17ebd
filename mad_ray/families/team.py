"""Who takes part in a fit: one process, or the workers of a group. Imports torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")


@contextmanager
def workers() -> Iterator["Accelerator"]:
    """Accelerate's view of who takes part: rank, number of processes, device, gather. One process without a group.

    Accelerate keeps that view for the life of a process and may set the thread count; both are put back, so that a fit
    in this process, alone or in a group, leaves nothing for the next.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    n_threads = torch.get_num_threads()
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        # A group on the CPU is seen only with cpu=True; torch.cuda is unavailable to workers that were given no GPU.
        team = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no")
        torch.set_num_threads(n_threads)
        yield team
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def of_first(team: "Accelerator", value: T) -> T:
    """The first worker's value, in every worker."""
    if team.num_processes == 1:
        return value
    from accelerate.utils import broadcast_object_list

    held = [value]
    broadcast_object_list(held, from_process=0)
    return held[0]


def workers_line(n_workers: int, micro_batches: int) -> str:
    """What to say where a step cannot be shared out evenly."""
    return (
        f"run.workers={n_workers} needs family.micro_batches divisible by {n_workers} (found {micro_batches}): each "
        f"worker computes whole parts of a step; make family.micro_batches a multiple of {n_workers}, or lower workers"
    )
