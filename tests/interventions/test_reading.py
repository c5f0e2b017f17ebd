"""How interventions see D^t: evenly taken rows, vectors of all kinds of samples, and their principal components."""

import numpy as np
import pytest

from mad_ray.core.errors import TrajectoryFailed
from mad_ray.core.samples import Event, Samples
from mad_ray.data.analytic import GaussianData
from mad_ray.interventions.coordinates import as_vectors, n_dimensions, n_symbols_of, principal_axes, project
from mad_ray.interventions.learnt_detector import LearntDetector
from mad_ray.interventions.reading import BATCH, evenly, per_row
from mad_ray.interventions.reweighting import factors, log_scale
from tests.interventions.lessons import RowsAtHand, SmallLesson


def numbered(n, weight=None):
    x = np.stack([np.arange(n), 10_000 + np.arange(n)]).astype(float)[:, :, None]
    return RowsAtHand(Event((1,), "float64"), Samples.of(x, weight=weight))


@pytest.mark.parametrize("n", [1, 3, 7, BATCH + 3])
def test_rows_are_taken_evenly(n):
    rows = numbered(2 * BATCH + 5)
    for b, taken in enumerate(evenly(rows, n)):
        expected = np.arange(n) * (2 * BATCH + 5) // n
        assert np.array_equal(taken.x[:, 0], 10_000 * b + expected)


def test_rows_without_weight_are_not_taken():
    weight = np.ones((2, 50), np.float32)
    weight[0, ::2] = 0
    weight[1, 10:] = 0
    first, second = evenly(numbered(50, weight), 20)
    assert np.array_equal(first.x[:, 0] % 2, np.ones(20))
    assert np.array_equal(second.x[:, 0], 10_000 + np.arange(10))
    assert (second.weight == 1).all()


def test_a_trajectory_without_weight_fails():
    weight = np.ones((2, 5), np.float32)
    weight[1] = 0
    with pytest.raises(TrajectoryFailed, match="5 rows, none of positive weight"):
        evenly(numbered(5, weight), 3)


def test_a_row_that_is_not_finite_fails():
    rows = numbered(5)
    rows.samples.x[1, 2] = np.nan
    with pytest.raises(TrajectoryFailed, match="not finite"):
        evenly(rows, 5)


def test_published_rows_that_are_not_finite_fail_the_detector():
    data = GaussianData(d=2)
    known = Samples.of(np.full((1, 50, 2), np.inf))
    with pytest.raises(TrajectoryFailed, match=r"interventions\.learnt_detector"), np.errstate(invalid="ignore"):
        LearntDetector(n_real=100, n_steps=2).learn(SmallLesson(data, known=known))


def test_numbers_of_all_rows_in_order():
    values, weight = per_row(numbered(2 * BATCH + 5), lambda batch: batch.x[:, :, 0])
    assert np.array_equal(values[1], 10_000 + np.arange(2 * BATCH + 5))
    assert weight.shape == values.shape


def test_vectors():
    images = np.array([[[[0, 255], [51, 102]]]], np.uint8)
    assert np.allclose(as_vectors(images), [[0, 1, 0.2, 0.4]])
    assert np.allclose(as_vectors(np.array([[0, 2, 2, 1]], np.int32), 4), [[0.25, 0.25, 0.5, 0]])
    assert np.allclose(as_vectors(np.array([[3.0], [0.0]]), 4), [[0, 0, 0, 1], [1, 0, 0, 0]])
    assert np.allclose(as_vectors(np.array([[3.5, -1.0]])), [[3.5, -1.0]])
    assert as_vectors(np.zeros((0, 1, 8, 8), np.uint8)).shape == (0, 64)


def test_which_events_are_symbols():
    assert n_symbols_of(Event((12,), "int32", n_symbols=16)) == 16
    assert n_symbols_of(Event((1,), "float64", 30)) == 30
    assert n_symbols_of(Event((1,), "float64")) == n_symbols_of(Event((1, 8, 8), "uint8", 10)) == 0
    assert n_dimensions(Event((1, 8, 8), "uint8", 10)) == 64


@pytest.mark.parametrize(("n", "d"), [(200, 6), (6, 200), (1, 3)])
def test_principal_axes_are_those_of_the_covariance(n, d):
    rows = np.random.default_rng(0).normal(size=(n, d)) * np.linspace(3, 0.5, d)
    axes = principal_axes(rows, 3)
    covariance = np.cov(rows.T) if n > 1 else np.zeros((d, d))
    value = np.sort(np.linalg.eigvalsh(covariance))[::-1][:3]
    assert np.allclose(axes["variance"], value, atol=1e-9)
    assert axes["total"] == pytest.approx(np.trace(covariance))
    there = axes["variance"] > 0
    assert np.allclose(axes["basis"].T @ axes["basis"], np.diag(there), atol=1e-9)
    assert np.allclose(np.diag(axes["basis"].T @ covariance @ axes["basis"]), axes["variance"], atol=1e-9)
    assert np.allclose(project(axes, rows).var(axis=0) * n, axes["variance"] * max(n - 1, 1), atol=1e-9)


@pytest.mark.parametrize("max_ratio", [1.0, 1.01, 3.0, 1e6])
def test_the_scale_keeps_the_sum_of_the_weights(max_ratio):
    rng = np.random.default_rng(0)
    logs, weight = rng.normal(scale=5, size=1000), rng.choice([0.0, 1.0, 3.0], 1000)
    logs[::7] = np.nan
    factor = factors(logs, log_scale(logs, weight, max_ratio), max_ratio)
    assert weight @ factor == pytest.approx(weight.sum(), rel=1e-9)
    assert factor.max() <= max_ratio * (1 + 1e-12)
    assert factor.min() >= (1 - 1e-12) / max_ratio
    assert (factor[::7] == 1).all()
    within = (factor < max_ratio * 0.99) & (factor > 1.01 / max_ratio) & ~np.isnan(logs)
    assert np.ptp((np.log(factor) - logs)[within]) < 1e-9 if within.any() else max_ratio < 1.02
