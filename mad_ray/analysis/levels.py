"""The search of a boundary study: what its settings ask for, and what its cells tell it."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from mad_ray.analysis.levelset import LevelSet, LevelSetSettings
from mad_ray.analysis.levelset import Point as Asked
from mad_ray.core.cells import Point

Z = 1.96


def level_set_of(settings: Mapping[str, Any]) -> LevelSet:
    """A search that was told nothing yet. settings: the `map` of a study's document."""
    x, y, panel, search = settings["x"], settings["y"], settings["panel"], settings["search"]
    columns = [(value,) for value in x["values"]]
    lines = [(value, *line) for value in panel["values"] for line in columns] if panel else columns
    return LevelSet(
        LevelSetSettings(
            lines=tuple(lines),
            low=y["values"][0],
            high=y["values"][-1],
            level=settings["level"],
            is_log=y["is_log"],
            is_whole=all(isinstance(value, int) for value in y["values"]),
            lines_log=(panel["is_log"], x["is_log"]) if panel else (x["is_log"],),
            rises=search["rises"],
            tolerance=search["tolerance"],
            batch=search["batch"],
            budget=search["budget"],
        )
    )


def place_of(asked: Asked, settings: Mapping[str, Any]) -> Point:
    """Where on the map a point of the search lies; whole numbers as such, since fields are counts."""
    *line, y = asked
    panel, x = line if len(line) == 2 else (None, line[0])
    return (
        None if panel is None else _like(panel, settings["panel"]["values"]),
        _like(x, settings["x"]["values"]),
        _like(y, settings["y"]["values"]),
    )


def asked_of(place: Point) -> Asked:
    """The inverse of `place_of`."""
    return tuple(float(part) for part in place if part is not None)


def told(frame: pd.DataFrame) -> list[tuple[Asked, float, float]]:
    """What the finished cells (CELL_COLUMNS) tell the search: point, value, standard error."""
    records = frame[frame["state"] != "not finished"].to_dict("records")
    rows = [{str(column): value for column, value in record.items()} for record in records]
    return [(asked_of(_place(row)), *_value(row)) for row in rows]


def _place(row: Mapping[str, Any]) -> Point:
    return None if math.isnan(row["panel"]) else row["panel"], row["x"], row["y"]


def _value(row: Mapping[str, Any]) -> tuple[float, float]:
    """A value off the baseline's scale is 0 or infinite: on which side of the level it lies is known."""
    if row["state"] == "no model":
        return 0.0, math.nan
    if row["state"] == "beyond baseline":
        return math.inf, math.nan
    return row["value"], (row["high"] - row["low"]) / (2 * Z)


def _like(value: float, values: list[float]) -> float:
    return int(value) if all(isinstance(one, int) for one in values) else value
