"""A Gaussian process through noisy values of known variance: what a smooth surface may look like in between."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

ROOT5 = 5**0.5
TREND_SD = 2.0
"""Prior sd of the trend: its constant, and its slope along each axis of the unit cube."""
PRIORS = {"amplitude": (0.5, 1.0), "length": (0.7, 0.7)}
"""Median and sd of the logarithm, of the deviations from the trend and of their length scales in the unit cube."""
BOUNDS = {"amplitude": (0.02, 5.0), "length": (0.1, 5.0)}
STARTS = (1.0, 0.3)
"""Length scales from which the search for the most probable ones begins."""
NUGGET = 0.002**2
"""Variance that no smooth surface explains."""


@dataclass(frozen=True)
class Surface:
    """Posterior of f on the unit cube: a linear trend plus a Matern-5/2 process (Rasmussen and Williams, Eq. 4.17).

    x [n, k], variance [n] of the values seen; weights [n] and root [n, n], the Cholesky factor of their covariance.
    """

    x: np.ndarray
    variance: np.ndarray
    amplitude: float
    lengths: np.ndarray
    root: np.ndarray
    weights: np.ndarray

    def posterior(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """at [m, k] -> mean [m] and standard deviation [m] of f there."""
        cross = self._covariance(self.x, at)
        solved = solve_triangular(self.root, cross, lower=True, check_finite=False)
        prior = self.amplitude**2 + TREND_SD**2 * (1 + (at**2).sum(axis=1))
        return cross.T @ self.weights, np.sqrt(np.maximum(prior - (solved**2).sum(axis=0), 0.0))

    def believing(self, x: np.ndarray, variance: float) -> "Surface":
        """As if f had been measured at x [k], and found to be what it is expected to be (kriging believer)."""
        expected = float(self.posterior(x[None])[0][0])
        values = np.append(self._values(), expected)
        return _conditioned(np.vstack([self.x, x]), values, np.append(self.variance, variance), self)

    def _values(self) -> np.ndarray:
        return self.root @ (self.root.T @ self.weights)

    def _covariance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        matern, _ = _matern(a, b, self.lengths)
        return self.amplitude**2 * matern + TREND_SD**2 * (1 + a @ b.T)


def fit_surface(x: np.ndarray, values: np.ndarray, variance: np.ndarray) -> Surface:
    """The surface with the most probable amplitude and length scales, given values [n] at x [n, k] of the unit cube."""
    names = ["amplitude", *["length"] * x.shape[1]]
    centre = np.log([PRIORS[name][0] for name in names])
    spread = np.array([PRIORS[name][1] for name in names])
    bounds = [tuple(np.log(BOUNDS[name])) for name in names]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        found, slope = _misfit(theta, x, values, variance)
        z = (theta - centre) / spread
        return found + 0.5 * float(z @ z), slope + z / spread

    starts = [np.log([PRIORS["amplitude"][0], *[length] * x.shape[1]]) for length in STARTS]
    found = [minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B") for start in starts]
    # Rounded, so that another machine's last bits seldom lead a search elsewhere.
    theta = np.round(min(found, key=lambda result: round(float(result.fun), 6)).x, 2)
    blank = Surface(x, variance, float(np.exp(theta[0])), np.exp(theta[1:]), np.empty((0, 0)), np.empty(0))
    return _conditioned(x, values, variance, blank)


def _conditioned(x: np.ndarray, values: np.ndarray, variance: np.ndarray, like: Surface) -> Surface:
    covariance = like._covariance(x, x) + np.diag(variance + NUGGET)
    root = cholesky(covariance, lower=True, check_finite=False)
    weights = cho_solve((root, True), values, check_finite=False)
    return replace(like, x=x, variance=variance, root=root, weights=weights)


def _misfit(theta: np.ndarray, x: np.ndarray, values: np.ndarray, variance: np.ndarray) -> tuple[float, np.ndarray]:
    """Minus the log likelihood of theta = log (amplitude, lengths), and its gradient (ibid., Eq. 5.9)."""
    amplitude, lengths = np.exp(theta[0]), np.exp(theta[1:])
    matern, decay = _matern(x, x, lengths)
    process = amplitude**2 * matern
    root = cholesky(process + TREND_SD**2 * (1 + x @ x.T) + np.diag(variance + NUGGET), lower=True)
    weights = cho_solve((root, True), values)
    pull = cho_solve((root, True), np.eye(len(x))) - np.outer(weights, weights)
    slopes = [2 * process, *(amplitude**2 * decay * gap for gap in _gaps(x, x, lengths))]
    loss = 0.5 * float(values @ weights) + float(np.log(np.diag(root)).sum())
    return loss, np.array([0.5 * float((pull * slope).sum()) for slope in slopes])


def _gaps(a: np.ndarray, b: np.ndarray, lengths: np.ndarray) -> Sequence[np.ndarray]:
    """Squared distances along each axis, in length scales."""
    return [((a[:, None, k] - b[None, :, k]) / lengths[k]) ** 2 for k in range(len(lengths))]


def _matern(a: np.ndarray, b: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matern-5/2 correlation of points a and b, and minus twice its derivative by the squared distance r^2."""
    r = ROOT5 * np.sqrt(sum(_gaps(a, b, lengths)) + np.zeros((len(a), len(b))))
    fading = np.exp(-r)
    return (1 + r + r**2 / 3) * fading, 5 / 3 * (1 + r) * fading
