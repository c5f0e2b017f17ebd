"""The config's own fields: what the blocks study: and run: may say."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from mad_ray.config.validate import validate
from mad_ray.core.errors import InvalidInput

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True, strict=True, frozen=True)


class RandomSearch(BaseModel):
    """Random search: n points, each field drawn by itself."""

    model_config = _STRICT

    n: int = Field(ge=1)
    """Points to draw."""
    seed: int = 0
    """Seed of the draw; point i stays the same when n grows."""
    space: dict[str, dict[str, Any]]
    """field path -> one of {uniform: [low, high]}, {log_uniform: [low, high]}, {integers: [low, high]},
    {log_integers: [low, high]} (both ends included), {choice: [...]}."""


class AxisSettings(BaseModel):
    """One axis of a map: a field of the study, and its values by exactly one of `values`, `log` and `linear`."""

    model_config = _STRICT

    field: str
    """Path of the field: loop.n_synthetic."""
    values: tuple[int | float, ...] | None = None
    """The values themselves."""
    log: tuple[int | float, ...] | None = None
    """[low, high, how many], evenly spaced in the logarithm; whole numbers where both ends are."""
    linear: tuple[int | float, ...] | None = None
    """[low, high, how many], evenly spaced; whole numbers where both ends are."""
    scale: Literal["log", "linear"] | None = None
    """How it is drawn, and searched; left out: as spaced, and `values` beyond a factor of 20 by logarithms."""


class AxisValues(BaseModel):
    """Values of n by exactly one of `values` and `log`."""

    model_config = _STRICT

    values: tuple[int, ...] | None = None
    """The values themselves."""
    log: tuple[int, ...] | None = None
    """[low, high, how many], evenly spaced in the logarithm."""


class MapSettings(BaseModel):
    """What is mapped over which axes: a grid of cells, or the level set of a boundary."""

    model_config = _STRICT

    x: AxisSettings
    """The axis drawn to the right."""
    y: AxisSettings | None = None
    """The axis drawn upwards; of a boundary the one that is searched. Without it the panels are lines over x."""
    panel: AxisSettings | None = None
    """A map (or a line) for each of these values."""
    value: Literal["n_e/n_r", "n_e", "limit"] = "n_e/n_r"
    """n_e/n_r: the effective sample size over the real samples of D^t; limit: the metric's limit itself."""
    level: float | None = None
    """The level whose crossing is sought or drawn; 1 for n_e/n_r if left out."""


class BaselineSettings(BaseModel):
    """What n_e is read from: models fitted on n real samples alone."""

    model_config = _STRICT

    n: AxisValues | None = None
    """The n: {log: [low, high, how many]} or {values: [...]}. Left out: from few samples to beyond what cells hold."""
    seeds: int = Field(64, ge=2)
    """Seeds of each of them."""


class SearchSettings(BaseModel):
    """How a boundary is searched."""

    model_config = _STRICT

    tolerance: float = Field(0.03, gt=0, lt=1)
    """Half-width of the value's 95 % interval at the boundary found, relative to the level."""
    batch: int = Field(8, ge=1)
    """Cells asked for at once. Part of the identity, so that no result depends on how many run at once."""
    budget: int = Field(500, ge=1)
    """Cells at most."""
    rises: bool = False
    """What is sought is the largest y at which the value is at least the level; if it rises, at most the level."""


class MemberSettings(BaseModel):
    """One model of an ecosystem: blocks laid over the study's own, and what it eats."""

    model_config = _STRICT

    family: str | dict[str, Any] | None = None
    """Its family, or settings over the study's."""
    loop: dict[str, Any] = Field(default_factory=dict)
    """Its loop's numbers, over the study's."""
    interventions: dict[str, Any] = Field(default_factory=dict)
    """What is done to samples on their way out of it, and into its D^t; over the study's."""
    eats: dict[str, float] = Field(default_factory=dict)
    """Whose samples make up which share of its n_synthetic; they sum to 1. `pool`: of every member that is there, in
    equal shares. Left out: its own alone."""
    lag: int = Field(1, ge=1)
    """From how far back: at time t what was published at time t - lag, or the oldest there is."""
    enters: int = Field(1, ge=1)
    """The time of its generation 1. A late entrant's D^1 is n_initial samples of what it eats: it finds no others."""


class EcosystemSettings(BaseModel):
    """Members, and whether the pool is measured."""

    model_config = _STRICT

    members: dict[str, dict[str, Any] | None]
    """Name -> settings (MemberSettings); null leaves one out."""
    pool: bool | None = None
    """Whether what all members publish, in equal shares, is measured as a case of its own. Left out: if there are
    several."""


class StudySettings(BaseModel):
    """What is computed: the study's identity."""

    model_config = _STRICT

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """The study's name in the store: letters, digits, dot, dash, underscore."""
    title: str = ""
    """One line that says what the study asks; heads the report."""
    kind: Literal["curves", "grid", "boundary"] = "curves"
    """curves: trajectories over generations. grid: a map of limits, cell by cell. boundary: where a map crosses a
    level, searched for."""
    n_generations: int = Field(5, ge=1)
    """Generations of every trajectory."""
    seeds: int | tuple[int, ...] = 1
    """Seeds of every trajectory: a list, or how many (0, 1, ...)."""
    data: str | dict[str, Any] = "digits"
    """The real data P_r: a name, or a mapping with name and settings."""
    family: str | dict[str, Any] = "ddpm"
    """The model family: a name, or a mapping with name and settings; module:Class is one of your own."""
    loop: dict[str, Any] = Field(default_factory=dict)
    """The loop: kind (a preset) and its numbers, or the Loop's own numbers."""
    interventions: dict[str, Any] = Field(default_factory=dict)
    """What is done to samples on their way from a model into D^t, in this order: name -> settings."""
    ecosystem: dict[str, Any] = Field(default_factory=dict)
    """Several models that feed on each other. members: name -> what differs from the blocks above, and what it eats;
    pool: whether all that they publish is measured together, too."""
    metrics: dict[str, Any] = Field(default_factory=dict)
    """What is measured, on how many samples, in which feature space."""
    cases: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Named variants: each a mapping laid over the fields above."""
    grid: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """field path -> values; every combination becomes a trajectory of every case, for example loop.bias: [1, 0.5]."""
    random: RandomSearch | None = None
    """Random search over any fields, instead of or beside the grid."""
    map: MapSettings | None = None
    """Kinds grid and boundary: axes and value."""
    limit: dict[str, Any] = Field(default_factory=dict)
    """Kinds grid and boundary: the metric whose limit is sought, and the rule by which a loop is found settled."""
    baseline: BaselineSettings | None = None
    """Kinds grid and boundary, for n_e: the fits on real samples alone that it is read from."""
    search: SearchSettings = SearchSettings.model_validate({})
    """Kind boundary: how it is searched."""


class WorkersRange(BaseModel):
    """Workers of an elastic fit: as many as there is room for, within these bounds."""

    model_config = _STRICT

    min: int = Field(ge=1)
    """A fit starts with so many, if there is no room for more."""
    max: int = Field(ge=1)
    """And never has more than these."""

    @model_validator(mode="after")
    def _in_order(self) -> "WorkersRange":
        if self.min > self.max:
            raise InvalidInput(f"run.workers.min={self.min} exceeds run.workers.max={self.max}; swap or correct them")
        return self


# One of the two is tried, so that what is wrong is told of the one that was meant.
Workers = Annotated[
    Annotated[int, Field(ge=0), Tag("number")] | Annotated[WorkersRange, Tag("range")],
    Discriminator(lambda value: "range" if isinstance(value, (dict, WorkersRange)) else "number"),
]


class RetentionSettings(BaseModel):
    """Which samples stay in the store once no generation to come needs them. Models and metrics always do."""

    model_config = _STRICT

    samples: Literal["all", "last"] | Annotated[int, Field(ge=1)] = "all"
    """all; or k: those of every k-th generation, and of the last; or last: of the last only. The models of all
    generations stay, and draw the others again."""


class RunSettings(BaseModel):
    """Where and how it is computed: never part of a result's identity."""

    model_config = _STRICT

    store: str = "runs/store"
    """Where ledgers and samples live: a folder, or s3://bucket/prefix."""
    output: str = "runs/{study}"
    """Folder of the report and of Tune's logs; {study} stands for the study's name."""
    runtime: Literal["ray", "local"] = "ray"
    """ray: trials through Ray Tune. local: in this process, one trajectory after another."""
    max_concurrent: int = Field(2, ge=1)
    """Trials at once."""
    workers: Workers = 0
    """Ray Train workers of a fit; 0 fits where the trial runs. {min: 1, max: 4}: as many of them as there is room for,
    more or fewer while nodes come and go."""
    samplers: int = Field(1, ge=1)
    """Samplers that each trial has at once."""
    sampler_actors: bool = False
    """Sample in Ray Data actors rather than in tasks: slower to start, and they keep a large model loaded."""
    memory: int = Field(4096, ge=1)
    """MiB of a training set D^t that a fit keeps in memory; a larger one lies in a temporary file (in TMPDIR)."""
    trial_memory: int = Field(0, ge=0)
    """MiB that a trial's process, and each of its Train workers, may allocate beyond what it starts with; Ray places
    them by it. A trajectory that needs more fails by itself, and the others go on. 0: no limit."""
    threads: int = Field(1, ge=1)
    """Threads per process."""
    cpus: float = Field(1, gt=0)
    """CPUs that a trial, a worker, a sampler each reserve."""
    gpus: float = Field(0, ge=0)
    """GPUs that a trial reserves, or each of its Train workers where there are any."""
    logical_cpus: int = Field(8, ge=2)
    """CPUs that a Ray started here pretends to have: waiting stages hold some without using them."""
    max_cpus: float = Field(0, ge=0)
    """CPUs that an autoscaling cluster grows to by itself: trials may wait for nodes that are not there yet. 0: it
    stays as it is."""
    max_gpus: float = Field(0, ge=0)
    """GPUs that an autoscaling cluster grows to by itself."""
    retries: int = Field(3, ge=0)
    """Restarts of a trial whose process died, in a row: counted anew once it has come further (a commit, or a
    checkpoint of its fit)."""
    checkpoint_s: float = Field(60.0, ge=0)
    """Seconds after which a network's fit saves its progress to the store; 0: not by time."""
    checkpoint_steps: int = Field(0, ge=0)
    """Optimiser steps after which a network's fit saves its progress; 0: not by steps."""

    @property
    def most_workers(self) -> int:
        """Workers of a fit where there is room for all."""
        return self.workers if isinstance(self.workers, int) else self.workers.max

    @property
    def fewest_workers(self) -> int:
        """Workers without which no fit starts."""
        return self.workers if isinstance(self.workers, int) else self.workers.min

    retention: RetentionSettings = RetentionSettings.model_validate({})
    """Which samples stay in the store."""

    def output_of(self, study: str) -> str:
        """The output folder of the study of that name."""
        return self.output.replace("{study}", study)


class Config(BaseModel):
    """A config file: what is computed, and how."""

    model_config = _STRICT

    study: StudySettings
    """What is computed: identity."""
    run: RunSettings = RunSettings.model_validate({})
    """Where and how: execution."""


def parse_config(raw: dict[str, Any]) -> Config:
    """Validate a loaded mapping. InvalidInput with one line: field, found, expected, remedy."""
    return validate(Config, raw, "")
