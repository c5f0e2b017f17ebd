"""What a report is made of: the measurements of a study, and what happened to each of its cases."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

TABLE_COLUMNS = ("case", "cohort", "seed", "generation", "metric", "bias", "value")
FLOOR_COLUMNS = ("case", "metric", "value")


@dataclass(frozen=True)
class Embedding:
    """Places in the plane, one map for all, and the classes of what lies there, -1 where nobody knows.

    seed: of the trajectory. real [m, 2] and real_class [m]; places and classes: generation -> [n, 2] and [n].
    """

    seed: int
    real: np.ndarray
    real_class: np.ndarray
    places: dict[int, np.ndarray]
    classes: dict[int, np.ndarray]


@dataclass(frozen=True)
class CaseInfo:
    """One case of a study, apart from its measurements.

    n_done: generations committed, over all seeds; the whole case is n_generations * n_seeds of them.
    strips: seed -> generation -> sample images, uint8 [m, C, H, W] with C 1 or 3; empty where samples are no images.
    """

    case: str
    group: str
    """Cases of one group share their data and family, and so their axes: "ddpm on digits"."""
    description: str
    n_generations: int
    n_seeds: int
    n_done: int
    failure: str | None = None
    strips: dict[int, dict[int, np.ndarray]] = field(default_factory=dict)
    real_strip: np.ndarray | None = None
    snapshots: dict[int, dict[int, np.ndarray]] = field(default_factory=dict)
    """Seed -> generation -> samples in the plane, x [m, 2]; empty where samples are not."""
    real_points: np.ndarray | None = None
    """Real samples in the plane, [m, 2]."""
    texts: dict[int, dict[int, list[str]]] = field(default_factory=dict)
    """Seed -> generation -> the first sequences, written; empty where samples are no text."""
    real_texts: list[str] = field(default_factory=list)
    """Real sequences, written."""
    interventions: tuple[str, ...] = ()
    """Names of what is done to samples on their way, in order."""
    loop: str = ""
    """The loop as JSON: cases of one text share it."""
    n_real: int = 0
    """Real rows that a trajectory uses up: its loop, and what its interventions learn from."""
    embeddings: tuple[Embedding, ...] = ()
    """Of some trajectories, one map each of real samples and of those of all generations."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Stage -> seconds: fit, sample, measure, ..."""


@dataclass(frozen=True)
class StudyResult:
    """A study as far as it has come.

    table: one row per measured value, TABLE_COLUMNS. A metric measured at several biases was published at the smallest.
    floors: real against real at the same n, FLOOR_COLUMNS; metrics may be missing.
    """

    name: str
    identity: dict[str, Any]
    table: pd.DataFrame
    floors: pd.DataFrame
    cases: list[CaseInfo]
    provenance: dict[str, Any]
