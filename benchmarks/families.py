"""Every family of networks through the engine against a plain PyTorch loop on the same networks, in one run.

    OMP_NUM_THREADS=1 python benchmarks/families.py [repeats] [family ...]

Ours is what a study does: D^t opened as a stream, fitted with addressed randomness, the model in the store, samples
drawn from their own streams, encoded and written. Plain: batches from one global generator, the same losses and
optimisers, samples from one stream, kept in a compressed NumPy file. The goal is 0.95 or more. On CUDA it also prints
peak memory.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from comparing import compare
from torch import nn

from mad_ray.core.keys import Keys
from mad_ray.core.loop import compose, fully_synthetic
from mad_ray.core.samples import Samples
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.data import SOURCES, Digits
from mad_ray.data.source import Table
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.publish import PublishJob
from mad_ray.engine.runtime import FitJob, silent
from mad_ray.engine.stream import TrainingSet
from mad_ray.engine.threads import fix_threads
from mad_ray.families import FAMILIES
from mad_ray.families.network import Network
from mad_ray.families.neural import one_cycle
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.local import LocalStore
from mad_ray.ledger.tensors import encode_tensors
from mad_ray.metrics.measure import Metrics

N_ROWS = 1200
METRICS = Metrics(features="identity", n=6, names=("frechet",))
"""As little measuring as can be asked for: the plain loop does none."""
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddpm": ("digits", {"n_steps": 30}),
    "flow_matching": ("digits", {"n_steps": 30}),
    "dit": ("digits", {"n_steps": 30}),
    "vae": ("digits28", {"n_steps": 80}),
    "wgan_gp": ("digits28", {"n_steps": 30}),
    "stylegan2": ("digits", {"n_steps": 16}),
    "flow": ("rosenbrock", {"n_steps": 300, "epochs": 0}),
    "lm": ("language", {"n_steps": 80}),
}
"""family -> data, and settings that make a fit of seconds; sizes of networks are the defaults."""
N_SAMPLES = {"ddpm": 512, "flow_matching": 512, "dit": 512, "lm": 512, "vae": 2048, "wgan_gp": 2048}
"""Those of the others, which take microseconds each, are 8,192."""


@dataclass(frozen=True)
class Digits28(Digits):
    """The digits at MNIST's 28x28, three times as large and with a margin: on 8x8 two of the families take no time."""

    name: ClassVar[str] = "digits28"

    def _load(self) -> Table:
        table = super()._load()
        return replace(table, x=enlarged(table.x), held_out_x=enlarged(table.held_out_x))


def enlarged(x: np.ndarray) -> np.ndarray:
    """[n, 1, 8, 8] -> [n, 1, 28, 28]."""
    return np.pad(x.repeat(3, axis=2).repeat(3, axis=3), ((0, 0), (0, 0), (2, 2), (2, 2)))


class Ours:
    """Generation 1 of a trajectory on a directory store: the fit and the publication that a study runs."""

    def __init__(self, folder: str, family: Network, data: Any) -> None:
        self.store, self.runtime = LocalStore(folder), LocalRuntime()
        self.n = N_SAMPLES.get(family.name, 8192)
        loop = fully_synthetic(n_initial=N_ROWS, n_synthetic=self.n)
        self.cohort = Cohort((Trajectory(data, family, loop, METRICS, n_generations=2, seed=0),))

    def fit(self) -> dict[str, np.ndarray]:
        cohort = self.cohort
        data = TrainingSet(cohort.head.data, cohort.keys.at("real"), compose(cohort.head.loop, 1), {})
        return self.runtime.fit(FitJob(cohort, 1, data, "benchmark"), silent).model

    def publisher(self, model: dict[str, np.ndarray]) -> Callable[[], object]:
        """Sample, encode, write to disk."""
        prefix = self.cohort.attempt_prefix(1, "benchmark")
        blob = Ledger(self.store, self.cohort).put_blob(
            prefix, "models.safetensors", encode_tensors({f"1/{name}": array for name, array in model.items()})
        )
        job = PublishJob(self.store, self.cohort, 1, prefix, blob, self.n)
        return lambda: self.runtime.publish(job, silent)


def plain_fit(family: Network, event: Any, rows: Samples, device: torch.device) -> nn.Module:
    """The loop that everybody writes."""
    keys = Keys((0,))
    net = family.build(event)
    x, label = torch.from_numpy(rows.x[0]), torch.from_numpy(rows.label[0]).long()
    begin_on(family, net, x, label, keys)
    phases = family.phases(net.to(device), event, keys)
    optimisers: dict[int, torch.optim.Optimizer] = {}
    for phase in phases:
        module, rate = phase.module.to(device).train(), phase.learning_rate or family.learning_rate
        if id(module) not in optimisers:
            optimisers[id(module)] = torch.optim.AdamW(
                module.parameters(), rate, betas=phase.betas, weight_decay=family.weight_decay, fused=True
            )
    average = [parameter.detach().clone() for parameter in net.parameters()]
    generator = torch.Generator().manual_seed(0)
    modules = {id(phase.module): phase.module for phase in phases}
    for s in range(family.n_steps):
        for phase in phases:
            for _ in phase.turns(s):
                if len(modules) > 1:
                    for other in modules.values():
                        other.requires_grad_(other is phase.module)
                chosen = torch.randint(len(x), (family.batch_size,), generator=generator)
                found = phase.loss(phase.module, x[chosen].to(device), label[chosen].to(device), generator)
                loss, told = found if isinstance(found, tuple) else (found, None)
                optimiser = optimisers[id(phase.module)]
                optimiser.zero_grad()
                loss.backward()
                if phase.max_grad_norm > 0:
                    nn.utils.clip_grad_norm_(phase.module.parameters(), phase.max_grad_norm)
                share = one_cycle(s, family.n_steps) if phase.schedule == "one_cycle" else 1.0
                for group in optimiser.param_groups:
                    group["lr"] = (phase.learning_rate or family.learning_rate) * share
                optimiser.step()
                if phase.after is not None and told is not None:
                    phase.after(told.detach())
        with torch.no_grad():
            torch._foreach_lerp_(average, [p.detach() for p in net.parameters()], 1 - family.ema_decay)
    return net.eval()


def begin_on(family: Network, net: nn.Module, x: torch.Tensor, label: torch.Tensor, keys: Keys) -> None:
    """What depends on the data before training (ActNorm of the flow)."""
    from mad_ray.families.rows import Rows

    family.begin(net, Rows(x, label, None), keys)


class OneStream(Keys):
    """All numbers from one generator, whoever asks."""

    shared = np.random.default_rng(0)

    def generator(self, b: int, *index: str | int) -> np.random.Generator:
        return self.shared


@torch.inference_mode()
def plain_sample(family: Network, event: Any, net: nn.Module, n: int, folder: str) -> None:
    """Kept as others keep theirs: one compressed NumPy file."""
    keys = OneStream((0,))
    chunks = [family.draw_chunk(net, event, first, 1.0, keys) for first in range(0, n, family.chunk)]
    np.savez_compressed(f"{folder}/plain.npz", x=np.concatenate(chunks)[:n])


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    fix_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for name in sys.argv[2:] or CASES:
        source, settings = CASES[name]
        family, data = FAMILIES[name](**settings), (SOURCES | {"digits28": Digits28})[source]()
        rows = data.rows(0, N_ROWS, Keys((0,)))
        with tempfile.TemporaryDirectory() as folder:
            ours = Ours(folder, family, data)
            model = ours.fit()
            net = plain_fit(family, data.event, rows, device)
            n = family.n_steps * family.batch_size
            plain = partial(plain_fit, family, data.event, rows, device)
            compare(f"{name}: training", n, ours.fit, plain, repeats)
            sampler = partial(plain_sample, family, data.event, net, ours.n, folder)
            compare(f"{name}: sampling", ours.n, ours.publisher(model), sampler, repeats)
            if device.type == "cuda":
                print(f"{name}: peak GPU memory {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
