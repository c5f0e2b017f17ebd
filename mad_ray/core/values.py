"""Measured values: rows in memory, columns in the store (thousands of generations of many seeds stay small)."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from mad_ray.core.fingerprint import canonical_json

MetricRow = dict[str, Any]
"""generation, seed, metric, bias (lambda at which it was measured), value (None where it is not finite)."""


def metric_row(t: int, seed: int, metric: str, bias: float, value: float) -> MetricRow:
    """One measured value."""
    finite = float(value) if math.isfinite(value) else None
    return {"generation": t, "seed": seed, "metric": metric, "bias": float(bias), "value": finite}


def encode_rows(rows: Sequence[MetricRow]) -> bytes:
    """Rows -> JSON: per metric and bias the generations [T], the seeds [B] and the values [T][B]."""
    groups: dict[tuple[str, float], list[MetricRow]] = {}
    for row in rows:
        groups.setdefault((row["metric"], row["bias"]), []).append(row)
    return canonical_json([_columns(metric, bias, of) for (metric, bias), of in groups.items()])


def decode_rows(data: bytes) -> Iterator[MetricRow]:
    """The inverse: metric by metric, generation by generation, seed by seed."""
    for group in json.loads(data):
        for generation, values in zip(group["generations"], group["values"], strict=True):
            for seed, value in zip(group["seeds"], values, strict=True):
                yield {
                    "generation": generation,
                    "seed": seed,
                    "metric": group["metric"],
                    "bias": group["bias"],
                    "value": value,
                }


def _columns(metric: str, bias: float, rows: Sequence[MetricRow]) -> dict[str, Any]:
    generations = list(dict.fromkeys(row["generation"] for row in rows))
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    of = {(row["generation"], row["seed"]): row["value"] for row in rows}
    return {
        "metric": metric,
        "bias": bias,
        "generations": generations,
        "seeds": seeds,
        "values": [[of[t, seed] for seed in seeds] for t in generations],
    }
