"""The block ecosystem: -> members, each laid over the study's own blocks."""

from typing import Any

from mad_ray.config.blocks import loop_of, make_family, make_interventions
from mad_ray.config.load import merge
from mad_ray.config.model import EcosystemSettings, MemberSettings
from mad_ray.config.validate import validate
from mad_ray.core.ecosystem import Ecosystem, Member
from mad_ray.core.errors import InvalidInput
from mad_ray.metrics.measure import Metrics

OVERLAID = ("family", "loop", "interventions")
"""The study's blocks that a member may lay its own over."""


def make_ecosystem(resolved: dict[str, Any], n_generations: int, path: str) -> tuple[Ecosystem, tuple[str, ...]]:
    """The ecosystem of a case, and its members' names as they were written. InvalidInput if it cannot live."""
    given = validate(EcosystemSettings, resolved["ecosystem"], f"{path}.ecosystem")
    written = {name: settings for name, settings in given.members.items() if settings is not None}
    where = f"{path}.ecosystem.members"
    members = [_member(name, block, resolved, f"{where}.{name}", path) for name, block in written.items()]
    for member in members:
        if member.enters > n_generations:
            raise InvalidInput(
                f"{where}.{member.name}.enters={member.enters} is after the last generation; lower it, or raise "
                f"n_generations={n_generations}"
            )
    try:
        return Ecosystem(tuple(members)), tuple(written)
    except InvalidInput as error:
        raise InvalidInput(f"{path}.{error}") from None


def has_pool(resolved: dict[str, Any], ecosystem: Ecosystem, metrics: Metrics, path: str) -> bool:
    """Whether the pool is measured: as asked for, else where there are several members and samples are measured."""
    asked = resolved["ecosystem"].get("pool")
    if asked and not metrics.of_samples:
        raise InvalidInput(
            f"{path}.ecosystem.pool: metrics.names measures models only, and the pool has only samples; add frechet, "
            "or set it to false"
        )
    if asked and len(ecosystem.members) == 1:
        raise InvalidInput(f"{path}.ecosystem.pool: a pool of one member is that member; leave it out")
    return bool(metrics.of_samples) and (len(ecosystem.members) > 1 if asked is None else asked)


def _member(name: str, block: dict[str, Any], resolved: dict[str, Any], where: str, path: str) -> Member:
    settings = validate(MemberSettings, block, where)
    own = {field: getattr(settings, field) for field in OVERLAID if getattr(settings, field)}
    if isinstance(own.get("family"), str):
        own["family"] = {"name": own["family"]}
    blocks = merge({field: resolved[field] for field in OVERLAID}, own)
    family = make_family(blocks["family"], f"{where}.family")
    loop = loop_of(blocks["loop"], f"{where}.loop")
    interventions = make_interventions(blocks["interventions"], f"{where}.interventions")
    try:
        return Member(name, family, loop, interventions, tuple(settings.eats.items()), settings.lag, settings.enters)
    except InvalidInput as error:
        raise InvalidInput(f"{path}.{error}") from None
