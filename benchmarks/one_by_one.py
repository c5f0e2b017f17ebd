"""A family for benchmarks/status.py: a Gaussian whose every trajectory and generation is committed by itself."""

from dataclasses import dataclass
from typing import ClassVar

from mad_ray.families.gaussian import Gaussian


@dataclass(frozen=True)
class OneByOne(Gaussian):
    """As networks are: a ledger for each trajectory, a manifest for each generation; but fitted in no time."""

    name: ClassVar[str] = "one-by-one"
    max_cohort: ClassVar[int] = 1
    span: ClassVar[int] = 1
