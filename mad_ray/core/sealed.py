"""Sealed JSON documents: an object that carries the digest of its own content, so that one flipped bit shows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mad_ray.core.errors import Corrupt
from mad_ray.core.fingerprint import canonical_json, digest


def seal(document: dict[str, Any]) -> bytes:
    """The document with its digest added, as canonical JSON."""
    return canonical_json({**document, "seal": digest(document)})


def unseal(
    data: bytes, key: str, *, expected: Mapping[str, Any] | None = None, needs: Sequence[str] = ()
) -> dict[str, Any]:
    """The document again. Corrupt if the bytes are not exactly what `seal` wrote.

    expected: what the one that belongs under this key says; needs: fields that it has. A document that is whole, but
    another one, is Corrupt too.
    """
    try:
        document = json.loads(data)
        given = document.pop("seal")
        # Compared as bytes: a flipped bit may leave the parsed value equal (white space, 1 and 1.0).
        is_whole = digest(document) == given and canonical_json({**document, "seal": given}) == data
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise Corrupt(f"{key}: not a sealed JSON document; it was damaged or written by something else") from error
    if not is_whole:
        raise Corrupt(f"{key}: its content does not match its seal; restore the object, or delete it to redo the work")
    wrong = [name for name in needs if name not in document]
    wrong += [name for name, value in (expected or {}).items() if document.get(name) != value]
    if wrong:
        raise Corrupt(f"{key}: holds another document (its {wrong[0]} says so); objects were moved or mixed up")
    return document
