"""A map or boundary study -> its axes, its baseline, and the trajectories of any of its cells."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mad_ray.config.blocks import loop_of, make_data, make_family, make_interventions, make_metrics
from mad_ray.config.expand import VARIABLE, as_mappings, check_path, check_trajectory, counts, nested, value_text
from mad_ray.config.limits import MAX_VALUES, require_feasible
from mad_ray.config.load import merge
from mad_ray.config.model import AxisSettings, BaselineSettings, Config
from mad_ray.config.validate import validate
from mad_ray.core.cells import Point
from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop
from mad_ray.core.stopping import Limit
from mad_ray.core.trajectory import Trajectory

SYMBOLS = {
    "loop.n_fresh": "n_r",
    "loop.n_fixed": "n_fixed",
    "loop.n_synthetic": "n_s",
    "loop.n_initial": "n_ini",
    "loop.bias": "lambda",
    "loop.memory": "K",
    "loop.n": "n",
    "loop.real_share": "p",
    "data.d": "d",
}


@dataclass(frozen=True)
class AxisPoints:
    """An axis with its values worked out, ascending. Of a searched axis only the ends count."""

    field: str
    values: tuple[float, ...]
    is_log: bool

    @property
    def label(self) -> str:
        """The paper's symbol, else the field's last name in words."""
        return SYMBOLS.get(self.field, self.field.rpartition(".")[2].replace("_", " "))

    @property
    def is_whole(self) -> bool:
        return all(isinstance(value, int) for value in self.values)


class Phase:
    """A validated study of kind grid or boundary."""

    def __init__(self, config: Config) -> None:
        study = config.study
        if study.map is None:
            raise InvalidInput(f"study.map is missing: kind {study.kind} needs its axes; see configs/phase/")
        if study.ecosystem:
            raise InvalidInput(
                f"study.ecosystem does not go with kind {study.kind}: a cell is one loop; use kind curves, with a grid "
                "over ecosystem.members.NAME..."
            )
        for name in ("cases", "grid", "random"):
            if getattr(study, name):
                raise InvalidInput(f"study.{name} does not go with kind {study.kind}; put the fields on map's axes")
        self.config = config
        self.kind = study.kind
        self.value = study.map.value
        self.level = study.map.level if study.map.level is not None else 1.0 if self.value == "n_e/n_r" else None
        self.x = axis(study.map.x, "study.map.x")
        self.y = axis(study.map.y, "study.map.y") if study.map.y else None
        self.panel = axis(study.map.panel, "study.map.panel") if study.map.panel else None
        self.search = study.search
        self._check_axes()

    def _check_axes(self) -> None:
        n_cells = math.prod(len(found.values) for found in (self.x, self.y, self.panel) if found)
        require_feasible(n_cells if self.kind == "grid" else 1, "study.map: cells")
        named = [found.field for found in (self.x, self.y, self.panel) if found]
        if any(field.partition(".")[0] == "ecosystem" for field in named):
            raise InvalidInput("study.map: a cell is one loop, and has no ecosystem; take kind curves, with study.grid")
        if len(set(named)) < len(named):
            raise InvalidInput(f"study.map: {named} name one field twice; give each axis its own")
        for found in (self.x, self.y, self.panel):
            if found and self.value != "limit" and found.field.partition(".")[0] in ("data", "family", "metrics"):
                raise InvalidInput(
                    f"study.map: an axis over {found.field} would need a baseline for each of its values; map "
                    "value: limit, or make a study for each"
                )
        if self.level is not None and not math.isfinite(self.level):
            raise InvalidInput(f"study.map.level={self.level}: expected a number that {self.value} can cross")
        if self.kind == "boundary":
            self._check_search()

    def _check_search(self) -> None:
        if self.y is None:
            raise InvalidInput("study.map.y is missing: it is the axis along which a boundary is searched")
        if len(self.y.values) < 2:
            raise InvalidInput(f"study.map.y has one value ({self.y.values[0]:g}); a boundary lies between two")
        if self.level is None:
            raise InvalidInput(f"study.map.level is missing: at which {self.value} does the boundary lie?")

    @cached_property
    def limit(self) -> Limit:
        """The rule by which cells are stopped; its metric is the only one measured if just one is."""
        given = dict(self.config.study.limit)
        names = self._resolved({})["metrics"].get("names")
        if "metric" not in given and isinstance(names, (list, tuple)) and len(names) == 1:
            given["metric"] = names[0]
        if "metric" not in given:
            raise InvalidInput("study.limit.metric is missing: the limit of which metric? for example w2_squared")
        return validate(Limit, given, "study.limit")

    @property
    def points(self) -> list[Point]:
        """All cells of the grid, panel by panel, column by column."""
        return [
            (panel, x, y)
            for panel in (self.panel.values if self.panel else (None,))
            for x in self.x.values
            for y in (self.y.values if self.y else (None,))
        ]

    def label(self, point: Point) -> str:
        """The cell's name: "lambda=0.7, n_r=100, n_s=1000"."""
        return ", ".join(f"{found.label}={value_text(value)}" for found, value in self._given(point))

    def trajectories(self, point: Point) -> list[Trajectory]:
        """One per seed. InvalidInput if the cell's loop cannot be, or has no limit to be found."""
        over: dict[str, Any] = {}
        for found, value in self._given(point):
            over = merge(over, nested(found.field, value))
        label, resolved = self.label(point), self._resolved(over)
        n, seeds = counts(resolved, "study")
        if _is_without_real(resolved["loop"]):
            raise _no_limit(label)
        made = self._make(label, resolved, loop_of(resolved["loop"], "study.loop"), (n, seeds))
        if made[0].loop.n_fixed + made[0].loop.n_fresh == 0:
            raise _no_limit(label)
        if len(seeds) < 2:
            raise InvalidInput(
                f"study.seeds={resolved['seeds']}: a limit's interval needs 2 seeds or more; raise seeds"
            )
        if n < self.limit.min_generations:
            raise InvalidInput(
                f"study.n_generations={n} ends before study.limit.min_generations={self.limit.min_generations}, at "
                "which a cell is first judged; raise n_generations"
            )
        return made

    def baseline(self) -> list[Trajectory]:
        """Fits on n real samples alone, for each n; none where the value needs no n_e."""
        if self.value == "limit":
            return []
        settings = self.config.study.baseline or BaselineSettings.model_validate({})
        require_feasible(settings.seeds, "study.baseline.seeds")
        resolved, found, refusals = self._resolved({}), [], []
        for n in self.baseline_n(settings):
            loop = Loop(n_initial=n, n_fixed=n)
            try:
                found += self._make(f"baseline n={n}", resolved, loop, (1, tuple(range(settings.seeds))), is_cell=False)
            except InvalidInput as error:
                # Of the n that were not chosen but made up, too small ones are left out.
                if settings.n is not None:
                    raise
                refusals.append(error)
        if len({trajectory.case for trajectory in found}) < 2:
            raise refusals[0] if refusals else InvalidInput("study.baseline.n: give two or more n to read n_e from")
        return found

    def baseline_n(self, settings: BaselineSettings) -> tuple[int, ...]:
        """As given; else from 2 (or what the family needs) to twice what the best of loops could be worth.

        That is every real row of D^t 1 + K times (theory.memory_limit_ratio), or all rows of a pool.
        """
        path = "study.baseline.n"
        if settings.n is not None:
            given = settings.n.model_dump()
            if (given["values"] is None) == (given["log"] is None):
                raise InvalidInput(f"{path}: expected exactly one of values and log")
            values = _spaced(given["log"], path, is_log=True) if given["values"] is None else given["values"]
            if min(values, default=1) < 1:
                raise InvalidInput(f"{path}={list(values)}: no model is fitted on fewer than 1 sample; leave these out")
            return tuple(int(n) for n in values)
        loops = [self.trajectories(point)[0].loop for point in self.corners()]
        most = max(_best_worth(loop) for loop in loops)
        return tuple(int(n) for n in _spaced((2, max(2 * most, 16), 40), path, is_log=True))

    def corners(self) -> list[Point]:
        """The cells at the ends of all axes."""
        ends = [(found.values[0], found.values[-1]) if found else (None,) for found in (self.panel, self.x, self.y)]
        return [(panel, x, y) for panel in ends[0] for x in ends[1] for y in ends[2]]  # type: ignore[misc]

    def _given(self, point: Point) -> list[tuple[AxisPoints, float]]:
        pairs = zip((self.panel, self.x, self.y), point, strict=True)
        return [(found, value) for found, value in pairs if found is not None and value is not None]

    def _resolved(self, over: dict[str, Any]) -> dict[str, Any]:
        base = {name: getattr(self.config.study, name) for name in VARIABLE}
        return merge(as_mappings(base), as_mappings(over))

    def _make(
        self,
        label: str,
        resolved: dict[str, Any],
        loop: Loop,
        n_and_seeds: tuple[int, tuple[int, ...]],
        is_cell: bool = True,
    ) -> list[Trajectory]:
        data = make_data(resolved["data"], "study.data")
        family = make_family(resolved["family"], "study.family")
        metrics = make_metrics(resolved["metrics"], "study.metrics")
        # The baseline's models are fitted on real samples alone, which need no protection.
        interventions = make_interventions(resolved["interventions"], "study.interventions") if is_cell else ()
        until = self.limit if is_cell else None
        n, seeds = n_and_seeds
        found = [Trajectory(data, family, loop, metrics, n, seed, label, until, interventions) for seed in seeds]
        check_trajectory(found[0], label, self.config.run.most_workers)
        if self.limit.metric not in (*metrics.of_samples, *metrics.of_model(getattr(family, "measures", ()))):
            raise InvalidInput(f"study.limit.metric={self.limit.metric} is not measured; add it to metrics.names")
        return found


def _best_worth(loop: Loop) -> int:
    real = max(loop.n_initial, loop.n_fixed + loop.n_fresh)
    rows = loop.n_fixed + loop.n_fresh + loop.n_synthetic
    return max(2 * real, rows) if loop.accumulate else real + min(loop.memory * real, max(rows, real))


def _is_without_real(loop: dict[str, Any]) -> bool:
    """Told by the settings: a fresh data loop at n_r = 0 would be refused for its empty D^1, which explains nothing."""
    return (loop.get("kind") or "fresh_data") == "fresh_data" and loop.get("n_fresh") == 0 and not loop.get("n_fixed")


def _no_limit(label: str) -> InvalidInput:
    """Without real data in D^t there is nothing that a loop could settle at."""
    return InvalidInput(
        f"{label}: a fully synthetic loop has no limit (n_r = 0: it drifts for ever); give loop.n_fresh or "
        "n_fixed, or ask for its course with study.kind=curves"
    )


def axis(settings: AxisSettings, path: str) -> AxisPoints:
    """The axis with its values. InvalidInput if the field or the values cannot be."""
    check_path(settings.field, f"{path}.field")
    given = {
        name: getattr(settings, name) for name in ("values", "log", "linear") if getattr(settings, name) is not None
    }
    if len(given) != 1:
        raise InvalidInput(f"{path}: expected exactly one of values, log and linear, found {sorted(given) or 'none'}")
    ((kind, numbers),) = given.items()
    if not all(math.isfinite(number) for number in numbers):
        raise InvalidInput(f"{path}.{kind}={list(numbers)}: expected finite numbers")
    if kind == "values":
        values = tuple(sorted(set(numbers)))
        if not values:
            raise InvalidInput(f"{path}.values is empty; give at least one")
        is_log = values[0] > 0 and values[-1] / values[0] > 20
    else:
        values, is_log = _spaced(numbers, f"{path}.{kind}", is_log=kind == "log"), kind == "log"
    if settings.scale == "log" and values[0] <= 0:
        raise InvalidInput(f"{path}.scale=log with a value of {values[0]:g}: give values above 0, or scale: linear")
    return AxisPoints(settings.field, values, is_log if settings.scale is None else settings.scale == "log")


def _spaced(numbers: tuple[float, ...], path: str, is_log: bool) -> tuple[float, ...]:
    if len(numbers) != 3 or not numbers[0] < numbers[1] or (is_log and numbers[0] <= 0):
        raise InvalidInput(f"{path}={list(numbers)}: expected [low, high, how many] with low < high (log: low > 0)")
    low, high, n = numbers
    if n != int(n) or n < 2:
        raise InvalidInput(f"{path}={list(numbers)}: how many is {n:g}; expected a whole number, at least 2")
    require_feasible(int(n), path, MAX_VALUES)
    shares = [i / (int(n) - 1) for i in range(int(n))]
    if is_log:
        values = [math.exp(math.log(low) + share * (math.log(high) - math.log(low))) for share in shares]
    else:
        values = [low + share * (high - low) for share in shares]
    if all(isinstance(end, int) for end in (low, high)):
        return tuple(sorted({round(value) for value in values}))
    # Six digits, so that a label tells the whole value.
    return tuple(float(f"{value:.6g}") for value in values)
