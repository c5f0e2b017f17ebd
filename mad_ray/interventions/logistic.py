"""Logistic regression of a few features, by Newton's method."""

import numpy as np

_RIDGE = 1.0
"""lambda of the penalty lambda/2 |coefficients|^2, in rows: it keeps separable classes finite, and is lost in many."""
_ROUNDS = 100
_TOLERANCE = 1e-9


def logistic_regression(features: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """features [n, p], target [n] bool, weight [n] -> intercept and coefficients [1 + p]: log odds of target.

    The maximum of the weighted likelihood less a ridge penalty, which leaves the intercept alone. Strictly concave, so
    damped Newton steps find it.
    """
    x = np.concatenate([np.ones((len(features), 1)), features], axis=1)
    penalty = np.full(x.shape[1], _RIDGE)
    penalty[0] = 0.0
    beta = np.zeros(x.shape[1])
    loss = _loss(x, target, weight, penalty, beta)
    for _ in range(_ROUNDS):
        p = _sigmoid(x @ beta)
        gradient = x.T @ (weight * (p - target)) + penalty * beta
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        # The intercept has no penalty: where all p are 0 or 1, a trace of it keeps the matrix regular.
        step = np.linalg.solve(curvature + 1e-9 * np.eye(len(beta)), gradient)
        beta, loss, size = _damped(x, target, weight, penalty, beta, step, loss)
        if size < _TOLERANCE:
            break
    return beta


def _damped(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    penalty: np.ndarray,
    beta: np.ndarray,
    step: np.ndarray,
    loss: float,
) -> tuple[np.ndarray, float, float]:
    """The longest of step, step/2, step/4, ... that does not raise the loss; its length."""
    for halvings in range(40):
        tried = beta - step / 2**halvings
        after = _loss(x, target, weight, penalty, tried)
        if after <= loss:
            return tried, after, float(np.abs(tried - beta).max())
    return beta, loss, 0.0


def _loss(x: np.ndarray, target: np.ndarray, weight: np.ndarray, penalty: np.ndarray, beta: np.ndarray) -> float:
    logit = x @ beta
    return float(weight @ (np.logaddexp(0.0, logit) - target * logit) + penalty @ np.square(beta) / 2)


def _sigmoid(logit: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(logit / 2))
