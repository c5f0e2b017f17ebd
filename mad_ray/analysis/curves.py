"""One metric of one case as an array: seeds by generations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mad_ray.analysis.names import in_order, is_of_class
from mad_ray.analysis.study import StudyResult


@dataclass(frozen=True)
class Curves:
    """generations [T], ascending; values [n_seeds, T], NaN where not measured; floor: real against real, or NaN."""

    metric: str
    generations: np.ndarray
    values: np.ndarray
    floor: float = float("nan")
    bias: float = 1.0

    @property
    def n_seeds(self) -> int:
        return len(self.values)

    @property
    def n_generations(self) -> int:
        return len(self.generations)

    @property
    def median(self) -> np.ndarray:
        """Median over the seeds that have got there, [T]."""
        return np.nanmedian(self.values, axis=0)

    def shared(self) -> "Curves":
        """Up to the last generation that at least half of the seeds have reached."""
        reached = np.isfinite(self.values).sum(axis=0) * 2 >= self.n_seeds
        stop = int(np.max(np.nonzero(reached)[0], initial=0)) + 1
        return replace(self, generations=self.generations[:stop], values=self.values[:, :stop])

    def select(self, generations: np.ndarray) -> "Curves":
        """The same seeds at these generations, NaN where this metric was not measured."""
        values = np.full((self.n_seeds, len(generations)), np.nan)
        _, here, there = np.intersect1d(generations, self.generations, return_indices=True)
        values[:, here] = self.values[:, there]
        return replace(self, generations=generations, values=values)


def metrics_of(result: StudyResult, cases: Sequence[str]) -> list[str]:
    """The metrics measured for any of these cases, in reading order; those of single classes are left out."""
    rows = result.table[result.table["case"].isin(list(cases))]
    return in_order({metric for metric in rows["metric"].unique() if not is_of_class(metric)})


def study_curves(result: StudyResult, case: str, metric: str) -> Curves | None:
    """The curves of what the case published; None where nothing was measured.

    A metric may have been measured at several biases: lambda, at which samples were published, and 1, the model itself.
    Since lambda <= 1, the smallest is the published one.
    """
    table = result.table
    rows = table[(table["case"] == case) & (table["metric"] == metric)].dropna(subset=["value"])
    if rows.empty:
        return None
    bias = rows["bias"].min()
    grid = _to_grid(rows if np.isnan(bias) else rows[rows["bias"] == bias])
    generations = grid.columns.to_numpy(dtype=int)
    return Curves(metric, generations, grid.to_numpy(dtype=float), study_floor(result, case, metric), float(bias))


def _to_grid(rows: pd.DataFrame) -> pd.DataFrame:
    grid = rows.pivot_table(index=["cohort", "seed"], columns="generation", values="value", aggfunc="first")
    return grid.sort_index(axis=0).sort_index(axis=1)


def study_floor(result: StudyResult, case: str, metric: str) -> float:
    """Real against real for this case and metric; NaN where it was not measured."""
    floors = result.floors
    if floors.empty:
        return float("nan")
    found = floors[(floors["case"] == case) & (floors["metric"] == metric)]["value"]
    return float(found.iloc[0]) if len(found) else float("nan")


def first_curves(result: StudyResult, case: str, metrics: Sequence[str]) -> Curves | None:
    """The curves of the first of these metrics that was measured."""
    for metric in metrics:
        curves = study_curves(result, case, metric)
        if curves is not None:
            return curves
    return None
