"""Canonical JSON, digests of it, and which field made two identities differ."""

import dataclasses
import hashlib
import json
from typing import Any

Json = Any


def canonical_json(value: Json) -> bytes:
    """The one byte string of a JSON value: sorted keys, no spaces. TypeError, ValueError where there is none."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True).encode()


def digest_bytes(data: bytes) -> str:
    """SHA-256 of the bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Json) -> str:
    """SHA-256 of the value's canonical JSON, in hex."""
    return digest_bytes(canonical_json(value))


def identity(settings: Any) -> dict[str, Json]:
    """The identifying fields of a settings dataclass, as JSON.

    Fields at their default are left out, so that a field added later orphans no ledger; fields whose metadata say
    `execution` are left out too, since where something runs is not what it is. A class's `name` always stands, and
    so do fields marked `always`: those whose default came to mean something else than before.
    """
    fields: dict[str, Json] = {}
    if hasattr(settings, "name"):
        fields["name"] = settings.name
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.metadata.get("execution") or (value == _default(field) and not field.metadata.get("always")):
            continue
        fields[field.name] = _plain(value)
    return fields


def family_identity(family: Any) -> dict[str, Json]:
    """Those of a family, named: of the user's own by its module:Name, since two could be named alike."""
    kind = type(family)
    is_ours = kind.__module__.partition(".")[0] == __name__.partition(".")[0]
    return {**identity(family), "name": kind.name if is_ours else f"{kind.__module__}:{kind.__qualname__}"}


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _plain(value: Any) -> Json:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return identity(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    # 1 and 1.0 are the same setting; YAML users write either.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def drift(stored: Json, given: Json, path: str = "") -> list[tuple[str, Json, Json]]:
    """The leaves at which two JSON values differ: (dotted path, stored, given), None where one side has nothing."""
    if isinstance(stored, dict) and isinstance(given, dict):
        found = []
        for key in sorted({*stored, *given}):
            found += drift(stored.get(key), given.get(key), f"{path}.{key}" if path else key)
        return found
    return [] if stored == given else [(path, stored, given)]
