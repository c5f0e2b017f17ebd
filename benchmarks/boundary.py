"""The boundary n_e/n_r = 1 of figure 11 (lambda = 0.85): searched for, against the whole grid of 20 x 20 cells.

Counts evaluations and seconds of both, and says how far from 1 the grid finds n_e/n_r where the search found 1.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from mad_ray.analysis.phase import PhaseResult
from mad_ray.analysis.phase_table import read_phase
from mad_ray.commands.run import compute
from mad_ray.commands.session import open_session

CONFIGS = Path(__file__).parents[1] / "configs"
BIAS = 0.85


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        grid, grid_s = computed("paper/fig11.yaml", folder)
        boundary, boundary_s = computed("phase/gaussian.yaml", folder)
    share = boundary.n_done / grid.n_done
    print(f"grid      {grid.n_done:4} cells  {grid_s:6.0f} s")
    print(f"boundary  {boundary.n_done:4} cells  {boundary_s:6.0f} s   {share:.1%} of the grid's cells (goal 15 %)")
    errors = values_at_boundary(grid, boundary) - 1
    print(
        f"n_e/n_r of the grid at the boundary found, {len(errors)} columns: off by {np.sqrt(np.mean(errors**2)):.1%} "
        f"(rms), {np.abs(errors).max():.1%} (worst); asked for: 3 % in 95 of 100"
    )
    width = (grid.cells["high"] - grid.cells["low"]) / 2 / grid.cells["value"]
    print(f"half-width of the grid's 95 % intervals: {width.median():.1%} (median), {width.max():.1%} (worst)")


def computed(config: str, folder: str) -> tuple[PhaseResult, float]:
    """The study's one panel at lambda = BIAS, in this process, from nothing."""
    settings = (f"study.map.panel.values=[{BIAS}]", "run.runtime=local", f"run.store={folder}/{Path(config).stem}")
    session = open_session(CONFIGS / config, settings)
    start_s = time.perf_counter()
    compute(session)
    return read_phase(session.store, session.name), time.perf_counter() - start_s


def values_at_boundary(grid: PhaseResult, boundary: PhaseResult) -> np.ndarray:
    """The grid's n_e/n_r at each crossing found, linear in log n_s between its cells."""
    found = []
    for _, row in boundary.boundaries[boundary.boundaries["kind"] == "crossing"].iterrows():
        column: pd.DataFrame = grid.cells[np.isclose(grid.cells["x"], row["x"])].sort_values("y")
        found.append(np.interp(np.log(row["crossing"]), np.log(column["y"]), column["value"]))
    return np.array(found)


if __name__ == "__main__":
    main()
