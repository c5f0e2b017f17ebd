"""Marks with a key, and the search for them: which keys were used, and how strongly rows carry each."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from mad_ray.core.samples import Event, Samples
from mad_ray.interventions.calibration import conformal_threshold, halves
from mad_ray.interventions.coordinates import flat
from mad_ray.interventions.green import green_scores
from mad_ray.interventions.intervention import State
from mad_ray.interventions.rowwise import of, stacked
from mad_ray.interventions.spread_spectrum import similarity_quantile, sizes
from mad_ray.steady import in_batches

Key = Literal["fixed", "rotating"]

FIXED = 0
"""The number of the fixed key. A rotating key's number is the generation that it marks, from 1."""

_PER_KEY = "key_"


@runtime_checkable
class Keyed(Protocol):
    """A mark that whoever holds the secret can look for."""

    @property
    def key(self) -> Key: ...

    def background(self, real: np.ndarray, event: Event) -> dict[str, np.ndarray]:
        """What must be known of unmarked rows real [m, *event], whichever key is looked for among them."""
        ...

    def recipe(self, background: Mapping[str, np.ndarray], event: Event, number: int) -> dict[str, np.ndarray]:
        """How the key of that number is looked for: what `raw_scores` needs."""
        ...


def number_of(key: Key, generation: int) -> int:
    """The number of the key that marks what G^generation publishes."""
    return FIXED if key == "fixed" else generation


def numbers_before(key: Key, generation: int) -> tuple[int, ...]:
    """The keys that marked G^1 .. G^{generation-1}: all that D^generation can carry."""
    if generation < 2:
        return ()
    return (FIXED,) if key == "fixed" else tuple(range(1, generation))


def calibrated_search(wanted: Sequence[tuple[Keyed, int]], real: Samples, event: Event, false_alarm: float) -> State:
    """How k keys, (mark, number) each, are looked for: arrays of each trajectory [B, ...], those of keys [B, k, ...].

    Learnt from unmarked real rows: the first half chooses the statistic, the other calibrates it. centre, spread: of
    each key's score. threshold of each key's evidence, threshold_of_any [B] of the largest of all, each with the
    false-alarm rate set. Marks of one study are all of one kind, since they mark the same samples.
    """
    n_choosing, _ = halves(real.n)
    search = stacked([_search_for(wanted, x[:n_choosing], event) for x in real.x])
    calibrating = real.rows(n_choosing, real.n)
    scores, found = key_scores(calibrating, search), evidence(calibrating, search)
    thresholds = [_threshold(found[:, :, i : i + 1], search, false_alarm) for i in range(len(wanted))]
    return {
        **search,
        "key_centre": scores.mean(axis=1),
        "key_spread": _positive(scores.std(axis=1, ddof=1)),
        "key_threshold": np.stack(thresholds, axis=1),
        "threshold_of_any": _threshold(found, search, false_alarm),
    }


def key_scores(samples: Samples, search: State) -> np.ndarray:
    """[B, n, k]: how strongly each row carries each key; row by row, so the same bytes whichever rows come together.

    Of a mark that is added, linear in it.
    """
    found = np.empty((samples.n_trajectories, samples.n, search["key_offset"].shape[1]))
    for b in range(len(found)):
        per_key = {
            name.removeprefix(_PER_KEY): of_b for name, of_b in of(search, b).items() if name.startswith(_PER_KEY)
        }
        for i in range(found.shape[2]):
            one = of(per_key, i)
            found[b, :, i] = raw_scores(samples.x[b], one) - one["offset"]
    return found


def evidence(samples: Samples, search: State) -> np.ndarray:
    """[B, n, k]: by which rows are flagged: scores in one unit for all keys, before the largest of them is taken.

    Without a background standard deviations of the scores: a key whose list holds common words would else drown the
    others. Of images the cosine of pattern and row in the band, both whitened, as Cox et al. 1997 divide by the row's
    length: a row with something unseen in it has large scores for many keys, and is no evidence for any of them.
    """
    scores = key_scores(samples, search)
    if "root" not in search:
        return scores / search["key_scale"][:, None]
    # A pattern has root mean square 1. A row that is the mean itself has no direction.
    lengths = np.stack([_lengths(x, of(search, b)) for b, x in enumerate(samples.x)])
    return scores / (np.where(lengths > 0, lengths, np.inf) * np.sqrt(np.prod(samples.event)))


def carries_any(samples: Samples, search: State) -> np.ndarray:
    """[B, n] bool: whether the largest evidence of all keys is above the threshold calibrated for it."""
    return evidence(samples, search).max(axis=2) > search["threshold_of_any"][:, None]


def measured(samples: Samples, search: State, suffixes: Sequence[str]) -> dict[str, np.ndarray]:
    """mark_z and mark_flagged [B, n] of each key, by its suffix. z counts standard deviations of unmarked real rows."""
    z = (key_scores(samples, search) - search["key_centre"][:, None]) / search["key_spread"][:, None]
    flagged = evidence(samples, search) > search["key_threshold"][:, None]
    found = {}
    for i, suffix in enumerate(suffixes):
        found[f"mark_z{suffix}"] = z[:, :, i]
        found[f"mark_flagged{suffix}"] = flagged[:, :, i].astype(np.float64)
    return found


def raw_scores(x: np.ndarray, recipe: Mapping[str, np.ndarray]) -> np.ndarray:
    """[n] of rows x [n, *event]: the correlation with a filter, or the z of a green list."""
    if "filter" in recipe:
        # Not a matrix product, whose last bits would depend on how many rows there are.
        return (flat(x) * recipe["filter"]).sum(axis=1)
    return green_scores(x, recipe)


def _search_for(wanted: Sequence[tuple[Keyed, int]], real: np.ndarray, event: Event) -> dict[str, np.ndarray]:
    """Of one trajectory; arrays of keys [k, ...]."""
    background = wanted[0][0].background(real, event)
    keys = stacked([_of_key(mark.recipe(background, event, number), real) for mark, number in wanted])
    return {**background, **{f"{_PER_KEY}{name}": array for name, array in keys.items()}}


def _of_key(recipe: dict[str, np.ndarray], real: np.ndarray) -> dict[str, np.ndarray]:
    raw = raw_scores(real, recipe)
    return {**recipe, "offset": raw.mean(), "scale": _positive(raw.std(ddof=1))}


def _threshold(found: np.ndarray, search: State, false_alarm: float) -> np.ndarray:
    """[B] for the largest of k keys, found [B, m, k] on real rows.

    Of images no lower than a row's that knows nothing of the keys, be it like the real ones or not: what models make
    is not, and shall not be flagged for that.
    """
    threshold = conformal_threshold(found.max(axis=2), false_alarm)
    if "root" not in search:
        return threshold
    # Of several bands the smallest: there chance makes the largest cosines.
    n_in_band = int(search["key_band"].sum(axis=2).min())
    return np.maximum(threshold, similarity_quantile(n_in_band, false_alarm, found.shape[2]))


def _lengths(x: np.ndarray, search: State) -> np.ndarray:
    return in_batches(partial(sizes, background=search, bands=search["key_band"]), x)


def _positive(spread: np.ndarray) -> np.ndarray:
    """Where all real rows score alike, any unit will do."""
    return np.where(spread > 0, spread, 1.0)
