"""A detector that learns: a small network that tells what earlier generations published from real rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput, TrajectoryFailed
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.interventions.calibration import check_calibration, conformal_threshold, halves
from mad_ray.interventions.coordinates import as_vectors, is_image, n_symbols_of
from mad_ray.interventions.flags import check_flagged_weight, weighed_down
from mad_ray.interventions.intervention import Lesson, State
from mad_ray.interventions.rowwise import of, stacked
from mad_ray.interventions.small_nets import net_logits, train_net

_N_SYMBOLS, _THRESHOLD = "n_symbols", "threshold"


@dataclass(frozen=True)
class LearntDetector:
    """Before every fit it is trained anew on known synthetic samples, the newest up to G^(t-2), against real rows.

    Half of the real rows are held back from training; a row is flagged if its score exceeds a quantile of theirs, by
    which at most a share false_alarm of real rows is flagged in expectation, however bad the network is (split
    conformal prediction: Papadopoulos et al. 2002; Lei et al. 2018). While nothing is known to be synthetic it admits
    all. Images are read by convolutions, vectors as they are, sequences of tokens by the share of each token.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "learnt_detector"
    looks_back: ClassVar[bool] = True
    """It asks for samples of earlier generations."""

    false_alarm: float = 0.05
    """Share of real rows that it flags, at most, in expectation over the rows on which it is calibrated."""
    flagged_weight: float = 0.0
    """What the weight of a flagged row is multiplied by; 0 drops it, 1 does nothing."""
    n_real: int = 500
    """Real rows that it learns from in every generation, beyond those of the loop; half of them calibrate."""
    n_synthetic: int = 500
    """Known synthetic rows that it learns from, at most."""
    n_steps: int = 300
    """Optimiser steps, 128 rows each."""

    def __post_init__(self) -> None:
        check_flagged_weight(self.name, self.flagged_weight)
        check_calibration(self.name, self.false_alarm, self.n_real)
        for name, least in (("n_synthetic", 1), ("n_steps", 1)):
            value = getattr(self, name)
            if value < least:
                raise InvalidInput(f"interventions.{self.name}.{name}={value}: expected at least {least}; raise it")

    @property
    def is_identity(self) -> bool:
        """Whether nothing follows from a flag."""
        return self.flagged_weight == 1

    def check(self, event: Event, loop: Loop, others: Sequence[Any]) -> None:
        """Any samples will do."""

    def learn(self, lesson: Lesson) -> State:
        """A network, and threshold [B]; nothing where no row is known to be synthetic."""
        synthetic = lesson.synthetic(self.n_synthetic)
        if synthetic is None or synthetic.n == 0:
            return {}
        real, (n_trained, _) = lesson.real(self.n_real), halves(self.n_real)
        n_symbols, states = n_symbols_of(lesson.event), []
        for b in range(real.n_trajectories):
            known = np.concatenate([real.x[b, :n_trained], synthetic.x[b]])
            is_synthetic = (np.arange(len(known)) >= n_trained).astype(np.int64)
            net = train_net(_inputs(known, n_symbols), is_synthetic, 2, lesson.keys, b, self.n_steps)
            held_back = _scores(net, _inputs(real.x[b, n_trained:], n_symbols))
            if not np.isfinite(held_back).all():
                raise TrajectoryFailed(
                    "interventions.learnt_detector: its scores are not finite; what earlier generations published has "
                    "numbers too large to learn from"
                )
            threshold = conformal_threshold(held_back[None], self.false_alarm)[0]
            states.append({**net, _THRESHOLD: np.array(threshold), _N_SYMBOLS: np.array(n_symbols)})
        return stacked(states)

    def score(self, samples: Samples, state: State) -> np.ndarray:
        """[B, n]: log odds of being synthetic, by the network; only their order means something."""
        return np.stack([self._score(samples.x[b], of(state, b)) for b in range(samples.n_trajectories)])

    def flag(self, samples: Samples, state: State) -> np.ndarray:
        """[B, n]: whether the score exceeds the threshold."""
        if not state:
            return np.zeros(samples.x.shape[:2], bool)
        return self.score(samples, state) > state[_THRESHOLD][:, None]

    def admit(self, samples: Samples, state: State) -> Samples:
        """Weights of flagged rows are multiplied."""
        return weighed_down(samples, self.flag(samples, state), self.flagged_weight)

    def _score(self, x: np.ndarray, state: State) -> np.ndarray:
        return _scores(state, _inputs(x, int(state[_N_SYMBOLS])))


def _inputs(x: np.ndarray, n_symbols: int) -> np.ndarray:
    """As the networks take them, float32: images whole."""
    if is_image(Event(x.shape[1:], str(x.dtype))):
        return x.astype(np.float32) / 255
    return as_vectors(x, n_symbols).astype(np.float32)


def _scores(net: State, x: np.ndarray) -> np.ndarray:
    logits = net_logits(net, x)
    return (logits[:, 1] - logits[:, 0]).astype(np.float64)
