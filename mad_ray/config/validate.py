"""Validation by pydantic, its errors turned into one clear line."""

import difflib
import json
import math
import re
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mad_ray.core.errors import InvalidInput

T = TypeVar("T")

_KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "nothing"} | {
    dict: "a mapping",
    list: "a list",
}

_adapters: dict[Any, TypeAdapter] = {}


def validate(kind: type[T], value: Any, path: str) -> T:
    """value -> an instance of `kind`. InvalidInput that names the field by its path in the config."""
    try:
        # As JSON: strict about types, and yet lists become tuples, mappings settings.
        text = json.dumps(value, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        # A date as a key, an anchor inside itself.
        raise InvalidInput(
            f"{path or 'config'}: not plain settings ({error}); use text keys, and no circles"
        ) from error
    try:
        _require_finite(value, path)
        return adapter_of(kind).validate_json(text)
    except ValidationError as error:
        raise InvalidInput(_line(kind, error, path, json.loads(text))) from None


def adapter_of(kind: Any) -> TypeAdapter:
    """The validator of a settings class, made once."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def unknown(path: str, key: str, known: Iterable[str]) -> InvalidInput:
    """The error for a key nobody knows: with the nearest known one."""
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "remove it"
    return InvalidInput(f"{path}: unknown key; {hint} (known here: {', '.join(names) or 'no settings'})")


def _require_finite(value: Any, path: str) -> None:
    """No setting is infinite, no number at all, or beyond what a machine counts with: loops of such have no end."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(f"{path or 'config'}={value}: expected a finite number")
    if isinstance(value, int) and not -(2**64) < value < 2**64:
        raise InvalidInput(f"{path or 'config'}: a whole number of more than 64 bits; expected a smaller one")
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, part in parts:
        _require_finite(part, f"{path}.{key}" if path else str(key))


def _line(kind: Any, error: ValidationError, path: str, value: Any) -> str:
    # An unknown key first: a misspelt field also shows as a missing one, and that would mislead.
    # Then the deepest: where a union admits text or a list, the list's bad item says more than "not text".
    extra = ("extra_forbidden", "unexpected_keyword_argument")
    found = min(error.errors(), key=lambda e: (e["type"] not in extra, -len(_walk(e["loc"], value))))
    parts = _walk(found["loc"], value)
    where = ".".join([path, *parts] if path else parts) or "config"
    if found["type"] in extra:
        return str(unknown(where, parts[-1], _fields_at(adapter_of(kind).json_schema(), parts[:-1])))
    cause = found.get("ctx", {}).get("error")
    if isinstance(cause, InvalidInput):
        return _below(path, str(cause))
    if found["type"] in ("missing", "missing_argument"):
        return f"{where} is missing; it has no default"
    text = found["msg"][0].lower() + found["msg"][1:]
    given = found["input"]
    hint = ""
    if found["type"] in ("literal_error", "enum") and isinstance(given, str):
        options = re.findall("'([^']*)'", found["msg"])
        hint = "".join(f"; did you mean {near}?" for near in difflib.get_close_matches(given, options, n=1, cutoff=0.5))
    return f"{where}={_short(given)}: {text} (found {_KINDS.get(type(given), type(given).__name__)}){hint}"


def _walk(loc: tuple[int | str, ...], value: Any) -> list[str]:
    """The location as a path in the config: without the types of a union, which pydantic puts between."""
    parts = []
    for i, part in enumerate(loc):
        if isinstance(value, dict) and (part in value or i == len(loc) - 1):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        parts.append(str(part))
    return parts


def _below(path: str, message: str) -> str:
    """Messages of settings begin with their own block ("loop.bias=2 ..."); put the blocks above it in front."""
    block = path.rpartition(".")[2]
    above = path.rpartition(".")[0]
    return f"{above}.{message}" if above and message.startswith(block) else message


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fields_at(schema: dict[str, Any], parts: list[str]) -> Iterable[str]:
    node = schema
    for part in parts:
        node = _resolve(schema, node).get("properties", {}).get(part, {})
    return _resolve(schema, node).get("properties", {})


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node or "anyOf" in node:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        else:
            node = next((option for option in node["anyOf"] if option.get("type") != "null"), {})
    return node
