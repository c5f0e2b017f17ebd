"""Samples as vectors, and their principal components: where densities and ratios of them are estimated."""

import math
from collections.abc import Mapping

import numpy as np

from mad_ray.core.samples import Event
from mad_ray.steady import in_batches


def n_symbols_of(event: Event) -> int:
    """V where a sample is made of symbols 0..V-1 (a sequence of tokens, or one symbol alone), else 0."""
    return event.n_symbols or (event.n_classes if event.shape == (1,) else 0)


def is_image(event: Event) -> bool:
    """Whether samples are pictures: three axes of bytes."""
    return event.dtype == "uint8" and len(event.shape) == 3


def flat(x: np.ndarray) -> np.ndarray:
    """x [n, *event] -> [n, d], also where n is 0."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def as_vectors(x: np.ndarray, n_symbols: int = 0) -> np.ndarray:
    """x [n, *event] -> [n, d], float64: images in [0, 1], of symbols the share of each (d = V), all else as it is."""
    rows = flat(x)
    if not n_symbols:
        return rows.astype(np.float64) / (255 if x.dtype == np.uint8 else 1)
    length = rows.shape[1]
    place = np.arange(len(rows))[:, None] * n_symbols + rows.astype(np.int64)
    return np.bincount(place.ravel(), minlength=len(rows) * n_symbols).reshape(len(rows), n_symbols) / length


def n_dimensions(event: Event) -> int:
    """d of `as_vectors`."""
    return n_symbols_of(event) or math.prod(event.shape)


def principal_axes(rows: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """rows [n, d] -> mean [d], basis [d, k] with the k axes of largest variance first, variance [k] (n - 1), total [].

    Axes beyond the rank are zero, of variance zero. total is the variance of all d axes together.
    """
    from scipy.linalg import eigh

    n, d = rows.shape
    mean = rows.mean(axis=0)
    centred = (rows - mean) / np.sqrt(max(n - 1, 1))
    # Of the two matrices with the same eigenvalues, the smaller one.
    gram = centred.T @ centred if d <= n else centred @ centred.T
    m = min(k, len(gram))
    value, vector = eigh(gram, subset_by_index=[len(gram) - m, len(gram) - 1])
    value, vector = np.maximum(value[::-1], 0.0), vector[:, ::-1]
    is_there = value > 1e-12 * max(float(np.trace(gram)), 1e-300)
    axes = vector if d <= n else centred.T @ (vector / np.sqrt(np.where(is_there, value, 1.0)))
    basis, variance = np.zeros((d, k)), np.zeros(k)
    basis[:, :m], variance[:m] = axes * is_there, value * is_there
    return {"mean": mean, "basis": basis, "variance": variance, "total": np.array(np.trace(gram))}


def project(axes: Mapping[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """rows [n, d] -> [n, k], row by row."""
    return in_batches(lambda batch: (batch - axes["mean"]) @ axes["basis"], rows)
