"""DDPM.fit and DDPM.sample against a plain loop of PyTorch and diffusers on the same network, in one run.

    OMP_NUM_THREADS=1 python benchmarks/ddpm.py [repeats]

Prints images per second of CPU time (one thread; medians over interleaved repeats) and the ratio ours / plain; the
goal is 0.95 or more.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments, rows_to_moments
from mad_ray.core.samples import Event, Samples
from mad_ray.families.ddpm import DDPM
from mad_ray.families.family import Model
from mad_ray.families.neural import arrays_to_module
from mad_ray.families.unet import build_unet

FAMILY = DDPM(n_steps=30)
N_SAMPLES = 512


class Digits:
    """scikit-learn's digits as a stream in memory."""

    event = Event((1, 8, 8), "uint8", 10)

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        x = np.rint(bunch.images[:1200, None] * (255 / 16)).astype(np.uint8)
        self.samples, self.n = Samples.of(x[None], bunch.target[None, :1200]), len(x)

    def batches(self, size: int) -> Iterator[Samples]:
        for start in range(0, self.n, size):
            yield self.samples.rows(start, min(self.n, start + size))

    def moments(self) -> Moments:
        return rows_to_moments(self.samples.x, self.samples.weight)


def network() -> torch.nn.Module:
    return build_unet(n_image_channels=1, n_classes=10, channels=FAMILY.channels, layers_per_block=1, attention=False)


def plain_fit(data: Digits) -> torch.nn.Module:
    """The loop of diffusers' unconditional training example, with labels dropped and an average of the weights."""
    from diffusers import DDPMScheduler
    from diffusers.training_utils import EMAModel

    net = network()
    scheduler: Any = DDPMScheduler(FAMILY.T, beta_schedule=FAMILY.schedule)
    optimizer = torch.optim.AdamW(net.parameters(), FAMILY.learning_rate, weight_decay=FAMILY.weight_decay, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, FAMILY.learning_rate, total_steps=FAMILY.n_steps)
    average = EMAModel(net.parameters(), FAMILY.ema_decay, foreach=True)
    x = torch.from_numpy(data.samples.x[0]).float() / 127.5 - 1
    label = torch.from_numpy(data.samples.label[0]).long()
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


def compare(name: str, n_images: int, ours: Callable[[], object], plain: Callable[[], object], repeats: int) -> None:
    """One warm-up each, then in turn."""
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for k in range(repeats + 1):
        for side, run in (("ours", ours), ("plain", plain)):
            start = time.process_time()
            run()
            if k > 0:
                seconds[side].append(time.process_time() - start)
    rate = {side: n_images / statistics.median(times) for side, times in seconds.items()}
    line = f"ours {rate['ours']:8.1f} images/s   plain {rate['plain']:8.1f} images/s"
    print(f"{name:22} {line}   ratio {rate['ours'] / rate['plain']:.3f}")


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    torch.set_num_threads(1)
    data, keys = Digits(), Keys((0,))

    def fit() -> Model:
        return FAMILY.fit(data, keys.at("fit", 1), lambda share: None)

    model = fit()
    net = arrays_to_module(model, network())
    compare("training", FAMILY.n_steps * FAMILY.batch_size, fit, lambda: plain_fit(data), repeats)
    for bias in (1.0, 0.5):
        compare(
            f"sampling, lambda = {bias}",
            N_SAMPLES,
            lambda bias=bias: FAMILY.sample(model, 0, N_SAMPLES, bias, keys),  # type: ignore[misc]
            lambda bias=bias: plain_sample(net, bias),  # type: ignore[misc]
            repeats,
        )


if __name__ == "__main__":
    main()
