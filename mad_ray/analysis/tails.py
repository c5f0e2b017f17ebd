"""What a loop does to rare symbols, in closed form: who survives, what is missing, how fast diversity goes.

Without bias (lambda = 1) and smoothing, D^t of a categorical's loop is a multinomial sample of G^{t-1} and of P_r: the
Wright-Fisher model of population genetics, with rows for genes, symbols for alleles, fresh data for migration. Sources:
Fisher 1930 (The Genetical Theory of Natural Selection, ch. 4), Wright 1931 (Evolution in Mendelian populations), Ewens
2004 (Mathematical Population Genetics I, ch. 1, 3). Everything is exact unless its first line says approximately.

G^1 is fitted on n_initial real samples, so generation t has been sampled t times.
"""

from collections.abc import Iterator

import numpy as np
from scipy import stats

from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop


def expected_support(probabilities: np.ndarray, n: int) -> float:
    """E[symbols seen] in n samples of P_r, probabilities [V]: sum of 1 - (1 - p)^n."""
    return float(_seen(probabilities, n).sum())


def expected_missing_mass(probabilities: np.ndarray, n: int) -> float:
    """E[what P_r gives to symbols not seen] in n samples, probabilities [V]: sum of p (1 - p)^n."""
    return float((probabilities * (1 - _seen(probabilities, n))).sum())


def survival(probabilities: np.ndarray, loop: Loop, n_generations: int) -> np.ndarray:
    """P(a symbol is alive in G^t), t = 1..n_generations: probabilities [V] -> [n_generations, V].

    Summed over symbols it is the expected support; 1 - survival weighted by P_r, the expected missing mass. Memory and
    time grow with the square of the training set: meant for up to about 2,000 rows, `branching_survival` beyond.
    """
    _require_wright_fisher(loop)
    if loop.n_fresh:
        laws = laws_of_counts(probabilities, loop, n_generations)
        return np.stack([law[:, 1:].sum(axis=1) for law in laws])
    found = [_seen(probabilities, loop.n_initial)]
    first = stats.binom.pmf(np.arange(loop.n_initial + 1), loop.n_initial, np.asarray(probabilities)[:, None])
    start = _resampling(loop.n_initial, loop.n_synthetic)
    step = start if loop.n_initial == loop.n_synthetic else _resampling(loop.n_synthetic, loop.n_synthetic)
    # Backwards: P(alive so many generations later | count), which no symbol's own probability enters.
    alive = (np.arange(loop.n_synthetic + 1) > 0).astype(np.float64)
    for _ in range(2, n_generations + 1):
        found.append(first @ (start @ alive))
        alive = step @ alive
    return np.stack(found)


def laws_of_counts(probabilities: np.ndarray, loop: Loop, n_generations: int) -> Iterator[np.ndarray]:
    """The law of each symbol's count in D^1, D^2, ...: probabilities [m] -> [m, rows of D^t + 1], a row per symbol.

    Several symbols together are again a symbol: the summed probability of the tail gives the law of its mass.
    """
    _require_wright_fisher(loop)
    p = np.asarray(probabilities)[:, None]
    law = stats.binom.pmf(np.arange(loop.n_initial + 1), loop.n_initial, p)
    yield law
    fresh = stats.binom.pmf(np.arange(loop.n_fresh + 1), loop.n_fresh, p)
    steps: dict[int, np.ndarray] = {}
    for _ in range(2, n_generations + 1):
        n = law.shape[1] - 1
        if n not in steps:
            steps[n] = _resampling(n, loop.n_synthetic)
        synthetic = law @ steps[n]
        law = np.stack([np.convolve(*both) for both in zip(synthetic, fresh, strict=True)])
        yield law


def median_mass(probability: float, loop: Loop, n_generations: int) -> np.ndarray:
    """Median of what G^t gives to symbols of this total probability under P_r, [n_generations].

    The mean stays what it was (a martingale, or pulled back by fresh data), while the median of a small one falls.
    """
    laws = laws_of_counts(np.array([probability]), loop, n_generations)
    return np.array([np.searchsorted(law[0].cumsum(), 0.5) / (law.shape[1] - 1) for law in laws])


def branching_survival(probabilities: np.ndarray, loop: Loop, n_generations: int) -> np.ndarray:
    """Approximately P(a symbol is alive in G^t), fully synthetic loop: probabilities [V] -> [n_generations, V].

    Each of a rare symbol's rows leaves a Poisson number of rows with mean 1, independently (Galton-Watson; Fisher
    1930): a row's line lasts k + 1 generations with probability u_{k+1} = 1 - exp(-u_k), u_0 = 1, which tends to 2/k.
    Good for p << 1 and t << n. Then 1 - exp(-2 n p / t) are alive: at generation t most are dead that are rarer than
    t / (3 n).
    """
    _require_wright_fisher(loop)
    if loop.n_fresh:
        raise InvalidInput(
            f"loop.n_fresh={loop.n_fresh}: lines that begin anew each generation never end; use survival"
        )
    growth = loop.n_synthetic / loop.n_initial
    line, found = 1.0, [1.0]
    for _ in range(2, n_generations + 1):
        # D^2 may be of another size than D^1; from then on sizes stay.
        found.append(-np.expm1(-growth * line))
        line = -np.expm1(-line)
    return -np.expm1(-loop.n_initial * np.multiply.outer(found, probabilities))


def expected_heterozygosity(probabilities: np.ndarray, loop: Loop, n_generations: int) -> np.ndarray:
    """E[1 - sum p_t^2] of G^1, G^2, ...: probabilities [V] -> [n_generations]. For any mix of the loops, memory 1.

    Fully synthetic with n rows: (1 - 1/n)^t times that of P_r (Wright 1931; Ewens 2004, ch. 1). All samples kept beside
    n fixed real ones: the product of 1 - 1/(n j^2) over j <= t, which stays positive. Otherwise by the recursion
    of the expected inner products between the counts of fixed rows F, fresh rows and synthetic rows U, and G^t. Ours.
    """
    _require(loop.bias == 1 and loop.memory == 1, loop, "bias 1 and memory 1")
    q = float((probabilities**2).sum())
    n_f, n_r, n_s = loop.n_fixed, loop.n_fresh, loop.n_synthetic
    square = _expected_square(loop.n_initial, q) / loop.n_initial**2
    f_dot_g = (_expected_square(n_f, q) + n_f * (loop.n_initial - n_f) * q) / loop.n_initial
    n_u, uu, fu, u_dot_g = 0, 0.0, 0.0, 0.0
    found = [1 - square]
    for _ in range(2, n_generations + 1):
        if not loop.accumulate:
            n_u, uu, fu, u_dot_g = 0, 0.0, 0.0, 0.0
        uu += 2 * n_s * u_dot_g + _expected_square(n_s, square)
        fu += n_s * f_dot_g
        n_u += n_s
        n = n_f + n_r + n_u
        own = _expected_square(n_f, q) + _expected_square(n_r, q) + uu
        square = (own + 2 * (fu + n_f * n_r * q + n_r * n_u * q)) / n**2
        f_dot_g = (_expected_square(n_f, q) + n_f * n_r * q + fu) / n
        u_dot_g = (fu + n_r * n_u * q + uu) / n
        found.append(1 - square)
    return np.array(found)


def effective_size(n_fresh: int, n_synthetic: int) -> float:
    """n_e: how many real samples alone give the heterozygosity at which the fresh data loop settles (lambda = 1).

    The recursion's fixed point is 1 - 1/n_e times that of P_r, n_e = (n_r (n_r + 2 n_s) + n_s) / (n_r + n_s). With
    r = n_s/n_r, n_e/n_r is about (1 + 2r)/(1 + r), as for the Gaussian, and n_e at most 2 n_r + 1. Ours.
    """
    return (n_fresh * (n_fresh + 2 * n_synthetic) + n_synthetic) / (n_fresh + n_synthetic)


def death_generations(alive: np.ndarray) -> np.ndarray:
    """alive [n_generations, B, V] of G^1, G^2, ... -> the first generation in which each is dead [B, V], else inf."""
    dead = ~np.asarray(alive, bool)
    return np.where(dead.any(axis=0), dead.argmax(axis=0) + 1.0, np.inf)


def rarity_of_dead(alive: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """How rare under P_r the dead of each trajectory are: alive [B, V] -> mean rank [B] in (0, 1), 1 for the rarest.

    0.5 if death struck blindly; NaN where none has died.
    """
    dead = ~np.asarray(alive, bool)
    n = dead.sum(axis=1)
    rarity = (stats.rankdata(-probabilities) - 0.5) / len(probabilities)
    return np.divide((dead * rarity).sum(axis=1), n, out=np.full(len(dead), np.nan), where=n > 0)


def rarest_first(deaths: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Spearman's correlation [B] between the generation of a symbol's death, [B, V], and its probability, [V].

    1: strictly the rarest first. Those alive at the end share the last rank; NaN where all died at once, or none.
    """
    rank = stats.rankdata(probabilities)
    ranks = stats.rankdata(deaths, axis=1)
    rank, ranks = rank - rank.mean(), ranks - ranks.mean(axis=1, keepdims=True)
    scale = np.sqrt((rank**2).sum() * (ranks**2).sum(axis=1))
    return np.divide((ranks * rank).sum(axis=1), scale, out=np.full(len(ranks), np.nan), where=scale > 0)


def alive_by_decade(alive: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """alive [..., V] -> (decades [D], share alive [..., D]): symbols with 10^k <= p < 10^(k+1) make up decade k.

    Takes `survival` as well, and gives what to expect. Decades without symbols are left out.
    """
    # 1e-3 belongs to its own decade, however its logarithm is rounded.
    decade = np.floor(np.log10(probabilities) + 1e-12).astype(int)
    decades = np.unique(decade)
    return decades, np.stack([np.asarray(alive)[..., decade == k].mean(axis=-1) for k in decades], axis=-1)


def _seen(probabilities: np.ndarray, n: int) -> np.ndarray:
    """1 - (1 - p)^n, to full relative precision for small p."""
    with np.errstate(divide="ignore"):
        return -np.expm1(n * np.log1p(-np.asarray(probabilities)))


def _resampling(n: int, m: int) -> np.ndarray:
    """P(count j of m | count i of n) [n + 1, m + 1]: the transition matrix of Wright and Fisher."""
    return stats.binom.pmf(np.arange(m + 1), m, np.arange(n + 1)[:, None] / n)


def _expected_square(n: int, square: float) -> float:
    """E[sum of squared counts] of n draws from a distribution with sum p^2 = square: n + n (n - 1) square."""
    return n + n * (n - 1) * square


def _require_wright_fisher(loop: Loop) -> None:
    plain = loop.bias == 1 and loop.memory == 1 and not loop.accumulate and not loop.n_fixed and loop.n_synthetic > 0
    _require(plain, loop, "bias 1, memory 1, synthetic rows, none fixed and none accumulated")


def _require(holds: bool, loop: Loop, expected: str) -> None:
    if not holds:
        raise InvalidInput(f"{loop}: no closed form is known; expected a loop with {expected}; measure it instead")
