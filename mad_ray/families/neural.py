"""The one training loop of the neural families: addressed randomness, averaged weights, checkpoints on the way, and
the same bits however many workers share a step.

Imports torch; families import this module inside `fit` and `sample`, so that settings can be read without it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mad_ray.core.errors import InvalidInput, Preempted, TrajectoryFailed
from mad_ray.core.keys import Keys
from mad_ray.families.gradients import step_gradients
from mad_ray.families.hardware import Precision, arithmetic, settled
from mad_ray.families.optimisers import Training
from mad_ray.families.phase import Loss, Phase
from mad_ray.families.progress import Progress, State
from mad_ray.families.rows import Rows
from mad_ray.families.team import any_of, of_first, workers, workers_line

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Loss", "Phase", "Recipe", "arrays_to_module", "initialised", "module_to_arrays", "train"]


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to train: the fields that a family's settings hand on."""

    n_steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    ema_decay: float
    micro_batches: int = 1
    precision: Precision = "tf32"
    compile: bool = False


def train(
    phases: Sequence[Phase], averaged: nn.Module, rows: Rows, recipe: Recipe, keys: Keys, progress: Progress
) -> nn.Module:
    """Train from the initial weights; returns `averaged` with the exponential moving average of its weights.

    Step s runs every phase whose turn it is, in order. Each worker computes its share of a batch's parts, whose
    gradients are added in a fixed order; so 1 and W workers give the same bits, and so does a fit that goes on from a
    checkpoint (tests/families/test_neural.py). TrajectoryFailed if weights are not finite in the end; Preempted, with
    the state saved, once a worker is about to be taken away.
    """
    with workers() as team, arithmetic(recipe.precision):
        if team.num_processes > recipe.micro_batches:
            raise InvalidInput(workers_line(team.num_processes, recipe.micro_batches))
        for module in (averaged, *(phase.module for phase in phases)):
            settled(module, team.device).train()
        training = Training(phases, averaged, recipe.learning_rate, recipe.weight_decay)
        first = training.restore(of_first(team, progress.restore() if team.is_main_process else None))
        if recipe.compile:
            for module in training.modules:
                module.compile()
        every = max(1, recipe.n_steps // 100)
        for s in range(first, recipe.n_steps):
            for phase in phases:
                for turn in phase.turns(s):
                    training.only(phase.module)
                    told = step_gradients(
                        phase,
                        training.trained(phase),
                        rows,
                        keys,
                        turn,
                        team,
                        batch_size=recipe.batch_size,
                        micro_batches=recipe.micro_batches,
                        precision=recipe.precision,
                    )
                    rate = one_cycle(s, recipe.n_steps) if phase.schedule == "one_cycle" else 1.0
                    training.step(phase, rate)
                    if phase.after is not None and told is not None:
                        phase.after(told)
            training.follow(ema_weight(s, recipe.ema_decay))
            if s + 1 < recipe.n_steps:
                _keep(team, progress, s + 1, partial(training.state, s + 1))
            if (s + 1) % every == 0:
                progress((s + 1) / recipe.n_steps)
        training.only(None)
    return _with_weights(averaged, training.average, recipe)


def _keep(team: "Accelerator", progress: Progress, n_done: int, state: Callable[[], State]) -> None:
    """Save the state if it is time to; if one of the workers is to end, now, and all of them stop at this step."""
    is_last = any_of(team, progress.is_stopping)
    if team.is_main_process:
        progress.offer(n_done, state, now=is_last)
    if is_last:
        # Whoever stops first ends the group: nobody may before the state is saved.
        team.wait_for_everyone()
        raise Preempted(f"its node is being taken away; {n_done} steps of the fit are saved")


def one_cycle(s: int, n_steps: int, warm_up: float = 0.1) -> float:
    """Share of the peak learning rate at step s: linear up over the first tenth, then a half cosine down to zero."""
    rise = max(1, round(warm_up * n_steps))
    if s < rise:
        return (s + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (s - rise + 1) / (n_steps - rise + 1)))


def ema_weight(s: int, decay: float) -> float:
    """How much of the average survives step s: min(decay, (1 + s)/(10 + s)), so that short runs forget their start."""
    return min(decay, (1 + s) / (10 + s))


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
    return {
        prefix + name: tensor.detach().cpu().contiguous().numpy().copy() for name, tensor in module.state_dict().items()
    }


def arrays_to_module(arrays: Mapping[str, np.ndarray], module: nn.Module, prefix: str = "net.") -> nn.Module:
    """Load what `module_to_arrays` wrote; every name must match."""
    state = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    module.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    return module.eval()
