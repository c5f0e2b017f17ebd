"""StyleGAN2 learns: on 16x16 MNIST its FID (LeNet features) goes on falling for 20 minutes of one CPU.

Seen on a busy machine, floor 1.3: FID 411 after 1 minute, 242 after 5, 95 after 10, 12.7 after 20 (7,643 steps).

MAD_RAY_MNIST=folder-of-the-idx-files python -m pytest -s tests/families/test_stylegan2_slow.py
"""

import os
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments, rows_to_moments
from mad_ray.core.samples import Event, Samples
from mad_ray.data import Mnist
from mad_ray.families.family import Model
from mad_ray.families.network import event_to_arrays
from mad_ray.families.neural import initialised, module_to_arrays
from mad_ray.families.progress import Progress, State
from mad_ray.families.stylegan2 import StyleGAN2
from mad_ray.metrics.frechet import moments_to_frechet
from mad_ray.metrics.lenet import LeNet, train_lenet
from tests.families.in_memory import InMemory

MINUTES = (1, 5, 10, 20)
"""Of CPU time in training, at which the FID is measured; it must fall from each to the next."""
EVENT = Event((1, 16, 16), "uint8")
FAMILY = StyleGAN2(n_steps=10**6, batch_size=32, ema_decay=0.998)
KEYS = Keys((0,))
N = 5000


class Enough(Exception):
    """The last mark is reached."""


class Marks:
    """Checkpoints at marks of CPU time: instead of saving the state, it tells it to `look`, off the clock."""

    def __init__(self, look: Callable[[float, int, State], None]) -> None:
        self.look, self.left, self.start = look, list(MINUTES), time.process_time()

    def load(self) -> None:
        return None

    def is_due(self, n_done: int) -> bool:
        return time.process_time() - self.start >= 60 * self.left[0]

    def save(self, n_done: int, state: State) -> None:
        now = time.process_time()
        self.look(self.left.pop(0), n_done, state)
        self.start += time.process_time() - now
        if not self.left:
            raise Enough


def halved(x: np.ndarray) -> np.ndarray:
    """[n, 1, 28, 28] -> [n, 1, 16, 16]: two pixels of border, then means of 2x2."""
    wide = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2))).astype(np.float64)
    return np.rint(wide.reshape(len(x), 1, 16, 2, 16, 2).mean(axis=(3, 5))).astype(np.uint8)


def state_to_model(state: State) -> Model:
    """The model that a fit would give if it ended here."""
    net = initialised(lambda: FAMILY.build(EVENT), 0)
    with torch.no_grad():
        for i, parameter in enumerate(net.parameters()):
            parameter.copy_(torch.tensor(state[f"average.{i}"]))
    return {**module_to_arrays(net), **event_to_arrays(EVENT)}


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@pytest.mark.skipif("MAD_RAY_MNIST" not in os.environ, reason="MAD_RAY_MNIST: folder of MNIST's idx files")
def test_fid_falls_for_twenty_minutes() -> None:
    torch.set_num_threads(1)
    rows = Mnist(path=os.environ["MAD_RAY_MNIST"]).rows(0, 60_000, KEYS)
    x, label = halved(rows.x[0]), rows.label[0]
    features = LeNet(train_lenet(x[:20_000], label[:20_000], 10, KEYS.at("lenet")))

    def moments(images: np.ndarray) -> Moments:
        return rows_to_moments(features(images)[None].astype(np.float64), np.ones((1, len(images)), np.float32))

    real, seen = moments(x[-N:]), []
    print(f"floor {float(moments_to_frechet(real=real, synthetic=moments(x[:N]))[0]):.2f}")

    def look(minutes: float, n_done: int, state: State) -> None:
        drawn = FAMILY.sample(state_to_model(state), 0, N, 1.0, KEYS.at("sample")).x[0]
        seen.append(float(moments_to_frechet(real=real, synthetic=moments(drawn))[0]))
        print(f"{minutes} min, {n_done} steps: FID {seen[-1]:.2f}", flush=True)

    with pytest.raises(Enough):
        FAMILY.fit(InMemory(Samples.of(x[None])), KEYS.at("fit"), Progress(checkpoints=Marks(look)))
    assert len(seen) == len(MINUTES)
    assert all(later < earlier for earlier, later in pairwise(seen)), seen
