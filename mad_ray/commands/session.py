"""What most commands start from: the config read, the study expanded, the store opened."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mad_ray.config import Config, expand, load_config, parse_config
from mad_ray.config.identity import study_identity
from mad_ray.config.phase import AxisPoints, Phase
from mad_ray.core.cells import Point
from mad_ray.core.ecosystem import Ecosystem
from mad_ray.core.fingerprint import Json
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.engine.lessons import learnt_by
from mad_ray.engine.plan import plan_cohorts
from mad_ray.engine.reference import reference_key, rests_on
from mad_ray.ledger.open import open_store
from mad_ray.ledger.store import Store


@dataclass(frozen=True)
class Session:
    """A validated study and its store. Of a boundary, the trajectories that are known before the search."""

    config: Config
    trajectories: list[Trajectory]
    cohorts: list[Cohort]
    store: Store
    phase: Phase | None = None
    points: dict[str, Point] = field(default_factory=dict)
    """Case -> its place on the map, for cells."""

    @property
    def name(self) -> str:
        return self.config.study.name

    @property
    def output(self) -> Path:
        """Where the report and Tune's logs go."""
        return Path(self.config.run.output_of(self.name))

    @property
    def heads(self) -> list[Trajectory]:
        """One trajectory of each cohort; of a boundary those of its corners too, whose cells are not asked for yet."""
        heads = [cohort.head for cohort in self.cohorts]
        if self.phase is not None and self.phase.kind == "boundary":
            heads += [self.phase.trajectories(corner)[0] for corner in self.phase.corners()]
        return heads

    @cached_property
    def document(self) -> dict[str, Json]:
        """What the store keeps of the study, so that `status` and `report` need no config."""
        found: dict[str, Json] = {
            "title": self.config.study.title,
            "study": {**study_identity(self.config.study), **contents_of(self.cohorts)},
            "cases": describe_cases(self.cohorts, self.points),
        }
        return found if self.phase is None else {**found, "kind": self.phase.kind, "map": describe_map(self.phase)}


def open_session(path: str | Path, overrides: Sequence[str] = ()) -> Session:
    """Read, validate, expand. InvalidInput with one line if anything of it cannot be; starts nothing."""
    return session_of(parse_config(load_config(path, overrides)))


def session_of(config: Config) -> Session:
    """The session of a config that was read already."""
    if config.study.kind == "curves":
        trajectories = expand(config)
        return Session(config, trajectories, plan_cohorts(trajectories), open_store(config.run.store))
    phase = Phase(config)
    baseline = phase.baseline()
    # Of a boundary the corners are expanded too, to be told now what the search would meet later.
    points = {phase.label(point): point for point in (phase.points if phase.kind == "grid" else phase.corners())}
    cells = [trajectory for point in points.values() for trajectory in phase.trajectories(point)]
    trajectories = baseline + (cells if phase.kind == "grid" else [])
    return Session(config, trajectories, plan_cohorts(trajectories), open_store(config.run.store), phase, points)


def contents_of(cohorts: Sequence[Cohort]) -> dict[str, Json]:
    """What the user's own files hold: paths are no part of a study's identity, and other data are another study."""
    found = sorted({cohort.head.data.content for cohort in cohorts if hasattr(cohort.head.data, "content")})
    return {"content": found} if found else {}


def describe_cases(cohorts: Sequence[Cohort], points: Mapping[str, Point]) -> list[dict[str, Json]]:
    """What a reader must know of each case, and where to find its ledgers."""
    cases: dict[str, dict[str, Any]] = {}
    for cohort in cohorts:
        case = cases.setdefault(cohort.case, _describe_case(cohort, points))
        learnt = {"rests_on": keys} if (keys := learnt_by(cohort)) else {}
        case["cohorts"].append({"id": cohort.id, "seeds": list(cohort.seeds), **learnt})
    return list(cases.values())


def describe_map(phase: Phase) -> dict[str, Json]:
    """Axes, value and rule of a map, worked out."""
    axes = {"x": phase.x, "y": phase.y, "panel": phase.panel}
    return {
        **{name: _describe_axis(axis) for name, axis in axes.items()},
        "value": phase.value,
        "level": phase.level,
        "limit": asdict(phase.limit),
        "rises": phase.search.rises,
        "grid_cells": len(phase.points) if phase.kind == "boundary" else 0,
        "search": phase.search.model_dump() if phase.kind == "boundary" else None,
    }


def _describe_axis(axis: AxisPoints | None) -> dict[str, Json] | None:
    if axis is None:
        return None
    return {"field": axis.field, "label": axis.label, "values": list(axis.values), "is_log": axis.is_log}


def n_real(head: Trajectory) -> int:
    """Real rows that the trajectory uses up: its loop, and what its interventions learn from."""
    return head.n_real(head.n_generations) + head.n_learnt


def _passed(head: Trajectory) -> str:
    """ "; watermark, then mark_detector"."""
    names = [one.name for one in head.active.values()]
    return f"; {', then '.join(names)}" if names else ""


def kind_of(head: Trajectory) -> str:
    """ "ddpm on digits"."""
    return f"{head.family.name} on {head.data.name}"


def _group_of(ecosystem: Ecosystem, head: Trajectory) -> str:
    """One for all members and their pool, so that their curves are drawn together."""
    families = dict.fromkeys(member.family.name for member in ecosystem.members)
    return f"ecosystem of {', '.join(sorted(families))} on {head.data.name}"


def _describe_case(cohort: Cohort, points: Mapping[str, Point]) -> dict[str, Any]:
    head = cohort.head
    group = kind_of(head) if head.ecosystem is None else _group_of(head.ecosystem, head)
    found: dict[str, Any] = {
        "case": cohort.case,
        "group": group,
        "description": f"{kind_of(head)}. {head.description}{_passed(head)}",
        "n_generations": cohort.n_generations,
        "n_real": n_real(head),
        "interventions": [one.name for one in head.active.values()],
        "identity": head.identity(),
        "reference": reference_key(head.data, head.metrics),
        "rests_on": rests_on(head.data, head.metrics),
        "cohorts": [],
    }
    if cohort.case in points:
        found |= {"point": list(points[cohort.case]), "is_whole": head.is_cell}
    return found
