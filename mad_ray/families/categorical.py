"""The categorical: how often each symbol was seen is the model. What is not seen once is never drawn again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from mad_ray.core.counts import Counts, draw_counts, head_body_tail, symbol_rows
from mad_ray.core.errors import InvalidInput, TrajectoryFailed
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.rows import CHUNK
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.core.summary import Summary
from mad_ray.families.family import Model, Progress, Stream


@dataclass(frozen=True)
class Categorical:
    """A distribution over V symbols, fitted by their frequencies. Bias: lambda is the temperature, as the paper has it
    for language models, with probabilities proportional to p^(1/lambda).

    Its loop without bias is the Wright-Fisher model of population genetics (mad_ray/analysis/tails.py has its theory).
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "categorical"
    # A generation's models: 8 MB for 1,000 trajectories and symbols.
    max_cohort: ClassVar[int] = 1000
    redraw: ClassVar[bool] = True
    distributed: ClassVar[bool] = False
    span: ClassVar[int] = 256
    chunk: ClassVar[int] = CHUNK
    summary: ClassVar[type[Counts]] = Counts
    measures: ClassVar[tuple[str, ...]] = (
        "support",
        "head_alive",
        "body_alive",
        "tail_alive",
        "tail_mass",
        "missing_mass",
        "entropy",
        "heterozygosity",
        "total_variation",
    )
    """support: symbols alive, that is of positive probability under the model.
    head_alive, body_alive, tail_alive: the share of P_r's common, middling, rare symbols alive (core/counts.py: the
    most common that make up half of P_r, the rarest that make up a tenth, what lies between).
    tail_mass: what the model gives to P_r's tail; P_r itself gives just over 0.1.
    missing_mass: what P_r gives to dead symbols; a real sample is one the model cannot make with this probability.
    entropy: of the model, in nats. heterozygosity: 1 - sum p^2, the probability that two samples differ.
    total_variation: half of sum |p - P_r|, 0 to 1."""

    smoothing: float = 0.0
    """alpha: added to every symbol's count (Lidstone; 1 is Laplace's rule). Above 0 no symbol ever dies."""
    draws: Literal["summaries", "rows"] = "summaries"
    """summaries: training sets are drawn as counts, without their rows. rows: the same law the slow way, row by row."""

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < np.inf:
            raise InvalidInput(f"family.smoothing={self.smoothing}: expected a number of samples per symbol, 0 or more")

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """Symbols only: one number a row, of known classes."""
        if (event.shape, event.dtype) != ((1,), "float64") or event.n_classes < 2:
            raise InvalidInput(
                "family=categorical needs symbols (float64 of shape (1,), 2 or more classes); data gives "
                f"{event.dtype} samples of shape {event.shape} in {event.n_classes} classes: use data=zipf, "
                "or another family"
            )

    def fit(self, data: Stream, keys: Keys, progress: Progress) -> Model:
        """counts [B, V] of D^t, weighted, float64. All else follows from them and the settings."""
        counts = data.summary(Counts)
        if not np.all(counts.n > 0):
            raise TrajectoryFailed("family=categorical: a training set has total weight 0; let some of its rows pass")
        progress(1.0)
        return {"counts": counts.counts}

    def probabilities(self, model: Mapping[str, np.ndarray]) -> np.ndarray:
        """The model as a distribution [B, V], at lambda = 1."""
        counts = model["counts"] + self.smoothing
        return counts / counts.sum(axis=1, keepdims=True)

    def sample(self, model: Model, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        """x [B, stop - start, 1] float64 symbols at temperature `bias`; a symbol is its own label."""
        return symbol_rows(self._published(model, bias), start, stop, keys)

    def draw(self, model: Mapping[str, np.ndarray], start: int, stop: int, bias: float, keys: Keys) -> Summary:
        """Counts of samples start..stop at temperature `bias`: multinomial."""
        return draw_counts(self._published(model, bias), start, stop, keys)

    def _published(self, model: Mapping[str, np.ndarray], bias: float) -> np.ndarray:
        return np.stack([temper(p, bias) for p in self.probabilities(model)])

    def measure(
        self, model: Mapping[str, np.ndarray], law: Mapping[str, np.ndarray], names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The wanted ones of `measures`, [B] each, of the model at lambda = 1; law: "probabilities" [V]."""
        p = self.probabilities(model)
        return {name: _MEASURES[name](p, law["probabilities"]) for name in names}


def temper(p: np.ndarray, bias: float) -> np.ndarray:
    """p [V] -> p^(1/bias) / Z; bias 1 leaves p as it is, 0 shares all among the most probable symbols.

    By logarithms relative to the largest, so that no bias is too small: at worst all others underflow to 0.
    """
    if bias == 1:
        return p
    weight = (p == p.max()).astype(np.float64)
    if bias > 0:
        below = (p > 0) & (weight == 0)
        with np.errstate(over="ignore", under="ignore"):
            weight[below] = np.exp(np.log(p[below] / p.max()) / bias)
    return weight / weight.sum()


def _alive(band: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The share [B] of one band of P_r's symbols that is alive; NaN for a band without symbols."""

    def share(p: np.ndarray, real: np.ndarray) -> np.ndarray:
        members = head_body_tail(real)[band]
        n = members.sum()
        return ((p > 0) & members).sum(axis=1) / n if n else np.full(len(p), np.nan)

    return share


def _entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)


# Sums run over whole rows, dead symbols and all: a trajectory's last digits are the same whoever shares its cohort.
_MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "support": lambda p, real: (p > 0).sum(axis=1).astype(np.float64),
    "head_alive": _alive("head"),
    "body_alive": _alive("body"),
    "tail_alive": _alive("tail"),
    "tail_mass": lambda p, real: (p * head_body_tail(real)["tail"]).sum(axis=1),
    "missing_mass": lambda p, real: (real * (p == 0)).sum(axis=1),
    "entropy": lambda p, real: _entropy(p),
    "heterozygosity": lambda p, real: 1 - (p**2).sum(axis=1),
    "total_variation": lambda p, real: np.abs(p - real).sum(axis=1) / 2,
}
