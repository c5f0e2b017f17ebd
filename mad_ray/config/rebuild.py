"""The way back: from an identity, as manifests hold it, to the settings that it came from."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mad_ray.config.blocks import make_data, make_family, make_metrics, named_intervention
from mad_ray.config.validate import validate
from mad_ray.core.ecosystem import POOL, Pool, of_identity
from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop
from mad_ray.core.stopping import Limit
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.families.own import look_in


def family_of(identity: Mapping[str, Any]) -> Any:
    """The family that a cohort's identity names; one of the user's own is looked for in the working directory too.

    InvalidInput if there is none.
    """
    look_in(Path.cwd())
    return Pool() if identity.get("member") == POOL else make_family(identity["family"], "family")


def interventions_of(identity: Mapping[str, Any]) -> tuple[Any, ...]:
    """The interventions that a cohort's identity names, in their order."""
    return _interventions(identity.get("interventions", ()))


def _interventions(blocks: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(named_intervention(block, "interventions") for block in blocks)


def cohort_of(identity: Mapping[str, Any], cohort_id: str, n_generations: int) -> Cohort:
    """The cohort of that identity, to be computed as far as n_generations.

    InvalidInput if it cannot be made from its identity alone: then its config is needed, which says where its data lie.
    """
    until = dict(identity["until"]) if "until" in identity else None
    if until is not None:
        # Cells are identified by it; it is no setting of the rule.
        n_generations = until.pop("n_generations", n_generations)
    settings = (
        make_data(identity["data"], "data"),
        family_of(identity),
        Loop(**identity["loop"]),
        make_metrics(identity["metrics"], "metrics"),
    )
    limit = None if until is None else validate(Limit, until, "until")
    seeds = identity["seeds"]
    rest = {
        "interventions": interventions_of(identity),
        "ecosystem": of_identity(identity, lambda block: make_family(block, "family"), _interventions),
        "member": identity.get("member", ""),
    }
    found = Cohort(tuple(Trajectory(*settings, n_generations, seed, "", limit, **rest) for seed in seeds))
    if found.id != cohort_id:
        raise InvalidInput(
            f"cohort {cohort_id}: this version of mad_ray makes {found.id} of its settings; give its CONFIG, or "
            "use the version that made it"
        )
    return found
