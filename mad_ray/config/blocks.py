"""The blocks data:, family:, loop: and metrics: -> settings objects."""

from dataclasses import fields
from typing import Any, Literal

from pydantic import Field, create_model

from mad_ray.config.validate import unknown, validate
from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import PRESETS, Loop, make_loop
from mad_ray.core.settings import STRICT
from mad_ray.data import SOURCES
from mad_ray.families import FAMILIES
from mad_ray.families.own import check_settings, family_class
from mad_ray.interventions import INTERVENTIONS
from mad_ray.metrics.measure import Metrics

OF_PRESETS: dict[str, tuple[type, str]] = {
    "n": (int, "kind fresh_share only. n: rows of each D^t."),
    "real_share": (float, "kind fresh_share only. p: the share of D^t that is new and real, in (0, 1]."),
}
"""What a preset takes that the Loop itself does not have: type, and help."""

# Every number a preset or the plain Loop may be given; the preset itself says which it needs.
LoopInput: Any = create_model(
    "LoopInput",
    __config__={"extra": "forbid", "strict": True},
    kind=(Literal[tuple(PRESETS)] | None, None),
    **{f.name: (f.type | None, None) for f in fields(Loop)},  # type: ignore[call-overload,operator]
    **{name: (kind | None, Field(None, description=text)) for name, (kind, text) in OF_PRESETS.items()},
)


def make_data(block: Any, path: str) -> Any:
    """A source of real data from `digits` or {name: digits, ...}."""
    return _named(block, SOURCES, path)


def make_family(block: Any, path: str) -> Any:
    """A model family from `ddpm` or {name: ddpm, ...}, or of the user's own: `my_package.module:MyFamily`."""
    _require_block(block, path)
    reference = block if isinstance(block, str) else block.get("name")
    if not (isinstance(reference, str) and ":" in reference):
        return _named(block, FAMILIES, path)
    kind = family_class(reference, path, FAMILIES)
    if not hasattr(kind, "__pydantic_config__"):
        # Else a misspelt setting would be ignored.
        kind.__pydantic_config__ = STRICT  # type: ignore[attr-defined]
    family = _named(block, {reference: kind}, path)
    check_settings(family, f"{path}={reference}")
    return family


def make_metrics(block: Any, path: str) -> Metrics:
    """What is measured."""
    return validate(Metrics, block, path)


def make_interventions(block: Any, path: str) -> tuple[Any, ...]:
    """Interventions in the order in which they are written: {watermark: {strength: 2}, mine: {name: detector}}.

    A key is a name for the reader; what it is says `name`, or else the key. One that is null is left out.
    """
    if not isinstance(block, dict):
        raise InvalidInput(f"{path}={block!r}: expected a mapping, each with its settings: {{detector: {{}}}}")
    given = {key: settings for key, settings in block.items() if settings is not None}
    for key, settings in given.items():
        if not isinstance(settings, dict):
            raise InvalidInput(f"{path}.{key}={settings!r}: expected a mapping of settings, or null to leave it out")
    return tuple(named_intervention({"name": key, **settings}, f"{path}.{key}") for key, settings in given.items())


def named_intervention(block: Any, path: str) -> Any:
    """One intervention from its name and settings."""
    return _named(block, INTERVENTIONS, path)


def loop_of(block: Any, path: str) -> Loop:
    """A Loop from a preset and its numbers, or from the Loop's own numbers."""
    given = validate(LoopInput, block, path).model_dump(exclude_none=True)
    if given.get("kind") != "fresh_share":
        for name in OF_PRESETS.keys() & given.keys():
            raise InvalidInput(f"{path}.{name} goes with kind fresh_share only; remove it, or change the kind")
    try:
        return make_loop(given)
    except TypeError as error:
        missing = str(error).partition(":")[2] or str(error)
        kind = f"kind {given['kind']}" if "kind" in given else "a loop without kind"
        raise InvalidInput(f"{path}: {kind} needs {missing.strip()}") from error
    except InvalidInput as error:
        raise InvalidInput(f"{path.rpartition('.')[0]}.{error}".lstrip(".")) from error


def _named(block: Any, known: dict[str, type], path: str) -> Any:
    _require_block(block, path)
    settings = {"name": block} if isinstance(block, str) else dict(block)
    name = settings.pop("name", None)
    if name is None:
        raise InvalidInput(f"{path}.name is missing; one of {', '.join(sorted(known))}")
    if not isinstance(name, str):
        raise InvalidInput(f"{path}.name={name!r}: expected text, one of {', '.join(sorted(known))}")
    if name not in known:
        raise InvalidInput(str(unknown(f"{path}.name={name}", str(name), known)).replace("unknown key", "unknown name"))
    return validate(known[name], settings, path)


def _require_block(block: Any, path: str) -> None:
    """A grid may put anything there."""
    if not isinstance(block, (str, dict)):
        raise InvalidInput(f"{path}={block!r}: expected a name, or a mapping with name and settings")
