"""What interventions ask of the rest of a trajectory, checked before anything starts."""

from typing import Any

from mad_ray.core.errors import InvalidInput
from mad_ray.core.trajectory import Trajectory
from mad_ray.interventions.intervention import Chooses, Extrapolates, Prefers


def check_interventions(trajectory: Trajectory, label: str) -> None:
    """InvalidInput, one line, unless each can work on these samples and this family, and finds what it learns from."""
    data, loop = trajectory.data, trajectory.loop
    for one in trajectory.interventions:
        try:
            one.check(data.event, loop, tuple(trajectory.active.values()))
        except InvalidInput as error:
            raise InvalidInput(f"{label}: {error}") from None
    for one in trajectory.active.values():
        if refusal := _refusal(one, trajectory.family):
            raise InvalidInput(f"{label}: interventions.{one.name} {refusal}")
    for kind, does in ((Chooses, "chooses among candidates"), (Prefers, "prefers tokens while they are drawn")):
        if sum(isinstance(one, kind) for one in trajectory.active.values()) > 1:
            raise InvalidInput(f"{label}: interventions: more than one {does}; keep one of them")
    of_loop = loop.n_real(trajectory.n_generations)
    if data.n_rows is not None and of_loop + trajectory.n_learnt > data.n_rows:
        raise InvalidInput(
            f"{label}: interventions learn from {trajectory.n_learnt:,} real rows beyond the loop's {of_loop:,}, and "
            f"{data.name} has {data.n_rows:,}; lower their n_real, loop.n_initial or n_fresh"
        )


def _refusal(one: Any, family: Any) -> str | None:
    """Why the intervention cannot work with that family; None if it can."""
    name = family.name
    if isinstance(one, Extrapolates) and not hasattr(family, "steps_of"):
        return f"moves the weights of a network, and family={name} has none; remove it, or take a network such as ddpm"
    if getattr(one, "score_only", False) and not getattr(family, "predicts_score", False):
        return (
            f"guides a score while it is sampled, and family={name} has none; take ddpm, dit or flow_matching, or "
            "weight_extrapolation"
        )
    if isinstance(one, Prefers) and not hasattr(family, "sample_preferring"):
        return f"prefers tokens while they are drawn, which family={name} cannot; take lm"
    return None
