"""The settings by which a store recognises a study: as written, without those that only say where things lie."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from mad_ray.config.model import StudySettings
from mad_ray.core.fingerprint import Json
from mad_ray.data import SOURCES
from mad_ray.families import FAMILIES
from mad_ray.metrics.measure import Metrics


def study_identity(study: StudySettings) -> dict[str, Json]:
    """The study's block without name, title, defaults, and execution fields such as the folder of the data.

    `family: {name: ddpm}` and `family: ddpm` come out alike.
    """
    settings = study.model_dump(mode="json", exclude={"name", "title"}, exclude_defaults=True)
    settings = _blocks(settings)
    if "cases" in settings:
        settings["cases"] = {case: _blocks(over) for case, over in settings["cases"].items()}
    if "grid" in settings:
        settings["grid"] = {name: values for name, values in settings["grid"].items() if not _is_execution(name)}
    return {name: value for name, value in settings.items() if value != StudySettings.model_fields[name].default}


def _blocks(settings: dict[str, Any]) -> dict[str, Any]:
    found = {name: _block(name, value) for name, value in settings.items()}
    members = found.get("ecosystem", {}).get("members")
    if isinstance(members, dict):
        blocks = {name: _blocks(value) if isinstance(value, dict) else value for name, value in members.items()}
        found["ecosystem"] = {**found["ecosystem"], "members": blocks}
    return found


def _block(name: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kept = {key: given for key, given in value.items() if not _is_execution(f"{name}.{key}")}
    return kept["name"] if kept.keys() == {"name"} else kept


def _is_execution(path: str) -> bool:
    block, _, field = path.partition(".")
    kinds: dict[str, Iterable[type]] = {
        "data": SOURCES.values(),
        "family": FAMILIES.values(),
        "metrics": (Metrics,),
    }
    return any(f.name == field and f.metadata.get("execution") for kind in kinds.get(block, ()) for f in fields(kind))
