"""Tensors that a document names, kept beside it under a name made of their content: whoever makes them again writes
the same."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from mad_ray.core.fingerprint import Json, digest_bytes
from mad_ray.core.manifest import Blob
from mad_ray.ledger.chain import read_checked
from mad_ray.ledger.store import Store
from mad_ray.ledger.tensors import decode_tensors, encode_tensors


def write_beside(store: Store, key: str, name: str, tensors: Mapping[str, np.ndarray]) -> dict[str, Json]:
    """Write beside the document at `key`; returns what the document says of them: name, n_bytes, sha256."""
    data = encode_tensors(tensors)
    found = digest_bytes(data)
    blob = Blob(f"{name}-{found[:16]}.safetensors", len(data), found)
    store.put(_beside(key, blob.name), data, if_absent=True)
    return asdict(blob)


def read_beside(store: Store, key: str, named: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The tensors that the document at `key` names so. Corrupt unless they are those that were written."""
    return decode_tensors(read_checked(store, _beside(key, named["name"]), Blob(**named)))


def _beside(key: str, name: str) -> str:
    return f"{key.rpartition('/')[0]}/{name}"
