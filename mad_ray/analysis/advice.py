"""How much synthetic data is admissible, and how much fresh data it takes: read from a boundary."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mad_ray.analysis.phase import PhaseResult
from mad_ray.core.errors import InvalidInput

NOWHERE = math.inf
"""The n_r from which on something is admissible, if it is not at any that was studied."""


@dataclass(frozen=True)
class Bound:
    """A number with its 95 % interval. kind: "crossing"; "above": none up to the end; "below": none at all."""

    value: float
    low: float
    high: float
    kind: str


def admissible_synthetic(result: PhaseResult, n_fresh: float, bias: float | None) -> Bound:
    """The largest n_s with n_e/n_r >= level at n_r = n_fresh: between columns, linear in both logarithms."""
    line = boundary_line(result, bias)
    x = line["x"].to_numpy(float)
    if not x.min() * (1 - 1e-9) <= n_fresh <= x.max() * (1 + 1e-9):
        raise InvalidInput(
            f"n_fresh={n_fresh:g} is outside what {result.name} studied ({x.min():g} to {x.max():g}); "
            "widen study.map.x there, or leave the study out to have the boundary searched"
        )
    right = min(int(np.searchsorted(x, n_fresh * (1 - 1e-9))), len(line) - 1)
    left = right if math.isclose(x[right], n_fresh) else max(right - 1, 0)
    one, other = (_bound(line.iloc[i], result) for i in (left, right))
    share = 0.0 if left == right else math.log(n_fresh / x[left]) / math.log(x[right] / x[left])
    if one.kind != "crossing" or other.kind != "crossing":
        # Beside a column without a crossing only the worse of the two is known.
        return min((one, other), key=lambda bound: bound.value)
    value, low, high = (_between(getattr(one, end), getattr(other, end), share) for end in ("value", "low", "high"))
    return Bound(value, low, high, "crossing")


def fresh_for_share(result: PhaseResult, share: float, bias: float | None) -> tuple[Bound, Bound]:
    """The smallest and the largest n_r at which a share n_s / (n_s + n_r) of synthetic data is admissible.

    "below" in both: at none that was studied, low and high are its ends; "above": from the smallest studied on, or up
    to the largest. Studied means where n_s, the share of it, lies within what was looked at, or is known to be decided.
    """
    line, ratio = boundary_line(result, bias), share / (1 - share)
    line = line[[_is_decided(row, ratio * row["x"], result) for _, row in line.iterrows()]]
    if line.empty:
        bottom, top = _searched(result)
        raise InvalidInput(
            f"a share of {share:g} takes n_s outside what {result.name} studied ({bottom:g} to {top:g}); widen "
            "study.map.y there, or leave the study out to have the boundary searched"
        )
    x = line["x"].to_numpy(float)
    bounds = [_bound(row, result) for _, row in line.iterrows()]
    ends = {
        end: np.log([max(getattr(bound, end), 1e-9) for bound in bounds]) - np.log(ratio * x)
        for end in ("value", "low", "high")
    }
    found = {end: _where(x, excess) for end, excess in ends.items()}
    first, last = found["value"]
    if math.isnan(first):
        none = Bound(math.nan, float(x[0]), float(x[-1]), "below")
        return none, none
    # By the worse end of the intervals it may be admissible nowhere that was studied: then the interval is open.
    latest, earliest = (NOWHERE, 0.0) if math.isnan(found["low"][0]) else found["low"]
    start = Bound(first, found["high"][0], latest, "crossing" if first > x[0] else "above")
    end = Bound(last, earliest, found["high"][1], "crossing" if last < x[-1] else "above")
    return start, end


def fresh_for_synthetic(result: PhaseResult, n_synthetic: float, bias: float | None) -> Bound:
    """The smallest n_r from which on n_synthetic samples are admissible: "below" if at none that was studied."""
    line = boundary_line(result, bias)
    bottom, top = _searched(result)
    if not bottom * (1 - 1e-9) <= n_synthetic <= top * (1 + 1e-9):
        raise InvalidInput(
            f"n_synthetic={n_synthetic:g} is outside what {result.name} studied ({bottom:g} to {top:g}); "
            "widen study.map.y there, or leave the study out to have the boundary searched"
        )
    x = line["x"].to_numpy(float)
    bounds = [_bound(row, result) for _, row in line.iterrows()]
    value, low, high = (
        _from(x, np.log([max(getattr(bound, end), 1e-9) for bound in bounds]) - math.log(n_synthetic))
        for end in ("value", "high", "low")
    )
    if math.isnan(value):
        return Bound(math.nan, low, NOWHERE, "below")
    return Bound(value, low, NOWHERE if math.isnan(high) else high, "crossing" if value > x[0] else "above")


def boundary_line(result: PhaseResult, bias: float | None) -> pd.DataFrame:
    """The boundary over n_r at one lambda, ascending. InvalidInput if the study did not look there."""
    if result.x.field != "loop.n_fresh" or result.y is None or result.y.field != "loop.n_synthetic":
        raise InvalidInput(
            f"{result.name} maps {result.x.field} and {result.y.field if result.y else 'nothing'}; advice needs "
            "loop.n_fresh on x and loop.n_synthetic on y, as in configs/phase/gaussian.yaml"
        )
    if result.boundaries.empty:
        raise InvalidInput(f"{result.name} has no boundary yet: finish it with `mad-ray run`, then ask again")
    found = result.boundaries
    at = studied_bias(result, bias)
    if result.panel is not None:
        found = found[np.isclose(found["panel"], at)]
    if found.empty:
        raise InvalidInput(f"{result.name} has no boundary at lambda={at:g} yet: finish it with `mad-ray run`")
    return found.sort_values("x")


def studied_bias(result: PhaseResult, bias: float | None) -> float:
    """The lambda that is meant, of those that were studied; one that stands alone need not be named."""
    if result.panel is not None and result.panel.field != "loop.bias":
        raise InvalidInput(
            f"{result.name} has a panel for each {result.panel.field}; advice needs panels over loop.bias, or none"
        )
    fixed = result.identity.get("study", {}).get("loop", {}).get("bias", 1)
    studied = [float(fixed)] if result.panel is None else sorted(result.panel.values)
    known = ", ".join(f"{value:g}" for value in studied)
    if bias is None and len(studied) > 1:
        raise InvalidInput(f"{result.name} studied several lambdas ({known}): name one with --bias")
    close = studied if bias is None else [value for value in studied if math.isclose(value, bias, abs_tol=1e-9)]
    if not close:
        raise InvalidInput(
            f"bias={bias:g} is not one that {result.name} studied ({known}); choose one of these, or leave the "
            "study out to have the boundary searched"
        )
    return close[0]


def nearest_cells(result: PhaseResult, n_fresh: float | None, bias: float | None, n: int = 4) -> pd.DataFrame:
    """Of the cells computed, those nearest to the level: at n_fresh if given, else wherever they are."""
    cells = result.cells.dropna(subset=["value"])
    if result.panel is not None:
        cells = cells[np.isclose(cells["panel"], studied_bias(result, bias))]
    if n_fresh is not None:
        gap = (cells["x"] / n_fresh - 1).abs()
        cells = cells[gap <= gap.min() + 1e-9]
    order = (cells["value"] - (result.level or 0.0)).abs().sort_values().index
    return cells.loc[order[:n]].sort_values(["x", "y"])


def _bound(row: pd.Series, result: PhaseResult) -> Bound:
    if row["kind"] == "crossing":
        return Bound(row["crossing"], row["low"], row["high"], "crossing")
    bottom, top = _searched(result)
    return Bound(top, top, top, "above") if row["kind"] == "above" else Bound(0.0, 0.0, bottom, "below")


def _searched(result: PhaseResult) -> tuple[float, float]:
    assert result.y is not None
    return result.y.values[0], result.y.values[-1]


def _is_decided(row: pd.Series, n_synthetic: float, result: PhaseResult) -> bool:
    """Whether the column tells if so many are admissible: without a crossing only what was looked at is known."""
    bottom, top = _searched(result)
    if row["kind"] == "above":
        return n_synthetic <= top * (1 + 1e-9)
    return row["kind"] == "crossing" or n_synthetic >= bottom * (1 - 1e-9)


def _between(one: float, other: float, share: float) -> float:
    return math.exp((1 - share) * math.log(max(one, 1e-9)) + share * math.log(max(other, 1e-9)))


def _where(x: np.ndarray, excess: np.ndarray) -> tuple[float, float]:
    """The first and the last x at which excess >= 0, linear in log x between columns; NaN if none."""
    inside = np.flatnonzero(excess >= 0)
    if len(inside) == 0:
        return math.nan, math.nan
    first, last = int(inside[0]), int(inside[-1])
    start = float(x[0]) if first == 0 else _root(x, excess, first - 1)
    return start, float(x[-1]) if last == len(x) - 1 else _root(x, excess, last)


def _from(x: np.ndarray, excess: np.ndarray) -> float:
    """The x from which on excess >= 0 up to the end; NaN if it ends below."""
    below = np.flatnonzero(excess < 0)
    if len(below) == 0:
        return float(x[0])
    return math.nan if below[-1] == len(x) - 1 else _root(x, excess, int(below[-1]))


def _root(x: np.ndarray, excess: np.ndarray, i: int) -> float:
    """Between columns i and i + 1."""
    share = excess[i] / (excess[i] - excess[i + 1])
    return float(np.exp(np.log(x[i]) + share * np.log(x[i + 1] / x[i])))
