"""The JSON Schema of configs, for editors."""

from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import TypeAdapter

from mad_ray.config.blocks import LoopInput
from mad_ray.config.ecosystems import OVERLAID
from mad_ray.config.expand import VARIABLE
from mad_ray.config.model import Config, EcosystemSettings, MemberSettings
from mad_ray.core.loop import Loop
from mad_ray.core.stopping import Limit
from mad_ray.data import SOURCES
from mad_ray.families import FAMILIES
from mad_ray.families.own import REFERENCE
from mad_ray.interventions import INTERVENTIONS
from mad_ray.metrics.measure import Metrics


def json_schema() -> dict[str, Any]:
    """The whole schema: the config's blocks, and below study: the settings of every data set, family, loop, metric."""
    schema = Config.model_json_schema()
    study = schema["$defs"]["StudySettings"]["properties"]
    study["data"] = _choice(SOURCES, study["data"])
    study["family"] = _choice(FAMILIES, study["family"])
    study["family"]["anyOf"] += _own_families()
    study["loop"] = {**_loop_schema(), "description": study["loop"]["description"]}
    study["limit"] = {**_plain(Limit), "description": study["limit"]["description"]}
    study["interventions"] = _interventions(study["interventions"])
    study["metrics"] = {**_plain(Metrics), "description": study["metrics"]["description"]}
    study["ecosystem"] = _ecosystem(study)
    study["cases"]["additionalProperties"] = {
        "type": "object",
        "properties": {k: study[k] for k in VARIABLE},
        "additionalProperties": False,
    }
    schema["properties"]["extends"] = {"type": "string", "description": "A config to start from, relative to this one."}
    # A child of `extends` may leave out what its base says.
    for name in ("StudySettings", "MapSettings", "AxisSettings"):
        schema["$defs"][name].pop("required", None)
    schema.pop("required", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "mad_ray study", **schema}


def _choice(known: dict[str, type], property_schema: dict[str, Any]) -> dict[str, Any]:
    """A bare name, or a mapping with that name and its settings; a case may give settings alone."""
    options: list[dict[str, Any]] = [{"enum": sorted(known)}]
    for name, kind in known.items():
        own = _plain(kind)
        own["properties"] = {"name": {"const": name}, **own.get("properties", {})}
        options.append(own)
    return {"anyOf": options, "description": property_schema["description"]}


def _interventions(property_schema: dict[str, Any]) -> dict[str, Any]:
    """Under its own name, settings; under any other, those of the one that `name` tells; null leaves it out."""
    named = _choice(INTERVENTIONS, property_schema)["anyOf"][1:]
    nothing = {"type": "null"}
    return {
        "type": "object",
        "properties": {
            name: {"anyOf": [_plain(kind) | {"additionalProperties": True}, nothing]}
            for name, kind in INTERVENTIONS.items()
        },
        "additionalProperties": {"anyOf": [*named, nothing]},
        "description": property_schema["description"],
    }


def _ecosystem(study: dict[str, Any]) -> dict[str, Any]:
    """Members whose blocks are those of the study."""
    member, whole = MemberSettings.model_json_schema(), EcosystemSettings.model_json_schema()
    for name in OVERLAID:
        member["properties"][name] = {**study[name], "description": member["properties"][name]["description"]}
    members = whole["properties"]["members"]
    return {
        "type": "object",
        "properties": {
            "members": {
                "type": "object",
                "additionalProperties": {"anyOf": [member, {"type": "null"}]},
                "description": members["description"],
            },
            "pool": whole["properties"]["pool"],
        },
        "additionalProperties": False,
        "description": study["ecosystem"]["description"],
    }


def _loose(kind: type) -> dict[str, Any]:
    """Its settings, and whatever else: another kind may go by this name."""
    return {**_plain(kind), "additionalProperties": True}


def _own_families() -> list[dict[str, Any]]:
    """module:Name, and a mapping with that name and settings that only the class knows."""
    reference = {"type": "string", "pattern": f"^{REFERENCE}$"}
    return [reference, {"type": "object", "properties": {"name": reference}, "required": ["name"]}]


def _loop_schema() -> dict[str, Any]:
    schema = LoopInput.model_json_schema()
    described = _plain(Loop)["properties"]
    for field in fields(Loop):
        schema["properties"][field.name]["description"] = described[field.name].get("description", "")
    return schema


def inherited_help(kind: type) -> dict[str, str]:
    """What the classes above say of the fields that they share; pydantic reads a class's own source only."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[1:]):
        if is_dataclass(base):
            described = TypeAdapter(base).json_schema().get("properties", {})
            found |= {name: field["description"] for name, field in described.items() if "description" in field}
    return found


def _plain(kind: type) -> dict[str, Any]:
    """A settings class's schema, its own definitions inlined where it has none."""
    schema = TypeAdapter(kind).json_schema()
    for name, text in inherited_help(kind).items():
        schema["properties"][name].setdefault("description", text)
    assert "$defs" not in schema, f"{kind} nests settings; teach the schema to lift their $defs"
    schema.pop("required", None)
    return schema
