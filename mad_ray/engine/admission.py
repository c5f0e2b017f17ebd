"""How rows enter D^t: every admitting intervention in order; what detectors flagged is counted by the truth."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mad_ray.core.keys import Keys, Part
from mad_ray.core.loop import Slice
from mad_ray.core.rows import CHUNK, by_chunks
from mad_ray.core.samples import Samples
from mad_ray.interventions.flags import weighed_down
from mad_ray.interventions.intervention import Admits, Detects, Dice, State


@dataclass(frozen=True)
class Gate:
    """One intervention that rows pass, and what it has learnt before this generation."""

    place: int
    one: Any
    state: State


@dataclass(frozen=True)
class Admission:
    """All gates, in order. Pickles: workers let the same rows in by themselves."""

    gates: tuple[Gate, ...]
    keys: Keys

    def admit(self, samples: Samples, generation: int, start: int, member: str = "") -> Samples:
        """Rows start.. of what `generation` published (0: of the real data) with the weights that they enter with.

        Rows that no trajectory gives any weight are left out. member: of an ecosystem, whose they are (its own: empty).
        """
        for gate in self.gates:
            samples, _ = self._pass(gate, samples, generation, start, member)
        kept = (samples.weight > 0).any(axis=0)
        if kept.all():
            return samples
        return Samples(samples.x[:, kept], samples.label[:, kept], samples.weight[:, kept])

    def flags(
        self, samples: Samples, generation: int, start: int, member: str = ""
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """What each detector says of the rows, [B, n] bool each, and the weights [B, n] that they enter with."""
        found = []
        for gate in self.gates:
            samples, flagged = self._pass(gate, samples, generation, start, member)
            if flagged is not None:
                found.append(flagged)
        return found, samples.weight

    def _pass(
        self, gate: Gate, samples: Samples, generation: int, start: int, member: str
    ) -> tuple[Samples, np.ndarray | None]:
        if isinstance(gate.one, Dice):
            thrown = self._thrown(gate, Slice(generation, start, start + samples.n, member))
            return weighed_down(samples, thrown, gate.one.flagged_weight), thrown
        flagged = gate.one.flag(samples, gate.state) if isinstance(gate.one, Detects) else None
        return gate.one.admit(samples, gate.state), flagged

    def _thrown(self, gate: Gate, part: Slice) -> np.ndarray:
        """[B, n] bool. A row is flagged by its own number: once flagged, it is flagged wherever it returns."""
        keys = self.keys.at("dice", gate.place, part.generation, *whose(part))
        n = len(keys.seeds)
        uniform = by_chunks(lambda b, c: keys.quick(b, c).random((CHUNK, 1)), n, part.start, part.stop, 1)[..., 0]
        return uniform < rate_of(gate.one, part.generation)

    @property
    def is_thinning(self) -> bool:
        """Whether rows are dropped whatever they hold, so that the summary of those left is one of fewer rows."""
        return all(is_thinning(gate.one) for gate in self.gates)

    def thinned(self, part: Slice) -> Slice:
        """A piece drawn as a whole, as long as it is once every die is thrown.

        How many fall is one number for all trajectories of a cohort, drawn for the piece: binomial for each.
        """
        n = part.n
        for gate in self.gates:
            where: tuple[Part, ...] = "thinned", gate.place, part.generation, part.start, part.stop, *whose(part)
            rate = rate_of(gate.one, part.generation)
            n = int(Keys((0,), self.keys.path).at(*where).generator(0).binomial(n, 1 - rate))
        return replace(part, stop=part.start + n)


def origin(part: Slice) -> tuple[int, int, str]:
    """(generation, number of the first row, member) of rows."""
    return part.generation, part.start, part.member


def whose(part: Slice) -> tuple[str, ...]:
    """What the address of another member's rows has beyond that of one's own."""
    return (part.member,) if part.member else ()


def rate_of(one: Dice, generation: int) -> float:
    """Its rate for rows of that generation, 0 being the real data."""
    return one.hit_rate if generation else one.false_alarm_rate


def is_thinning(one: Any) -> bool:
    """Whether it drops rows at random, and changes no weight else."""
    return isinstance(one, Dice) and one.flagged_weight == 0


def is_gate(one: Any) -> bool:
    """Whether rows pass it on their way into D^t."""
    return isinstance(one, (Dice, Admits))


@dataclass
class Tally:
    """What entered D^t, by the truth: weights [B] of real and synthetic rows, and flags of each detector."""

    weight: np.ndarray
    """[2, B]: of real, of synthetic rows."""
    squared: np.ndarray
    """[B]: the sum of squared weights."""
    n: np.ndarray
    """[2]: rows, real and synthetic, before any was dropped."""
    flagged: np.ndarray
    """[detectors, 2, B]: rows that each flagged."""

    def values(self) -> dict[str, np.ndarray]:
        """Metric -> [B], NaN where there are no such rows."""
        found = {}
        for i, of in enumerate(self.flagged):
            suffix = f"_{i + 1}" if i else ""
            found[f"hit_rate{suffix}"] = of[1] / self.n[1] if self.n[1] else np.full(of.shape[1], np.nan)
            found[f"false_alarm_rate{suffix}"] = of[0] / self.n[0] if self.n[0] else np.full(of.shape[1], np.nan)
        total = self.weight.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found["synthetic_share"] = self.weight[1] / total
            found["effective_rows"] = total**2 / self.squared
        return found


def tally(admission: Admission, blocks: Iterator[tuple[Samples, Slice]], n_trajectories: int) -> Tally:
    """Count over (rows as they come, which they are)."""
    n_detectors = sum(isinstance(gate.one, (Detects, Dice)) for gate in admission.gates)
    found = _empty(n_detectors, n_trajectories)
    for samples, part in blocks:
        flags, weight = admission.flags(samples, *origin(part))
        kind = int(not part.is_real)
        found.n[kind] += samples.n
        found.weight[kind] += weight.sum(axis=1, dtype=np.float64)
        found.squared += np.square(weight, dtype=np.float64).sum(axis=1)
        for i, flagged in enumerate(flags):
            found.flagged[i, kind] += flagged.sum(axis=1)
    return found


def thinned_tally(admission: Admission, pieces: tuple[Slice, ...], n_trajectories: int) -> Tally:
    """The same of pieces that are drawn as wholes: of each, how many rows fell. Detectors in a row count as one."""
    found = _empty(1, n_trajectories)
    for part in pieces:
        kind, kept = int(part.generation > 0), admission.thinned(part).n
        found.n[kind] += part.n
        found.weight[kind] += kept
        found.squared += kept
        found.flagged[0, kind] += part.n - kept
    return found


def _empty(n_detectors: int, n_trajectories: int) -> Tally:
    return Tally(
        weight=np.zeros((2, n_trajectories)),
        squared=np.zeros(n_trajectories),
        n=np.zeros(2),
        flagged=np.zeros((n_detectors, 2, n_trajectories)),
    )


def learn_gates(
    active: Mapping[int, Any], keys: Keys, state_of: Callable[[int, Any, Admission], State]
) -> Admission | None:
    """Every gate with what it learns, one after another: each from what those before it let in."""
    gates: tuple[Gate, ...] = ()
    for place, one in active.items():
        if is_gate(one):
            state = {} if isinstance(one, Dice) else state_of(place, one, Admission(gates, keys))
            gates = (*gates, Gate(place, one, state))
    return Admission(gates, keys) if gates else None
