"""The config's own fields: what the blocks study: and run: may say."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mad_ray.config.validate import validate

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


class StudySettings(BaseModel):
    """What is computed: the study's identity."""

    model_config = _STRICT

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """The study's name in the store: letters, digits, dot, dash, underscore."""
    title: str = ""
    """One line that says what the study asks; heads the report."""
    n_generations: int = Field(5, ge=1)
    """Generations of every trajectory."""
    seeds: int | tuple[int, ...] = 1
    """Seeds of every trajectory: a list, or how many (0, 1, ...)."""
    data: str | dict[str, Any] = "digits"
    """The real data P_r: a name, or a mapping with name and settings."""
    family: str | dict[str, Any] = "ddpm"
    """The model family: a name, or a mapping with name and settings."""
    loop: dict[str, Any] = Field(default_factory=dict)
    """The loop: kind (a preset) and its numbers, or the Loop's own numbers."""
    metrics: dict[str, Any] = Field(default_factory=dict)
    """What is measured, on how many samples, in which feature space."""
    cases: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Named variants: each a mapping laid over the fields above."""
    grid: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """field path -> values; every combination becomes a trajectory of every case, for example loop.bias: [1, 0.5]."""
    random: RandomSearch | None = None
    """Random search over any fields, instead of or beside the grid."""


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
    workers: int = Field(0, ge=0)
    """Ray Train workers of a fit; 0 fits where the trial runs."""
    samplers: int = Field(1, ge=1)
    """Samplers that each trial has at once."""
    sampler_actors: bool = False
    """Sample in Ray Data actors rather than in tasks: slower to start, and they keep a large model loaded."""
    threads: int = Field(1, ge=1)
    """Threads per process."""
    cpus: float = Field(1, gt=0)
    """CPUs that a trial, a worker, a sampler each reserve."""
    gpus: float = Field(0, ge=0)
    """GPUs that a trial reserves, or each of its Train workers where there are any."""
    logical_cpus: int = Field(8, ge=2)
    """CPUs that a Ray started here pretends to have: waiting stages hold some without using them."""
    retries: int = Field(3, ge=0)
    """Restarts of a trial whose process died."""

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
