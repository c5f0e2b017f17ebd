"""What loops of Gaussians tend to, in closed form. P_r = N(0, I) unless said otherwise; n_r, n_s, lambda, K as in
core/loop.py, r = n_s / n_r.

Three steps carry everything. The mean of n samples of N(mu, Sigma) has variance Sigma / n; their unbiased covariance
fluctuates independently of it, for Sigma = I by E|dS|^2 = d (d + 1) / (n - 1). A generation mixes such estimates by
their shares, p = r / (1 + r) of it synthetic, so that what models inherit from models is an autoregression. And near
the truth the squared Wasserstein-2 distance is |mu|^2 + |S - I|^2 / 4. "For large n" means: the next terms are smaller
by d / n. Everything else is exact, or says what it is.
"""

import math

import numpy as np


def expected_w2_of_fit(n: float, d: int) -> float:
    """E[W2^2] of a fit on n real samples, n above or below d: d / n + 2 d (1 - m) + d / (4 (n - 1)), good to 1 %.

    m is the mean square root of an eigenvalue under the law of Marchenko and Pastur (1967), exact for n, d -> infinity;
    the last term is what a finite d adds in the first order of 1 / n. For n >> d it is `first_order_w2_of_fit`.
    """
    return d / n + 2 * d * (1 - _mean_root(d / (n - 1))) + d / (4 * (n - 1))


def first_order_w2_of_fit(n: float, d: int) -> float:
    """E[W2^2] of a fit on n real samples, for large n: d (d + 5) / (4 n). d / n from the mean, the rest from Sigma."""
    return d * (d + 5) / (4 * n)


def w2_of_fit_on_spectrum(n: float, variances: np.ndarray) -> float:
    """The same for P_r whose covariance has these eigenvalues [d], for large n.

    Second order of W2^2 (Sigma, Sigma + E) in E: sum of E_ij^2 / (l_i + l_j) / 2, where E E_ij^2 is l_i l_j / (n - 1),
    twice that for i = j.
    """
    one, other = variances[:, None], variances[None, :]
    pairs = (one * other / (one + other)).sum() + variances.sum() / 2
    return float(variances.sum() / n + pairs / (2 * (n - 1)))


def fresh_limit_ratio(r: float) -> float:
    """n_e / n_r of the fresh data loop at lambda = 1, for large n: (1 + 2 r) / (1 + r), so 2 at the most.

    mu_t = (n_r xbar + n_s sbar) / N with sbar = mu_(t-1) + noise: V = 1 / N + p^2 V, and n_e = 1 / V = n_r (1 + p).
    Deviations of Sigma obey the same recursion.
    """
    return memory_limit_ratio(r, 1)


def memory_limit_ratio(r: float, memory: float) -> float:
    """n_e / n_r at lambda = 1 with memory K, for large n: 1 + r K / (r + K); K -> infinity: 1 + r.

    mu_t = (p / K) (mu_(t-1) + ... + mu_(t-K)) + noise of variance 1 / N, the same for every K. The autocorrelations of
    such a series at lags 1..K are equal, c = p / (K (1 - p) + p) (put it into the Yule-Walker equations), so that
    V (1 - p c) = 1 / N. In rows: n_e = n_r + 1 / (1 / n_s + 1 / (K n_r)); synthetic rows count like real ones as long
    as there are few of them beside the K n_r real rows that K generations have seen.
    """
    return 1 + r * memory / (r + memory)


def biased_variance(r: float, bias: float) -> float:
    """sigma^2 that the fresh data loop's Sigma = sigma^2 I tends to as n -> infinity: 1 / (1 + r (1 - lambda)).

    The fixed point of Sigma = (n_r I + lambda n_s Sigma) / (n_r + n_s); memory changes how fast, not where to.
    """
    return 1 / (1 + r * (1 - bias))


def biased_floor(d: int, r: float, bias: float) -> float:
    """W2^2 that the fresh data loop keeps for lambda < 1 however large n is, n_s / n_r = r: d (1 - sigma)^2.

    sigma^2 as in `biased_variance`. Fixed real data do the same as fresh ones here.
    """
    return d * (1 - math.sqrt(biased_variance(r, bias))) ** 2


def fresh_limit_moments(n_fresh: int, n_synthetic: int, bias: float = 1.0) -> tuple[float, float]:
    """The fresh data loop's limits of E|mu|^2 / d and E[tr Sigma] / d, exact for any n and d.

    v = Q / N^2 + p^2 v and s = Q / N + n_r n_s v / (N (N - 1)), where Q = n_r + lambda n_s s: the scatter of D^t is
    that of its two parts and n_r n_s / N times the square of the distance between their means.
    """
    n = n_fresh + n_synthetic
    between = 1 + n_synthetic / ((n - 1) * (n + n_synthetic))
    trace = between * n_fresh / (n - between * bias * n_synthetic)
    return (n_fresh + bias * n_synthetic * trace) / (n_fresh * (n + n_synthetic)), trace


def fresh_limit_w2(d: int, n_fresh: int, n_synthetic: int, bias: float = 1.0, memory: int = 1) -> float:
    """E[W2^2] that the fresh data loop tends to, for large n: the floor, |mu|^2, and what Sigma fluctuates by.

    Deviations E of Sigma from sigma^2 I add |E|^2 / (4 sigma^3); both series are the autoregressions of
    `memory_limit_ratio`, with p for the mean and lambda p for Sigma. At lambda = 1 it is `first_order_w2_of_fit` of
    n_e = n_r memory_limit_ratio(r, K).
    """
    n, r = n_fresh + n_synthetic, n_synthetic / n_fresh
    variance, share = biased_variance(r, bias), n_synthetic / (n_fresh + n_synthetic)
    mean = d * (n_fresh + n_synthetic * bias * variance) / n**2 * _gain(share, memory)
    deviation = d * (d + 1) * (n_fresh + n_synthetic * (bias * variance) ** 2) / n**2 * _gain(share * bias, memory)
    return biased_floor(d, r, bias) + mean + deviation / (4 * variance**1.5)


def most_admissible(d: int, bias: float) -> float:
    """The n_s at which n_e / n_r crosses 1 as n_r -> infinity, for lambda < 1: there the admissible n_s stops growing.

    (4 (2 - lambda) + (d + 1) (1/2 + 3/2 lambda - lambda^2)) / (1 - lambda)^2, about d / (1 - lambda)^2. From
    `fresh_limit_w2` to the first order of r = n_s / n_r: the floor costs d r^2 (1 - lambda)^2 / 4, and what synthetic
    rows add to the estimates of mean and Sigma saves d r / n_r (2 - lambda) and
    d (d + 1) r / (4 n_r) (1/2 + 3/2 lambda - lambda^2).
    """
    if bias == 1:
        return math.inf
    saved = 4 * (2 - bias) + (d + 1) * (0.5 + 1.5 * bias - bias**2)
    return saved / (1 - bias) ** 2


def log_det_rate(n: int, d: int, bias: float = 1.0) -> float:
    """E[log det Sigma_t - log det Sigma_(t-1)] of the fully synthetic loop, n_s = n > d, at every t.

    (n - 1) Sigma_t | past is Wishart: its determinant is that of Sigma_(t-1) times lambda^d and d independent chi^2 of
    n - 1, ..., n - d degrees of freedom. Always below 0: Sigma_t -> 0, though E[Sigma_t] does not move at lambda = 1.
    """
    freedom = range(n - d, n)
    return d * math.log(bias) + sum(_digamma_of_half(m) + math.log(2 / (n - 1)) for m in freedom)


def synthetic_mean_squared(n: int, d: int, t: int) -> float:
    """E|mu_t|^2 of the fully synthetic loop at lambda = 1, n samples in each D^t: t d / n.

    Each generation adds E[tr Sigma] / n, and E[Sigma] stays I. Linear regression on an orthonormal design with known
    noise is this loop with Sigma held at I: its error grows linearly in t, and no further than pi^2 / 6 of the first if
    data accumulate.
    """
    return t * d / n


def accumulate_mean_squared(n: int, d: int, t: int) -> float:
    """E|mu_t|^2 if each generation's n samples (lambda = 1) join all earlier ones: d / n times sum E[s_(j-1)] / j^2.

    At most pi^2 / 6 of the first, d / n: mu_t - mu_(t-1) = (sbar - mu_(t-1)) / t. s is `accumulate_variance`, unbiased.
    """
    return d / n * sum(accumulate_variance(n, j - 1, unbiased=True) / j**2 for j in range(1, t + 1))


def accumulate_variance(n: int, t: int, *, unbiased: bool = False) -> float:
    """E[Sigma_t] of one coordinate if each generation's n samples (lambda = 1) join all earlier ones.

    Divisor n: the product of 1 - 1 / (n j^2) over j = 1..t, which tends to sin(x) / x, x = pi / sqrt n: no collapse.
    Divisor n - 1: of 1 - 1 / (j (j n - 1)) over j = 2..t.
    """
    j = np.arange(2 if unbiased else 1, t + 1, dtype=float)
    return float(np.prod(1 - 1 / (j * (j * n - 1) if unbiased else n * j**2)))


def _gain(share: float, memory: int) -> float:
    """Variance of x_t = (share / K) (x_(t-1) + ... + x_(t-K)) + noise, over that of the noise."""
    return 1 / (1 - share**2 / (memory * (1 - share) + share))


def _mean_root(ratio: float) -> float:
    """Mean of sqrt(l) over the eigenvalues of a Wishart matrix / n, d / n = ratio, as both grow; 0s count.

    l = 1 + ratio + 2 sqrt(ratio) cos(a) has the density 2 sin(a)^2 / (pi l), 0 < a < pi. By the midpoint rule.
    """
    a = (np.arange(20_000) + 0.5) * math.pi / 20_000
    root = np.sqrt(1 + ratio + 2 * math.sqrt(ratio) * np.cos(a))
    return float(2 * (np.sin(a) ** 2 / root).mean())


def _digamma_of_half(m: int) -> float:
    """psi(m / 2) for whole m >= 1, from psi(1 / 2) or psi(1) upwards."""
    start = -np.euler_gamma - (2 * math.log(2) if m % 2 else 0.0)
    return float(start + (2 / np.arange(2 - m % 2, m, 2, dtype=float)).sum())
