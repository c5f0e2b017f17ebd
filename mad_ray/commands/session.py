"""What most commands start from: the config read, the study expanded, the store opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mad_ray.config import Config, expand, load_config, parse_config
from mad_ray.config.identity import study_identity
from mad_ray.core.fingerprint import Json
from mad_ray.core.loop import describe
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.engine.plan import plan_cohorts
from mad_ray.engine.reference import reference_key
from mad_ray.ledger.open import open_store
from mad_ray.ledger.store import Store


@dataclass(frozen=True)
class Session:
    """A validated study and its store."""

    config: Config
    trajectories: list[Trajectory]
    cohorts: list[Cohort]
    store: Store

    @property
    def name(self) -> str:
        return self.config.study.name

    @property
    def output(self) -> Path:
        """Where the report and Tune's logs go."""
        return Path(self.config.run.output_of(self.name))

    @cached_property
    def document(self) -> dict[str, Json]:
        """What the store keeps of the study, so that `status` and `report` need no config."""
        cases: dict[str, dict[str, Any]] = {}
        for cohort in self.cohorts:
            case = cases.setdefault(cohort.case, _describe_case(cohort))
            case["cohorts"].append({"id": cohort.id, "seeds": list(cohort.seeds)})
        return {
            "title": self.config.study.title,
            "study": study_identity(self.config.study),
            "cases": list(cases.values()),
        }


def open_session(path: str | Path, overrides: Sequence[str] = ()) -> Session:
    """Read, validate, expand. InvalidInput with one line if anything of it cannot be; starts nothing."""
    config = parse_config(load_config(path, overrides))
    trajectories = expand(config)
    return Session(config, trajectories, plan_cohorts(trajectories), open_store(config.run.store))


def _describe_case(cohort: Cohort) -> dict[str, Any]:
    head = cohort.head
    group = f"{head.family.name} on {head.data.name}"
    return {
        "case": cohort.case,
        "group": group,
        "description": f"{group}. {describe(head.loop)}",
        "n_generations": cohort.n_generations,
        "identity": head.identity(),
        "reference": reference_key(head.data, head.metrics),
        "cohorts": [],
    }
