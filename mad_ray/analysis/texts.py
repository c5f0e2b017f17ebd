"""Generated text, read back from a store: the first sequences of each generation as their tokens are written."""

from typing import Any

import numpy as np

from mad_ray.core.manifest import Manifest
from mad_ray.core.spelling import Spelling
from mad_ray.ledger.beside import read_beside
from mad_ray.ledger.retention import first_samples
from mad_ray.ledger.store import Store

N_TEXTS = 3
"""Sequences shown of a generation."""
MAX_CHARACTERS = 300
"""Longer ones are cut."""

Texts = list[str]


def read_texts(
    store: Store, key: str, reference: dict[str, Any], histories: list[list[Manifest]], seeds: list[list[int]]
) -> tuple[Texts, dict[int, dict[int, Texts]]]:
    """(real sequences, seed -> generation -> the first sequences it published); nothing where samples are no text.

    reference: the document at `key`, which names how tokens are written and some real sequences.
    """
    if "spelling" not in reference:
        return [], {}
    spelling = Spelling.from_arrays(read_beside(store, key, reference["spelling"]))
    real = written(spelling, read_beside(store, key, reference["texts"])["x"])
    found: dict[int, dict[int, Texts]] = {}
    for history, of in zip(histories, seeds, strict=True):
        for manifest, shard in [(m, shard) for m in history for shard in m.shards if shard.start == 0]:
            x = first_samples(store, manifest, shard)
            for b, seed in enumerate(of):
                found.setdefault(seed, {})[shard.generation] = written(spelling, x[b])
    return real, found


def written(spelling: Spelling, tokens: np.ndarray) -> Texts:
    """The first sequences of tokens [n, L] as text."""
    texts = [spelling.text(row) for row in tokens[:N_TEXTS]]
    return [text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…" for text in texts]
