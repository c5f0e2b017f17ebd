"""Training and sampling through the engine against a plain PyTorch + diffusers loop on the same network, in one run.

    OMP_NUM_THREADS=1 python benchmarks/ddpm.py [repeats]

Ours is what a study does: D^t opened as a stream, fitted, the model in the store, samples drawn, encoded and written.
Prints images per second of CPU time (one thread; medians over interleaved repeats) and the ratio ours / plain; the
goal is 0.95 or more.
"""

import sys
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from comparing import compare

from mad_ray.core.keys import Keys
from mad_ray.core.loop import compose, fully_synthetic
from mad_ray.core.samples import Samples
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.data import Digits
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.publish import PublishJob
from mad_ray.engine.runtime import FitJob, silent
from mad_ray.engine.stream import TrainingSet
from mad_ray.engine.threads import fix_threads
from mad_ray.families.ddpm import DDPM
from mad_ray.families.family import Model
from mad_ray.families.neural import arrays_to_module
from mad_ray.families.unet import build_unet
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.local import LocalStore
from mad_ray.ledger.tensors import encode_tensors
from mad_ray.metrics.measure import Metrics

FAMILY = DDPM(n_steps=30)
N_SAMPLES = 512


METRICS = Metrics(features="identity", n=6, names=("frechet",))
"""As little measuring as can be asked for: the plain loop does none."""


class Engine:
    """Generation 1 of a digits trajectory on a directory store: the fit and the publication that a study runs."""

    def __init__(self, folder: str) -> None:
        self.store, self.runtime = LocalStore(folder), LocalRuntime()

    def cohort(self, bias: float) -> Cohort:
        loop = fully_synthetic(n_initial=1200, n_synthetic=N_SAMPLES, bias=bias)
        return Cohort((Trajectory(Digits(), FAMILY, loop, METRICS, n_generations=2, seed=0),))

    def fit(self) -> Model:
        cohort = self.cohort(1.0)
        data = TrainingSet(Digits(), cohort.keys.at("real"), compose(cohort.head.loop, 1), {})
        return self.runtime.fit(FitJob(cohort, 1, data, "benchmark"), silent).model

    def publisher(self, model: Model, bias: float) -> Callable[[], object]:
        """Sample, encode, write to disk."""
        cohort = self.cohort(bias)
        prefix = cohort.attempt_prefix(1, "benchmark")
        blob = Ledger(self.store, cohort).put_blob(
            prefix, "models.safetensors", encode_tensors({f"1/{name}": array for name, array in model.items()})
        )
        job = PublishJob(self.store, cohort, 1, prefix, blob, N_SAMPLES)
        return lambda: self.runtime.publish(job, silent)


def network() -> torch.nn.Module:
    return build_unet(n_image_channels=1, n_classes=10, channels=FAMILY.channels, layers_per_block=1, attention=False)


def plain_fit(data: Samples) -> torch.nn.Module:
    """The loop of diffusers' unconditional training example, with labels dropped and an average of the weights."""
    from diffusers import DDPMScheduler
    from diffusers.training_utils import EMAModel

    net = network()
    scheduler: Any = DDPMScheduler(FAMILY.T, beta_schedule=FAMILY.schedule)
    optimizer = torch.optim.AdamW(net.parameters(), FAMILY.learning_rate, weight_decay=FAMILY.weight_decay, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, FAMILY.learning_rate, total_steps=FAMILY.n_steps)
    average = EMAModel(net.parameters(), FAMILY.ema_decay, foreach=True)
    x = torch.from_numpy(data.x[0]).float() / 127.5 - 1
    label = torch.from_numpy(data.label[0]).long()
    for _ in range(FAMILY.n_steps):
        rows = torch.randint(len(x), (FAMILY.batch_size,))
        noise, t = torch.randn(FAMILY.batch_size, *x.shape[1:]), torch.randint(FAMILY.T, (FAMILY.batch_size,))
        dropped = torch.rand(FAMILY.batch_size) < FAMILY.condition_dropout
        noisy = scheduler.add_noise(x[rows], noise, t)
        loss = torch.nn.functional.mse_loss(net(noisy, t, torch.where(dropped, 10, label[rows])).sample, noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        cycle.step()
        average.step(net.parameters())
    average.copy_to(net.parameters())
    return net


@torch.inference_mode()
def plain_sample(net: torch.nn.Module, bias: float) -> torch.Tensor:
    """DDIM with classifier-free guidance, batch after batch."""
    from diffusers import DDIMScheduler

    scheduler: Any = DDIMScheduler(FAMILY.T, beta_schedule=FAMILY.schedule)
    w, images = (1 - bias) / bias, []
    for first in range(0, N_SAMPLES, FAMILY.chunk):
        scheduler.set_timesteps(FAMILY.sampler_steps)
        x, label = torch.randn(FAMILY.chunk, 1, 8, 8), torch.arange(first, first + FAMILY.chunk) % 10
        for t in scheduler.timesteps:
            if w:
                both = net(torch.cat([x, x]), t, torch.cat([label, torch.full_like(label, 10)])).sample.chunk(2)
                eps = (1 + w) * both[0] - w * both[1]
            else:
                eps = net(x, t, label).sample
            x = scheduler.step(eps, t, x).prev_sample
        images.append((x * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8))
    return torch.cat(images)


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    fix_threads(1)
    data = Digits().rows(0, 1200, Keys((0,)))
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(folder)
        model = engine.fit()
        net = arrays_to_module(model, network())
        compare("training", FAMILY.n_steps * FAMILY.batch_size, engine.fit, lambda: plain_fit(data), repeats)
        for bias in (1.0, 0.5):
            ours = engine.publisher(model, bias)
            compare(f"sampling, lambda = {bias}", N_SAMPLES, ours, lambda bias=bias: plain_sample(net, bias), repeats)


if __name__ == "__main__":
    main()
