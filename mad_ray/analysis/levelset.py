"""Where a noisy function crosses a level along one axis, for many lines at once: ask and tell, with few evaluations.

A Gaussian process over all coordinates shares what is seen on one line with its neighbours. What is asked for next is
where the surface is least known among the places that still decide a crossing (the straddle rule of Bryan et al.
2005), several at once by taking their expected values for granted. All that it knows is what it was told: telling a new
search the whole history leads to the same next question.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from mad_ray.analysis.phase import BOUNDARY_COLUMNS
from mad_ray.analysis.surface import Surface, fit_surface

Point = tuple[float, ...]
"""The coordinates of a line, and the searched one."""
Z = 1.96
"""Of a 95 % interval."""
N_CANDIDATES = 64
"""Places along a line at which it may be evaluated, and between which crossings are interpolated."""
SQUASH = 2.0
"""Beyond so many e-folds from the level a value counts as far: w = 2 tanh(log(value / level) / 2) is smooth there."""
VAGUE = 0.1
"""Standard error, in e-folds, of values that come without one."""
FAILED_RADIUS = 0.1
"""Around a failed evaluation nothing is asked again, in the unit cube."""
NEIGHBOURHOOD = 0.15
"""A place already evaluated is made sure of by neighbours within so much of the unit cube."""
GOLDEN = (0.7548776662466927, 0.5698402909980532)
"""Steps of the R2 sequence, which fills a square evenly (Roberts 2018)."""


@dataclass(frozen=True)
class LevelSetSettings:
    """What is searched: on each line the largest y at which value >= level (rises: value <= level), and how."""

    lines: tuple[tuple[float, ...], ...]
    """The fixed coordinates of each line: (n_r,), or (panel, n_r)."""
    low: float
    """The searched axis begins here."""
    high: float
    """And ends here."""
    level: float = 1.0
    is_log: bool = True
    """Whether the searched axis is logarithmic."""
    is_whole: bool = False
    """Whether it takes whole numbers only."""
    lines_log: tuple[bool, ...] = ()
    """Which of the lines' coordinates are logarithmic; none if left out."""
    rises: bool = False
    """Search the largest y at which value <= level instead."""
    tolerance: float = 0.03
    """Half-width of the value's 95 % interval at a crossing; relative to the level if that is positive."""
    batch: int = 8
    """Points asked for at once: part of what a search is, so that no result depends on how many run at once."""
    budget: int = 500
    """Evaluations at most."""

    def __post_init__(self) -> None:
        if not self.lines or not self.low < self.high or (self.is_log and self.low <= 0):
            raise ValueError(f"lines={len(self.lines)}, low={self.low}, high={self.high}: give lines and low < high")
        if self.lines_log and len(self.lines_log) != len(self.lines[0]):
            raise ValueError(f"lines_log={self.lines_log}: give one for each of {len(self.lines[0])} coordinates")


@dataclass(frozen=True)
class Crossing:
    """Where a line crosses the level: y, in low..high by the surface's 95 % interval.

    kind: "crossing"; "above" or "below": the value stays on that side up to the axis' end, or from its beginning on.
    is_known: to the tolerance asked for. Without a crossing y is NaN; low and high say where one might still be.
    """

    line: tuple[float, ...]
    y: float
    low: float
    high: float
    kind: Literal["crossing", "above", "below"]
    is_known: bool


class LevelSet:
    """Asks for points, is told values, knows crossings."""

    def __init__(self, settings: LevelSetSettings) -> None:
        self.settings = settings
        self.told: dict[Point, tuple[float, float]] = {}

    def tell(self, results: Iterable[tuple[Point, float, float]]) -> "LevelSet":
        """(point, value, standard error) of each evaluation; NaN: it failed. 0 and inf: off the scale on that side."""
        for point, value, se in results:
            self.told[tuple(float(part) for part in point)] = (float(value), float(se))
        return self

    def ask(self) -> list[Point]:
        """The next points to evaluate, a batch at most; empty once every line is known, or the budget is spent.

        Empty too if all of the first points failed: there is nothing to go by.
        """
        room = min(self.settings.batch, self.settings.budget - len(self.told))
        design = [point for point in self._design if point not in self.told]
        if room <= 0 or (not design and not len(self._seen[1])):
            return []
        return design[:room] if design else self._search(room)

    def crossings(self) -> list[Crossing]:
        """For each line, in order, what is known so far."""
        if not self._seen[1].size:
            s = self.settings
            return [Crossing(line, math.nan, s.low, s.high, "crossing", False) for line in s.lines]
        mean, sd = self._posterior(self._surface())
        return [self._crossing(i, mean[i], sd[i]) for i in range(len(self.settings.lines))]

    def crossings_frame(self) -> pd.DataFrame:
        """BOUNDARY_COLUMNS; a line's coordinates are (x,) or (panel, x)."""
        rows = [((math.nan, *c.line)[-2:], c.y, c.low, c.high, c.kind) for c in self.crossings()]
        return pd.DataFrame([(*line, *rest) for line, *rest in rows], columns=list(BOUNDARY_COLUMNS))

    # -- what to ask --------------------------------------------------------------------------------------------------

    def _search(self, n: int) -> list[Point]:
        surface, se = self._surface(), float(np.median(self._seen[2]))
        free, hopeless = self._places()
        found: list[Point] = []
        mean, sd = self._posterior(surface)
        while len(found) < n:
            score = np.where(self._open(mean, sd) & ~hopeless, Z * sd - np.abs(mean), -np.inf)
            place = np.unravel_index(int(np.argmax(np.round(score, 9))), score.shape)
            if not np.isfinite(score[place]):
                break
            i, j = self._nearest(place, free, surface.lengths)
            if not free[i, j]:
                hopeless[place] = True
                continue
            free[i, j] = False
            found.append((*self.settings.lines[i], float(self._y[j])))
            surface = surface.believing(self._cube[i, j], se**2)
            mean, sd = self._posterior(surface)
        return found

    def _nearest(self, place: tuple[np.intp, ...], free: np.ndarray, lengths: np.ndarray) -> tuple[int, int]:
        """The free candidate that tells most of a place: the place itself, or a neighbour; else the place, not free."""
        away = self._cube - self._cube[place]
        near = free & (np.abs(away) < NEIGHBOURHOOD).all(axis=-1)
        distance = np.where(near, ((away / lengths) ** 2).sum(axis=-1), np.inf)
        i, j = np.unravel_index(int(np.argmin(np.round(distance, 9))), distance.shape)
        return (int(i), int(j)) if near[i, j] else (int(place[0]), int(place[1]))

    def _open(self, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """[lines, candidates]: undecided, and not below (in y) a place that is known to be on the admissible side.

        A place is decided if its interval has one side of the level, or is no wider than the tolerance.
        """
        decided = (Z * sd <= np.abs(mean)) | (Z * sd <= self._tolerance)
        return ~decided & ~_any_from(decided & (mean >= 0))

    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """[lines, candidates]: which may be evaluated, and which are too close to where that failed to be learnt of."""
        told = np.array([[(*line, float(y)) in self.told for y in self._y] for line in self.settings.lines])
        failed = [point for point, (value, _) in self.told.items() if math.isnan(value)]
        hopeless = np.zeros_like(told)
        for x in self._scaled(np.array(failed)) if failed else ():
            hopeless |= (np.abs(self._cube - x) < FAILED_RADIUS).all(axis=-1)
        return ~told & ~hopeless, hopeless

    @cached_property
    def _design(self) -> list[Point]:
        """The first points: the end of the axis on the outer lines, and an even filling of lines and axis."""
        lines, n = self.settings.lines, min(len(self.settings.lines), 3)
        ends = [(*lines[i], float(self._y[-1])) for i in np.linspace(0, len(lines) - 1, n).round().astype(int)]
        steps = np.arange(1, 2 * self.settings.batch + 1)[:, None] * np.array(GOLDEN) % 1
        filling = [(*lines[int(a * len(lines))], float(self._y[int(b * len(self._y))])) for a, b in steps]
        return list(dict.fromkeys([*ends, *filling]))[: max(self.settings.batch, 8)]

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def _seen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points [n, k] in the unit cube, values w [n] (>= 0: admissible) and standard errors [n], in order."""
        usable = sorted((p, v, se) for p, (v, se) in self.told.items() if not math.isnan(v))
        points = np.array([p for p, _, _ in usable]).reshape(len(usable), len(self.settings.lines[0]) + 1)
        value, se = (np.array([row[i] for row in usable], dtype=float) for i in (1, 2))
        w, slope = self._to_w(value)
        # Without a standard error, or off the scale, a value says about where it lies and no more.
        is_sharp = np.isfinite(se) & (slope > 0)
        se = np.where(is_sharp, np.maximum(np.where(is_sharp, se, 0.0) * slope, 1e-4), VAGUE)
        return self._scaled(points), w, se

    def _to_w(self, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance from the level, positive on the admissible side, and |dw / dvalue|."""
        level, sign = self.settings.level, -1.0 if self.settings.rises else 1.0
        if level <= 0:
            return sign * (value - level) / self._unit(value), np.full(len(value), 1 / self._unit(value))
        with np.errstate(divide="ignore"):
            w = np.tanh(np.log(np.maximum(value, 0.0) / level) / SQUASH)
        slope = np.divide(1 - w**2, value, out=np.zeros(len(value)), where=(value > 0) & np.isfinite(value))
        return sign * SQUASH * w, slope

    def _unit(self, value: np.ndarray) -> float:
        """A level of 0 or less has no logarithm: the values' own spread is the unit."""
        return max(float(np.abs(value - self.settings.level).max(initial=0)) / SQUASH, 1e-300)

    @property
    def _tolerance(self) -> float:
        if self.settings.level > 0:
            return self.settings.tolerance
        values = np.array([value for value, _ in self.told.values() if not math.isnan(value)])
        return self.settings.tolerance / self._unit(values)

    def _surface(self) -> Surface:
        x, w, se = self._seen
        return fit_surface(x, w, se**2)

    def _posterior(self, surface: Surface) -> tuple[np.ndarray, np.ndarray]:
        mean, sd = surface.posterior(self._cube.reshape(-1, self._cube.shape[-1]))
        return mean.reshape(self._cube.shape[:2]), sd.reshape(self._cube.shape[:2])

    def _crossing(self, i: int, mean: np.ndarray, sd: np.ndarray) -> Crossing:
        """Line i's, by the mean; the interval by mean -+ 1.96 sd, each the largest y on the admissible side."""
        y, low, high = (self._last(curve) for curve in (mean, mean - Z * sd, mean + Z * sd))
        is_known = not self._open(mean[None], sd[None]).any()
        kind: Literal["crossing", "above", "below"] = "crossing"
        if mean[-1] >= 0 or math.isnan(y):
            kind = "above" if (mean[-1] >= 0) != self.settings.rises else "below"
            y = math.nan
        low, high = (self.settings.low if math.isnan(end) else end for end in (low, high))
        return Crossing(self.settings.lines[i], y, low, high, kind, is_known)

    def _last(self, curve: np.ndarray) -> float:
        """The largest y at which the curve is >= 0, linear between candidates; NaN if it nowhere is."""
        above = np.nonzero(curve >= 0)[0]
        if len(above) == 0:
            return math.nan
        j = int(above[-1])
        if j == len(curve) - 1:
            return float(self._y[j])
        axis = np.log(self._y) if self.settings.is_log else self._y
        at = axis[j] + (axis[j + 1] - axis[j]) * curve[j] / (curve[j] - curve[j + 1])
        return float(np.exp(at) if self.settings.is_log else at)

    # -- coordinates --------------------------------------------------------------------------------------------------

    @cached_property
    def _y(self) -> np.ndarray:
        """Where lines may be evaluated, ascending, both ends among them."""
        s = self.settings
        y = (np.geomspace if s.is_log else np.linspace)(s.low, s.high, N_CANDIDATES)
        return np.unique(np.round(y)) if s.is_whole else np.array([*(float(f"{v:.6g}") for v in y[:-1]), s.high])

    @cached_property
    def _cube(self) -> np.ndarray:
        """[lines, candidates, k]: all candidates in the unit cube."""
        points = [[(*line, y) for y in self._y] for line in self.settings.lines]
        return self._scaled(np.array(points).reshape(-1, len(self.settings.lines[0]) + 1)).reshape(
            len(self.settings.lines), len(self._y), -1
        )

    def _scaled(self, points: np.ndarray) -> np.ndarray:
        """Every coordinate from 0 to 1 over what is searched, by its logarithm where it has one."""
        s = self.settings
        logs = (*(s.lines_log or (False,) * len(s.lines[0])), s.is_log)
        ends = np.array(
            [[*map(min, zip(*s.lines, strict=True)), s.low], [*map(max, zip(*s.lines, strict=True)), s.high]]
        )
        scaled = []
        for k, is_log in enumerate(logs):
            column, (low, high) = points[:, k], ends[:, k]
            if is_log:
                column, low, high = np.log(column), math.log(low), math.log(high)
            scaled.append((column - low) / ((high - low) or 1.0))
        return np.stack(scaled, axis=1)


def _any_from(known: np.ndarray) -> np.ndarray:
    """[lines, candidates] -> whether any at this y or a larger one is."""
    return np.logical_or.accumulate(known[:, ::-1], axis=1)[:, ::-1]
