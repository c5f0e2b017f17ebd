"""Measured values: what is stored is what was measured."""

import pytest

from mad_ray.core.values import MetricRow, decode_rows, encode_rows


def row(generation: int, seed: int, metric: str, value: float | None, bias: float = 1.0) -> MetricRow:
    return {"generation": generation, "seed": seed, "metric": metric, "bias": bias, "value": value}


def test_rows_come_back() -> None:
    rows = [
        row(t, seed, metric, None if (t, seed) == (3, 7) else t + seed / 3, bias)
        for t in (1, 3, 4)
        for metric, bias in (("w2_squared", 1.0), ("frechet", 0.5))
        for seed in (7, 2)
    ]
    found = list(decode_rows(encode_rows(rows)))
    order = lambda one: (one["metric"], one["bias"], one["generation"], one["seed"])  # noqa: E731
    assert sorted(found, key=order) == sorted(rows, key=order)


def test_no_rows_at_all() -> None:
    assert list(decode_rows(encode_rows([]))) == []


def test_many_generations_stay_small() -> None:
    rows = [row(t, seed, "w2_squared", 0.123456789012345) for t in range(1, 201) for seed in range(8)]
    assert len(encode_rows(rows)) < 25 * len(rows), "names would be four times as much as numbers"


def test_a_missing_value_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(KeyError):
        encode_rows([row(1, 0, "a", 1.0), row(2, 1, "a", 2.0)])
