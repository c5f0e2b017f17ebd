"""Made-up maps and boundaries that look like real ones: the fresh data loop's limit by large-sample theory.

Variance: n_e/n_r -> (1 + 2 r)/(1 + r), r = n_s/n_r. Bias: the covariance rests at s = n_r / (n_r + n_s (1 - lambda)).
"""

import numpy as np
import pandas as pd

from mad_ray.analysis.phase import BASELINE_COLUMNS, BOUNDARY_COLUMNS, CELL_COLUMNS, Axis, PhaseResult
from mad_ray.core.keys import Keys

D = 100
RULE = "A cell runs until its limit's 95 % interval is within 2 %, for at most 2,000 generations."


def limit_of(n_r: float, n_s: float, bias: float) -> float:
    """Squared W2 at which the loop rests."""
    r = n_s / n_r
    shrunk = 1 / (1 + r * (1 - bias))
    return D * (D + 5) / 4 / n_r * (1 + r) / (1 + 2 * r) + D * (1 - shrunk**0.5) ** 2


def ratio_of(n_r: float, n_s: float, bias: float) -> float:
    """n_e/n_r: the baseline's squared W2 is d (d + 5) / (4 n)."""
    return D * (D + 5) / 4 / limit_of(n_r, n_s, bias) / n_r


def cell(panel: float, x: float, y: float, value: float, limit: float, width: float = 0.03, **rest) -> dict:
    """A settled cell with addressed noise, but for what `rest` says."""
    # Little synthetic data, little noise: the loop and its baseline then train on the same rows.
    spread = width / 4 * (1.0 if np.isnan(y) or x == 0 else y / (x + y))
    noise = float(np.exp(spread * Keys((0,), ("cell",)).generator(0, f"{panel:g}/{x:g}/{y:g}").standard_normal()))
    centre = value * noise
    row = {"case": f"cell {panel:g} {x:g} {y:g}", "panel": panel, "x": x, "y": y, "value": centre}
    row |= {"low": centre * (1 - width), "high": centre * (1 + width), "limit": limit}
    row |= {"limit_low": limit * (1 - width), "limit_high": limit * (1 + width)}
    return row | {"state": "settled", "generations": 240, "n_seeds": 64} | rest


def void(row: dict, state: str) -> dict:
    """The cell without a value."""
    nothing = dict.fromkeys(("value", "low", "high", "limit", "limit_low", "limit_high"), float("nan"))
    return row | nothing | {"state": state}


def crossing_of(panel: float, x: float, cells: list[dict], level: float = 1.0) -> dict:
    """Where the value falls below the level along y, in logs."""
    column = sorted((c for c in cells if (c["panel"], c["x"]) == (panel, x)), key=lambda c: c["y"])
    values = np.array([c["value"] for c in column])
    y = np.array([c["y"] for c in column])
    if np.nanmin(values) >= level or np.nanmax(values[:1]) < level:
        kind = "above" if np.nanmin(values) >= level else "below"
        return dict(zip(BOUNDARY_COLUMNS, (panel, x, np.nan, np.nan, np.nan, kind), strict=True))
    k = int(np.flatnonzero(values < level)[0])
    share = np.log(values[k - 1] / level) / np.log(values[k - 1] / values[k])
    at = float(y[k - 1] * (y[k] / y[k - 1]) ** share)
    return dict(zip(BOUNDARY_COLUMNS, (panel, x, at, at * 0.93, at * 1.08, "crossing"), strict=True))


def baseline() -> pd.DataFrame:
    n = np.geomspace(50, 20_000, 14).round()
    mean = D * (D + 5) / 4 / n
    return pd.DataFrame(
        {"n": n, "mean": mean, "low": mean * 0.99, "high": mean * 1.01, "n_seeds": 64}, columns=list(BASELINE_COLUMNS)
    )


def result(cells: list[dict], boundaries: list[dict], **rest) -> PhaseResult:
    """A finished map of figure 11, but for what `rest` says."""
    fields = dict(  # noqa: C408
        name="figure-11",
        title="When does synthetic data help?",
        kind="grid",
        value="n_e/n_r",
        metric="w2_squared",
        level=1.0,
        x=Axis("loop.n_fresh", "n_r", (100.0, 10_000.0)),
        y=Axis("loop.n_synthetic", "n_s", (100.0, 10_000.0)),
        panel=Axis("loop.bias", "lambda", (0.7, 0.85, 1.0), is_log=False),
        cells=pd.DataFrame(cells, columns=list(CELL_COLUMNS)),
        boundaries=pd.DataFrame(boundaries, columns=list(BOUNDARY_COLUMNS)),
        baseline=baseline(),
        n_cells=len(cells),
        n_done=len(cells),
        rule=RULE,
        identity={"study": {"name": "figure-11", "map": {"level": 1.0}}},
        provenance={"versions": {"mad_ray": "0.1.0"}, "devices": ["cpu"], "seconds": {"fit": 81.5}},
    )
    return PhaseResult(**{**fields, **rest})


def map_result(n: int = 20, **rest) -> PhaseResult:
    """Figure 11: n_e/n_r over (n_r, n_s) for three lambdas; some cells not settled."""
    values = tuple(float(round(v)) for v in np.geomspace(100, 10_000, n))
    biases = (0.7, 0.85, 1.0)
    cells = [cell(b, x, y, ratio_of(x, y, b), limit_of(x, y, b)) for b in biases for x in values for y in values]
    crossings = [crossing_of(b, x, cells) for b in biases for x in values]
    for i in range(7, len(cells), 61):
        cells[i]["state"] = "drifting" if i % 2 else "noisy"
    cells[3] = void(cells[3], "no model")
    axes = {"x": Axis("loop.n_fresh", "n_r", values), "y": Axis("loop.n_synthetic", "n_s", values)}
    return result(cells, crossings, **{**axes, **rest})


def partial_map(n: int = 20) -> PhaseResult:
    """Two of three panels begun; failures, and cells that have not been tried."""
    whole = map_result(n)
    rows = whole.cells.to_dict("records")[: n * n + n * n // 2]
    rows[n] = void(rows[n], "failed: <b>out of memory</b>")
    rows[-3:] = [void(row, "not finished") for row in rows[-3:]]
    boundaries = whole.boundaries[whole.boundaries["panel"] == 0.7].to_dict("records")
    return result(rows, boundaries, x=whole.x, y=whole.y, n_cells=3 * n * n, n_done=len(rows) - 3, title="")


def boundary_result(n: int = 9, **rest) -> PhaseResult:
    """The level set of figure 11, found by bisection: few cells, many lambdas."""
    xs = tuple(float(round(v)) for v in np.geomspace(100, 10_000, n))
    biases = (0.5, 0.7, 0.85, 0.95, 1.0)
    cells, boundaries = [], []
    for bias in biases:
        for x in xs:
            low, high = 10.0, 100_000.0
            column = [cell(bias, x, y, ratio_of(x, y, bias), limit_of(x, y, bias)) for y in (low, high)]
            while column[0]["value"] >= 1 > column[1]["value"] and high / low > 1.1:
                middle = (low * high) ** 0.5
                column.append(cell(bias, x, middle, ratio_of(x, middle, bias), limit_of(x, middle, bias)))
                low, high = (middle, high) if column[-1]["value"] >= 1 else (low, middle)
            cells += column
            boundaries.append(crossing_of(bias, x, column))
    axes = {
        "x": Axis("loop.n_fresh", "n_r", xs),
        "y": Axis("loop.n_synthetic", "n_s", (10.0, 100_000.0)),
        "panel": Axis("loop.bias", "lambda", biases, is_log=False),
    }
    fields = {"name": "threshold", "kind": "boundary", "grid_cells": 5 * n * 97, **axes}
    return result(cells, boundaries, **{**fields, **rest})


def lines_result(**rest) -> PhaseResult:
    """Figure 31: the limit against the data set's size, for several shares of real data."""
    sizes = tuple(float(round(v)) for v in np.geomspace(1_000, 100_000, 9))
    shares = (0.003, 0.01, 0.03, 0.1, 1.0)
    nan = float("nan")
    cells = [
        cell(p, n, nan, limit, limit, state="settled" if n < 5e4 else "noisy")
        for p in shares
        for n in sizes
        for limit in [limit_of(p * n, (1 - p) * n, 1.0)]
    ]
    axes = {
        "x": Axis("loop.n", "n", sizes),
        "y": None,
        "panel": Axis("loop.real_share", "p", shares),
        "value": "w2_squared",
        "level": None,
        "style": "lines",
    }
    return result(cells, [], name="figure-31", **{**axes, "baseline": baseline()[:0], **rest})


def memory_result() -> PhaseResult:
    """Figure 30: n_e/n_r against the memory K, without panels."""
    ks = tuple(float(k) for k in (1, 2, 3, 5, 10, 20, 50, 100))
    nan = float("nan")
    cells = [cell(nan, k, nan, 1.9 + 7 * (1 - np.exp(-k / 30)), 2.0) for k in ks]
    x = Axis("loop.memory", "K", ks, is_log=False)
    return result(cells, [], name="figure-30", x=x, y=None, panel=None, style="lines")
