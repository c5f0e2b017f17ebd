"""Sealed JSON documents: an object that carries the digest of its own content, so that one flipped bit shows."""

import json
from typing import Any

from mad_ray.core.errors import Corrupt
from mad_ray.core.fingerprint import canonical_json, digest


def seal(document: dict[str, Any]) -> bytes:
    """The document with its digest added, as canonical JSON."""
    return canonical_json({**document, "seal": digest(document)})


def unseal(data: bytes, key: str) -> dict[str, Any]:
    """The document again. Corrupt if the bytes are not exactly what `seal` wrote."""
    try:
        document = json.loads(data)
        given = document.pop("seal")
        # Compared as bytes: a flipped bit may leave the parsed value equal (white space, 1 and 1.0).
        is_whole = seal(document) == data and digest(document) == given
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise Corrupt(f"{key}: not a sealed JSON document; it was damaged or written by something else") from error
    if not is_whole:
        raise Corrupt(f"{key}: its content does not match its seal; restore the object, or delete it to redo the work")
    return document
