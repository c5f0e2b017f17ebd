"""The families' cases, and fits of them on rows in memory; each trained model is fitted once."""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments
from mad_ray.core.samples import Event, Samples
from mad_ray.core.summary import Summary
from mad_ray.families.family import Model
from mad_ray.families.progress import Progress
from tests.contracts.family_case import Case

FOLDER = Path(__file__).parent / "cases"
CASES: dict[str, Case] = {
    name: import_module(f"tests.contracts.cases.{name}").CASE
    for name in sorted(path.stem for path in FOLDER.glob("*.py"))
}
"""Family -> its case: one module each, named like the family."""
SHARED = [name for name, case in CASES.items() if type(case.family).distributed and case.resumable]
"""Families whose fits workers share, and go on with after a kill."""
KEYS = Keys((4,))


class Rows:
    """A stream over rows in memory."""

    def __init__(self, samples: Samples, event: Event) -> None:
        self.samples, self.event, self.n = samples, event, samples.n

    def batches(self, size: int) -> Iterator[Samples]:
        for start in range(0, self.n, size):
            yield self.samples.rows(start, min(self.n, start + size))

    def summary(self, kind: type[Summary]) -> Any:
        return kind.of_rows(self.samples, self.event)

    def moments(self) -> Moments:
        return self.summary(Moments)


def fit(case: Case, keys: Keys = KEYS, progress: Progress = Progress()) -> Model:  # noqa: B008
    """The case's quick settings, fitted on 20 rows."""
    rows = case.data.rows(0, 20, keys.at("real"))
    return case.family.fit(Rows(rows, case.data.event), keys.at("fit", 1), progress)


@cache
def quick(name: str) -> Model:
    """The model of a family's quick settings."""
    return fit(CASES[name])


def draw(case: Case, model: Model, start: int, stop: int, bias: float = 1.0, keys: Keys = KEYS) -> Samples:
    """Samples start..stop of the quick settings' model."""
    return case.family.sample(model, start, stop, bias, keys.at("sample", 1))


@cache
def trained(name: str) -> tuple[Any, Model, Samples]:
    """(settings, model, the rows it was fitted on) of a family trained enough for lambda to show."""
    case = CASES[name]
    family = case.trained or case.family
    rows = case.data.rows(0, case.n_train, KEYS.at("real"))
    return family, family.fit(Rows(rows, case.data.event), KEYS.at("fit", 2), Progress()), rows


def same(a: Samples, b: Samples) -> bool:
    """Whether both are the same bytes."""
    return all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in ("x", "label", "weight"))


def same_arrays(a: Model, b: Model) -> bool:
    """Whether both have the same names, types, shapes and bytes."""
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and a[name].shape == b[name].shape and a[name].tobytes() == b[name].tobytes()
        for name in a
    )
