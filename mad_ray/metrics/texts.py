"""What became of a text's variety: distinct n-grams, rare turns that still occur, rules that are broken.

For samples of any family, sequences of tokens; what is rare and what is allowed is told by the data's law: "rare"
[r, 2] and "rules" [m, 2], both pairs of neighbouring tokens. All depend on how many samples there are: compare equal n.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mad_ray.core.pairs import neighbours_of, pair_codes

TEXT_METRICS = ("distinct_1", "distinct_2", "distinct_3", "tail_recall", "rule_error")
"""Names of what `text_metrics` knows."""
ORDERS = {"distinct_1": 1, "distinct_2": 2, "distinct_3": 3}


def text_metrics(tokens: np.ndarray, law: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, float]:
    """Tokens [n, L] -> the wanted of TEXT_METRICS; NaN where the law does not tell what is asked.

    distinct_n: different n-grams over all n-grams (Li et al. 2016), n-grams within a sequence, all sequences together.
    tail_recall: the share of the law's rare pairs that stand in at least one sample. rule_error: the share of
    neighbours, over all samples, that no rule of the law allows.
    """
    found: dict[str, float] = {}
    for name in (name for name in TEXT_METRICS if name in names):
        if name in ORDERS:
            found[name] = distinct(tokens, ORDERS[name])
        elif name == "tail_recall":
            found[name] = _share(pair_codes(law["rare"]), neighbours_of(tokens)) if "rare" in law else np.nan
        else:
            found[name] = 1 - _share(neighbours_of(tokens), pair_codes(law["rules"])) if "rules" in law else np.nan
    return found


def distinct(tokens: np.ndarray, order: int) -> float:
    """Different n-grams of tokens [n, L] over all of them; NaN where sequences are shorter than the n-gram."""
    if tokens.shape[1] < order:
        return float("nan")
    windows = np.lib.stride_tricks.sliding_window_view(tokens, order, axis=1).reshape(-1, order)
    return len(np.unique(windows, axis=0)) / len(windows)


def _share(wanted: np.ndarray, there: np.ndarray) -> float:
    """The share of the wanted codes that are there."""
    return float(np.isin(wanted, there).mean())
