"""scikit-learn's 1,797 real 8x8 handwritten digits (UCI optical recognition): embedded, nothing to download."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.settings import STRICT
from mad_ray.data.source import Table, TableSource

N_HELD_OUT = 597


@dataclass(frozen=True)
class Digits(TableSource):
    """1,797 real 8x8 grey digits of 10 classes, from scikit-learn: 1,200 to train on, 597 held out."""

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "digits"

    def _load(self) -> Table:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        # 17 grey levels, 0..16, spread over a byte.
        x = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
        label = bunch.target.astype(np.int32)
        # The file is ordered by writer; a fixed shuffle gives both parts the same distribution.
        order = Keys((0,)).at("digits", "split").generator(0).permutation(len(x))
        kept, held = order[N_HELD_OUT:], order[:N_HELD_OUT]
        return Table(x[kept], label[kept], x[held], label[held])
