"""Keyed patterns spread over many frequencies or coordinates, and the filter that finds one among real rows."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.interventions.coordinates import flat

Band = Literal["low", "middle", "high", "all"]

_ENDS: dict[Band, tuple[float, float]] = {
    "low": (0, 1 / 3),
    "middle": (1 / 3, 2 / 3),
    "high": (2 / 3, 1),
    "all": (0, 1),
}
_NOISE = 1 / 16
"""Of the mean variance of a pixel, added in every direction. With less, pixels that never vary among the real rows
would decide alone: 8x8 digits have four of them, too few to tell keys apart, or a mark from a model's own noise."""

LEAST_IN_BAND = 8


def in_band(shape: tuple[int, ...], band: Band) -> np.ndarray:
    """[channels, height, width] bool: the DCT coefficients that carry a pattern.

    By their radial frequency from 0 (the mean, which never does: brightness is no secret) to 1 (last row and column).
    """
    _, height, width = shape
    y, x = (np.arange(size) / max(1, size - 1) for size in (height, width))
    n_axes = max(1, (height > 1) + (width > 1))
    radius = np.hypot(y[:, None], x) / np.sqrt(n_axes)
    low, high = _ENDS[band]
    return np.broadcast_to((radius > low) & (radius <= high + 1e-9), shape)


@lru_cache(maxsize=64)
def image_pattern(shape: tuple[int, ...], band: Band, secret: int, number: int) -> np.ndarray:
    """[channels, height, width], root mean square 1: normal DCT coefficients in the band (Cox et al. 1997)."""
    from scipy.fft import idctn

    coefficients = _normal(shape, secret, number) * in_band(shape, band)
    return _read_only(_to_rms_1(idctn(coefficients, axes=(1, 2), norm="ortho")))


@lru_cache(maxsize=64)
def direction(d: int, secret: int, number: int) -> np.ndarray:
    """A unit vector [d], uniform on the sphere."""
    normal = _normal((d,), secret, number)
    return _read_only(normal / np.linalg.norm(normal))


def background_of(real: np.ndarray) -> dict[str, np.ndarray]:
    """What images real [m, channels, height, width] are like, in front of which a pattern is looked for.

    mean [d]; noise [] and root R [m, d] with (I - R'R) / noise = (C + noise I)^-1, C being their covariance, by
    Woodbury's identity: m equations are solved, however many pixels there are.
    """
    x = real.reshape(len(real), -1).astype(np.float64)
    centred = x - x.mean(axis=0)
    noise = max(_NOISE * np.square(centred).mean(), 1.0)
    centred /= np.sqrt(len(x))
    root = np.linalg.solve(np.linalg.cholesky(centred @ centred.T + noise * np.eye(len(x))), centred)
    return {"mean": x.mean(axis=0), "root": root, "noise": np.array(noise)}


def whitened(x: np.ndarray, background: Mapping[str, np.ndarray]) -> np.ndarray:
    """(C + noise I)^-1 x of x [n, d] -> [n, d]."""
    root = background["root"]
    return (x - (x @ root.T) @ root) / background["noise"]


def sizes(x: np.ndarray, background: Mapping[str, np.ndarray], bands: np.ndarray) -> np.ndarray:
    """[n, k]: lengths of images x [n, channels, height, width], centred, whitened, and cut to each band of [k, d]."""
    from scipy.fft import dctn

    rows = whitened(flat(x) - background["mean"], background)
    coefficients = dctn(rows.reshape(x.shape), axes=(2, 3), norm="ortho")
    return np.sqrt(flat(np.square(coefficients)) @ bands.T.astype(np.float64))


def similarity_quantile(n: int, false_alarm: float, n_keys: int) -> float:
    """The cosine that the largest of n_keys cosines of a vector in n dimensions and random directions exceeds so often.

    Exact, whatever the vector: cos^2 of one is distributed as Beta(1/2, (n - 1)/2).
    """
    from scipy.special import betaincinv

    of_one = -np.expm1(np.log1p(-false_alarm) / n_keys)
    cosine = np.sqrt(betaincinv(0.5, (n - 1) / 2, abs(1 - 2 * of_one)))
    return float(cosine if of_one < 0.5 else -cosine)


def _normal(shape: tuple[int, ...], secret: int, number: int) -> np.ndarray:
    return Keys((secret,)).at("watermark", number).generator(0).standard_normal(shape)


def _to_rms_1(pattern: np.ndarray) -> np.ndarray:
    return pattern / np.sqrt(np.square(pattern).mean())


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
