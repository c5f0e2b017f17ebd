"""Made-up studies that look like real ones."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

from mad_ray.analysis.study import FLOOR_COLUMNS, TABLE_COLUMNS, CaseInfo, StudyResult
from mad_ray.core.keys import Keys

N_GENERATIONS = 6


def rows_of(
    case: str, metric: str, curve: Callable[[int], float], n_seeds: int, n_generations: int, noise: float
) -> list:
    """Long rows around a curve, with addressed noise."""
    keys = Keys(tuple(range(n_seeds)), (case, metric))
    return [
        (case, "c0", seed, t, metric, 1.0, curve(t) * float(np.exp(noise * keys.generator(seed, t).standard_normal())))
        for seed in range(n_seeds)
        for t in range(1, n_generations + 1)
    ]


def digit_strips(n_generations: int, blur: float) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """Digits that drown in noise generation by generation, uint8 [12, 1, 8, 8]."""
    real = (load_digits().images[:12] * 15.9).astype(np.uint8)[:, None]
    noise = Keys((0,)).generator(0, "strips").normal(size=real.shape)
    drawn = {t: np.clip(real + blur * t * 40 * noise, 0, 255).astype(np.uint8) for t in range(1, n_generations + 1)}
    return drawn, real


CASES = {
    "fully synthetic": (
        1.0,
        lambda t: 34 * 1.75 ** (t - 1),
        lambda t: 0.93 * 0.78 ** (t - 1),
        lambda t: 0.9 * 0.7 ** (t - 1),
    ),
    "augmented": (0.6, lambda t: 34 + 9 * (t - 1), lambda t: 0.93 - 0.02 * t, lambda t: 0.9 - 0.04 * t),
    "fresh data": (0.2, lambda t: 34 + 22 * (1 - 0.2 ** (t - 1)), lambda t: 0.9, lambda t: 0.85),
    "real data only": (0.05, lambda t: 34.0, lambda t: 0.92, lambda t: 0.88),
}


def digits_study(n_seeds: int = 3, n_generations: int = N_GENERATIONS, name: str = "Digits go MAD") -> StudyResult:
    """Four loops of one model: MAD, MAD, settled, stable."""
    rows, floors, cases = [], [], []
    for case, (blur, frechet, precision, recall) in CASES.items():
        for metric, curve in (("frechet", frechet), ("precision", precision), ("recall", recall)):
            rows += rows_of(case, metric, curve, n_seeds, n_generations, 0.02)
        rows += rows_of(case, "coverage", lambda t, recall=recall: 0.95 * recall(t), n_seeds, n_generations, 0.02)
        floors += [(case, "frechet", 10.6), (case, "precision", 0.95), (case, "recall", 0.94)]
        strips, real = digit_strips(n_generations, blur)
        cases.append(info(case, n_seeds, n_generations, strips={0: strips}, real_strip=real))
    return study(rows, floors, cases, name)


def info(case: str, n_seeds: int, n_generations: int, **rest) -> CaseInfo:
    """A finished case, but for what `rest` says."""
    fields = dict(  # noqa: C408
        case=case,
        group="ddpm on digits",
        description=f"ddpm on digits, {case}, lambda = 1",
        n_generations=n_generations,
        n_seeds=n_seeds,
        n_done=n_seeds * n_generations,
        seconds={"fit": 190.4, "sample": 35.2, "measure": 2.1},
    )
    return CaseInfo(**{**fields, **rest})


def study(rows: list, floors: list, cases: list[CaseInfo], name: str = "a study") -> StudyResult:
    return StudyResult(
        name=name,
        identity={"study": {"loop": {"kind": "fully_synthetic", "n_initial": 1200}, "seeds": 3}},
        table=pd.DataFrame(rows, columns=list(TABLE_COLUMNS)),
        floors=pd.DataFrame(floors, columns=list(FLOOR_COLUMNS)),
        cases=cases,
        provenance={"mad_ray": "0.1.0", "packages": {"numpy": "2.3"}, "devices": ["cpu"], "seconds": {"fit": 760.0}},
    )
