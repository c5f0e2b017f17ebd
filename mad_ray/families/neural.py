"""The one training loop of the neural families: addressed randomness, averaged weights, and the same bits however many
workers share a step.

Imports torch; families import this module inside `fit` and `sample`, so that settings can be read without it.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mad_ray.core.errors import InvalidInput, TrajectoryFailed
from mad_ray.core.keys import Keys
from mad_ray.families.family import Progress
from mad_ray.families.rows import Rows, generator_of

if TYPE_CHECKING:
    from accelerate import Accelerator

Loss = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]
"""(module, x [b, *event], label [b], generator on the CPU) -> mean loss of the rows."""


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to train: the fields that a family's settings hand on."""

    n_steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    ema_decay: float
    micro_batches: int = 1
    max_grad_norm: float = 1.0


def train(module: nn.Module, rows: Rows, loss: Loss, recipe: Recipe, keys: Keys, progress: Progress) -> nn.Module:
    """Train the module from its initial weights; returns it with the exponential moving average of its weights.

    Each step's batch is cut in `micro_batches` equal parts. Part m of step s draws all it needs from the stream
    (..., "step", s, m), and the parts' gradients are added in order of m, whichever worker computed them; so 1 and W
    workers give the same bits (tests/families/test_neural.py: test_two_workers_give_the_bits_of_one).
    """
    with workers() as team, torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        if recipe.micro_batches % team.num_processes:
            raise InvalidInput(workers_line(team.num_processes, recipe.micro_batches))
        module = module.to(team.device).train()
        parameters = list(module.parameters())
        optimizer = torch.optim.AdamW(parameters, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
        average = [parameter.detach().clone() for parameter in parameters]
        every = max(1, recipe.n_steps // 100)
        for s in range(recipe.n_steps):
            step_gradients(module, rows, loss, recipe, keys, s, team)
            nn.utils.clip_grad_norm_(parameters, recipe.max_grad_norm)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * one_cycle(s, recipe.n_steps)
            optimizer.step()
            update_average(average, parameters, ema_weight(s, recipe.ema_decay))
            if (s + 1) % every == 0:
                progress((s + 1) / recipe.n_steps)
    return _with_weights(module, average, recipe)


def step_gradients(
    module: nn.Module, rows: Rows, loss: Loss, recipe: Recipe, keys: Keys, s: int, team: "Accelerator"
) -> None:
    """Leave the gradient of step s's mean loss in the parameters' `grad`, the same bits in every worker."""
    n, size = recipe.micro_batches, recipe.batch_size // recipe.micro_batches
    share = n // team.num_processes
    module.zero_grad(set_to_none=True)
    parts = []
    for m in range(team.process_index * share, (team.process_index + 1) * share):
        generator = generator_of(keys, "step", s, m)
        first = s * recipe.batch_size + m * size
        x, label = rows.take(rows.order(first, size, keys, generator), team.device)
        (loss(module, x, label, generator) / n).backward()
        if team.num_processes > 1:
            parts.append(_flat_gradient(module))
            module.zero_grad(set_to_none=True)
    if parts:
        _scatter(_sum_in_order(team.gather(torch.stack(parts))), module)


def _flat_gradient(module: nn.Module) -> Tensor:
    gradients = [parameter.grad for parameter in _trained(module)]
    return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])


def _sum_in_order(parts: Tensor) -> Tensor:
    """[n, p] -> [p], adding one row after the other as autograd does for one worker; `sum` fixes no order."""
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    return total


def _scatter(flat: Tensor, module: nn.Module) -> None:
    parameters = _trained(module)
    for parameter, piece in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = piece.view_as(parameter)


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def one_cycle(s: int, n_steps: int, warm_up: float = 0.1) -> float:
    """Share of the peak learning rate at step s: linear up over the first tenth, then a half cosine down to zero."""
    rise = max(1, round(warm_up * n_steps))
    if s < rise:
        return (s + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (s - rise + 1) / (n_steps - rise + 1)))


def ema_weight(s: int, decay: float) -> float:
    """How much of the average survives step s: min(decay, (1 + s)/(10 + s)), so that short runs forget their start."""
    return min(decay, (1 + s) / (10 + s))


def update_average(average: list[Tensor], current: list[nn.Parameter], keep: float) -> None:
    """average <- keep * average + (1 - keep) * current, in place."""
    with torch.no_grad():
        torch._foreach_lerp_(average, [parameter.detach() for parameter in current], 1 - keep)


def _with_weights(module: nn.Module, weights: list[Tensor], recipe: Recipe) -> nn.Module:
    with torch.no_grad():
        for parameter, weight in zip(module.parameters(), weights, strict=True):
            parameter.copy_(weight)
            if not torch.isfinite(weight).all():
                raise TrajectoryFailed(
                    f"family.learning_rate={recipe.learning_rate}: training diverged, weights are not finite after "
                    f"{recipe.n_steps} steps; lower learning_rate"
                )
    return module.eval()


def initialised(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a module whose initial weights come from the seed; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would seed the GPUs' generators too, which fork_rng(devices=[]) does not restore.
        torch.default_generator.manual_seed(seed)
        return build()


def module_to_arrays(module: nn.Module, prefix: str = "net.") -> dict[str, np.ndarray]:
    """The module's state as NumPy arrays on the CPU, names prefixed."""
    return {prefix + name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def arrays_to_module(arrays: Mapping[str, np.ndarray], module: nn.Module, prefix: str = "net.") -> nn.Module:
    """Load what `module_to_arrays` wrote; every name must match."""
    state = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    module.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    return module.eval()


_KEPT: OrderedDict[tuple[object, ...], nn.Module] = OrderedDict()
N_KEPT = 4


def kept_module(arrays: Mapping[str, np.ndarray], settings: object, build: Callable[[], nn.Module]) -> nn.Module:
    """The module of these arrays on this process's device; the last few are kept, since sampling comes in pieces.

    settings: hashable, whatever else decides what `build` makes and how it is used.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    key = (settings, device, _arrays_digest(arrays))
    if key not in _KEPT:
        _KEPT[key] = arrays_to_module(arrays, initialised(build, 0)).to(device)
        if len(_KEPT) > N_KEPT:
            _KEPT.popitem(last=False)
    _KEPT.move_to_end(key)
    return _KEPT[key]


def _arrays_digest(arrays: Mapping[str, np.ndarray]) -> bytes:
    sha = hashlib.sha256()
    for name in sorted(arrays):
        sha.update(f"{name} {arrays[name].dtype} {arrays[name].shape} ".encode())
        sha.update(np.ascontiguousarray(arrays[name]).data)
    return sha.digest()


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


def workers_line(n_workers: int, micro_batches: int) -> str:
    """What to say where a step cannot be shared out evenly."""
    return (
        f"run.workers={n_workers} needs family.micro_batches divisible by {n_workers} (found {micro_batches}): each "
        f"worker computes whole parts of a step; make family.micro_batches a multiple of {n_workers}, or lower workers"
    )
