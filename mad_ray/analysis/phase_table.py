"""From a store to a PhaseResult: a map or boundary study as far as it has come. Needs no config."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mad_ray.analysis.cells import NAN, CellRecord, Value, read_baseline, read_cells, value_of
from mad_ray.analysis.crossing import crossings_of_grid
from mad_ray.analysis.effective import Baseline
from mad_ray.analysis.levels import level_set_of, told
from mad_ray.analysis.phase import BASELINE_COLUMNS, BOUNDARY_COLUMNS, CELL_COLUMNS, Axis, PhaseResult
from mad_ray.analysis.table import provenance_of
from mad_ray.core.stopping import Limit, rule_in_words
from mad_ray.ledger.store import Store
from mad_ray.ledger.studies import read_study


def read_phase(store: Store, name: str) -> PhaseResult:
    """All that a map or boundary study has committed so far. Missing if there is no such study."""
    document = read_study(store, name)
    settings = document["map"]
    limit = Limit(**settings["limit"])
    cells = read_cells(store, name, document["cases"], limit)
    baseline = read_baseline(store, document["cases"], limit)
    values = [value_of(cell, settings["value"], baseline) for cell in cells]
    frame = cells_frame(cells, values)
    axes = {axis: _axis(settings[axis]) for axis in ("x", "y", "panel")}
    return PhaseResult(
        name=name,
        title=document["title"],
        kind=document["kind"],
        value=limit.metric if settings["value"] == "limit" else settings["value"],
        metric=limit.metric,
        level=settings["level"],
        **axes,  # type: ignore[arg-type]
        cells=frame,
        boundaries=_boundaries(document, frame),
        baseline=_baseline_frame(baseline),
        n_cells=len(cells),
        n_done=sum(cell.is_done for cell in cells),
        grid_cells=settings.get("grid_cells") or 0,
        rule=rule_in_words(limit),
        style="lines" if settings["y"] is None else "map",
        identity={"title": document["title"], "study": document["study"]},
        provenance=provenance_of([manifest for cell in cells for manifest in cell.manifests]),
    )


def _axis(found: dict[str, Any] | None) -> Axis | None:
    return None if found is None else Axis(found["field"], found["label"], tuple(found["values"]), found["is_log"])


def cells_frame(cells: Sequence[CellRecord], values: Sequence[Value]) -> pd.DataFrame:
    """CELL_COLUMNS, a row per cell."""
    rows = []
    for cell, value in zip(cells, values, strict=True):
        panel, x, y = (NAN if part is None else part for part in cell.point)
        found = cell.judgement
        rows.append(
            {
                "case": cell.case,
                "panel": panel,
                "x": x,
                "y": y,
                "value": value.value,
                "low": value.low,
                "high": value.high,
                "limit": found.mean if found else NAN,
                "limit_low": found.low if found else NAN,
                "limit_high": found.high if found else NAN,
                "state": value.state,
                "generations": found.n_generations if found else 0,
                "n_seeds": found.n_seeds if found else 0,
            }
        )
    return pd.DataFrame(rows, columns=list(CELL_COLUMNS))


def _boundaries(document: dict[str, Any], frame: pd.DataFrame) -> pd.DataFrame:
    """By interpolation in a grid; in a boundary study by the search's own surface, told what is known."""
    settings = document["map"]
    if settings["level"] is None or settings["y"] is None or frame.empty:
        return pd.DataFrame(columns=list(BOUNDARY_COLUMNS))
    if document["kind"] == "grid":
        return crossings_of_grid(frame, settings["level"], settings["y"]["is_log"], settings["rises"])
    return level_set_of(settings).tell(told(frame)).crossings_frame()


def _baseline_frame(baseline: Baseline | None) -> pd.DataFrame:
    if baseline is None:
        return pd.DataFrame(columns=list(BASELINE_COLUMNS))
    low, high = baseline.interval()
    n_seeds = np.broadcast_to(baseline.n_seeds, len(baseline.n))
    columns = zip(baseline.n, baseline.mean, low, high, n_seeds, strict=True)
    return pd.DataFrame(list(columns), columns=list(BASELINE_COLUMNS))
