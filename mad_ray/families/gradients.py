"""The gradient of one step, the same bits however many workers share it. Imports torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mad_ray.core.keys import Keys
from mad_ray.families.hardware import Precision, autocast, laid_out
from mad_ray.families.phase import Phase
from mad_ray.families.rows import Rows, generator_of
from mad_ray.families.team import gathered, share_of

if TYPE_CHECKING:
    from accelerate import Accelerator


def step_gradients(
    phase: Phase,
    parameters: Sequence[nn.Parameter],
    rows: Rows,
    keys: Keys,
    turn: int,
    team: "Accelerator",
    *,
    batch_size: int,
    micro_batches: int,
    precision: Precision = "float32",
) -> Tensor | None:
    """Leave the gradient of the phase's mean loss in the parameters' `grad`; returns its mean statistics, if any.

    The batch is cut in `micro_batches` equal parts; part m of turn u draws all it needs from the stream
    (*address, "step", u, m), and parts are added in order of m, whichever worker computed them. Workers whose number
    does not divide the parts have shares that differ by one.
    """
    n, size = micro_batches, batch_size // micro_batches
    keys = keys.at(*phase.address)
    _forget(parameters)
    gradients, told = [], []
    for m in share_of(team.process_index, team.num_processes, n):
        generator = generator_of(keys, "step", turn, m)
        x, label = rows.take(rows.order(turn * batch_size + m * size, size, keys, generator), team.device)
        with autocast(team.device, precision):
            found = phase.loss(phase.module, laid_out(x), label, generator)
        loss, statistics = found if isinstance(found, tuple) else (found, None)
        (loss / n).backward()
        if statistics is not None:
            told.append(statistics.detach().float() / n)
        if team.num_processes > 1:
            gradients.append(_flat_gradient(parameters))
            _forget(parameters)
    if gradients:
        _scatter(_sum_in_order(gathered(team, gradients, n)), parameters)
    else:
        _fill(parameters)
    return _sum_in_order(gathered(team, told, n)) if told else None


def _forget(parameters: Sequence[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = None


def _flat_gradient(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Zeros where the loss does not depend on a parameter."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])


def _fill(parameters: Sequence[nn.Parameter]) -> None:
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)


def _sum_in_order(parts: Sequence[Tensor]) -> Tensor:
    """n times [p] -> [p], adding one row after the other as autograd does for one worker; `sum` fixes no order."""
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    return total


def _scatter(flat: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    for parameter, piece in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = piece.view_as(parameter)
