"""Who takes part in a fit: one process, or the workers of a group. Imports torch."""

from collections.abc import Iterator, Sequence
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


def share_of(rank: int, n_workers: int, n_parts: int) -> range:
    """The parts of a step that one worker computes: consecutive ones, as many as any other's, or one fewer."""
    return range(rank * n_parts // n_workers, (rank + 1) * n_parts // n_workers)


def gathered(team: "Accelerator", parts: Sequence[torch.Tensor], n_parts: int) -> list[torch.Tensor]:
    """All workers' parts [p], in the order of parts. Each worker brings those of its `share_of` (one at least)."""
    if team.num_processes == 1:
        return list(parts)
    # A gather wants as much of everybody: shorter shares end in zeros, which are left out again.
    most = -(-n_parts // team.num_processes)
    rows = team.gather(torch.stack([*parts, *[torch.zeros_like(parts[0])] * (most - len(parts))]))
    n_own = [len(share_of(rank, team.num_processes, n_parts)) for rank in range(team.num_processes)]
    return [rows[rank * most + i] for rank, n in enumerate(n_own) for i in range(n)]


def any_of(team: "Accelerator", flag: bool) -> bool:
    """Whether the flag is up in some worker; the same answer in every worker."""
    if team.num_processes == 1:
        return flag
    if flag:
        team.set_trigger()
    return team.check_trigger()


def workers_line(n_workers: int, micro_batches: int) -> str:
    """What to say where workers would have nothing to do."""
    return (
        f"run.workers={n_workers} needs family.micro_batches of {n_workers} or more (found {micro_batches}): each "
        "worker computes whole parts of a step; raise family.micro_batches, or lower run.workers"
    )
