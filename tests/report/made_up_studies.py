"""Made-up studies that look like real ones."""

from collections.abc import Callable
from dataclasses import replace

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


def grid_points(n: int, seed: int, alive: float = 1.0, spread: float = 0.05) -> np.ndarray:
    """Samples [n, 2] of a 5x5 grid of modes, of which a share is alive."""
    random = Keys((0,)).generator(0, f"points {seed} {alive:g}")
    centres = np.stack(np.meshgrid(np.arange(-2.0, 3), np.arange(-2.0, 3)), -1).reshape(-1, 2)
    chosen = centres[random.permutation(25)[: max(1, round(25 * alive))]]
    return chosen[random.integers(len(chosen), size=n)] + spread * random.standard_normal((n, 2))


def modes_study(n_seeds: int = 32) -> StudyResult:
    """The paper's figures 14 and 15: 25 modes that die one after another, measured ever more sparsely."""
    generations = sorted({round(t) for t in np.geomspace(1, 2000, 45)})
    curves = {
        "total_variance": lambda t: 2.0 * np.exp(-t / 9000),
        "modal_variance": lambda t: 0.0025 * np.exp(-t / 300),
        "modes_alive": lambda t: 25 * np.exp(-t / 900),
        "recall": lambda t: 0.95 * np.exp(-t / 800),
        "frechet": lambda t: 0.01 + t / 2000,
    }
    rows = [
        row
        for metric, curve in curves.items()
        for row in rows_of("fully synthetic", metric, curve, n_seeds, 2000, 0.1)
        if row[3] in generations
    ]
    snapshots = {
        seed: {t: grid_points(500, seed, alive) for t, alive in ((1, 1.0), (200, 0.7), (2000, 0.2))} for seed in (0, 1)
    }
    case = info("fully synthetic", n_seeds, 2000, group="gmm on modes", snapshots=snapshots)
    return study(rows, [], [replace(case, real_points=grid_points(500, 9))], "figure-15")


def starts_study() -> StudyResult:
    """The paper's figure 10: two starts, two biases; the limits of a bias meet."""
    rows, cases = [], []
    for n_initial, first in ((100, 31.8), (1000, 2.66)):
        for bias, limit in ((1.0, 12.3), (0.8, 20.6)):
            name = f"n_ini = {n_initial:,}, lambda = {bias:g}"
            rows += rows_of(name, "w2_squared", lambda t, a=first, b=limit: b + (a - b) * 0.6 ** (t - 1), 32, 20, 0.04)
            cases.append(info(name, 32, 20, group="gaussian on gaussian"))
    return study(rows, [], cases, "figure-10")
