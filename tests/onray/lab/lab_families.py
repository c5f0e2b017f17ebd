"""A family for tests of the Ray edge: cheap, slow on request, wrong on request. Workers import it by name."""

import os
import signal
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.rows import addressed_normal
from mad_ray.core.samples import Samples
from mad_ray.core.settings import STRICT
from mad_ray.families import Gaussian


@dataclass(frozen=True)
class Lab:
    """A Gaussian that stores its samples, sleeps, and notes how many threads its processes have."""

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "lab"
    max_cohort: ClassVar[int] = 1
    redraw: ClassVar[bool] = False
    distributed: ClassVar[bool] = True
    span: ClassVar[int] = 1

    chunk: int = 64
    fit_s: float = 0.0
    shard_s: float = 0.0
    fails: str = ""
    takes_mib: int = 0

    def check(self, *_: Any) -> None:
        """Anything goes."""

    def fit(self, data: Any, keys: Keys, progress: Any) -> dict[str, np.ndarray]:
        import torch

        time.sleep(self.fit_s)
        self._fail("fit")
        torch.ones(self.takes_mib << 18).sum()
        moments = data.moments()
        threads = np.array([torch.get_num_threads()])
        return {"mean": moments.mean, "root": np.linalg.cholesky(moments.covariance), "threads": threads}

    def sample(self, model: Any, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        import torch

        time.sleep(self.shard_s)
        self._fail("sample")
        z = addressed_normal(keys, start, stop, model["mean"].shape[1])
        x = model["mean"][:, None] + z @ model["root"].transpose(0, 2, 1)
        return Samples(x, np.full(x.shape[:2], torch.get_num_threads(), np.int32), np.ones(x.shape[:2], np.float32))

    def _fail(self, stage: str) -> None:
        if self.fails != stage:
            return
        with open(f"{os.environ['LAB_TRIES']}-{stage}", "a") as file:
            file.write(f"{os.getpid()}\n")
        raise ValueError(f"this {stage} cannot be\ncomputed")


@dataclass(frozen=True)
class Deadly(Gaussian):
    """A Gaussian, cheap enough to share a trial with others, whose fit takes the whole process with it."""

    name: ClassVar[str] = "deadly"
    kills: bool = False

    def fit(self, data: Any, keys: Keys, progress: Any) -> dict[str, np.ndarray]:
        if self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(data, keys, progress)
