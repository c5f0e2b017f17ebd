"""A cell's measured values, judged by its stopping rule. The same for who computes the cell and who reads it."""

from collections.abc import Iterable, Sequence

import numpy as np

from mad_ray.core.loop import Loop
from mad_ray.core.stopping import Judgement, Limit, judge, loop_memory
from mad_ray.core.values import MetricRow

Point = tuple[float | None, float, float | None]
"""(panel, x, y) of a cell on its map; None where the study has no such axis."""


def judge_rows(rows: Iterable[MetricRow], seeds: Sequence[int], loop: Loop, limit: Limit) -> Judgement:
    """What the rule says of the rows of its metric."""
    wanted = [row for row in rows if row["metric"] == limit.metric]
    return judge(*series(wanted, seeds), limit, loop_memory(loop))


def series(rows: Iterable[MetricRow], seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of one metric -> generations [T] and values [B, T], NaN where a value is not finite."""
    of = {(row["generation"], row["seed"]): row["value"] for row in rows}
    generations = sorted({t for t, _ in of})
    values = [[of.get((t, seed)) for t in generations] for seed in seeds]
    return np.array(generations, dtype=int), np.array(values, dtype=float).reshape(len(seeds), len(generations))
