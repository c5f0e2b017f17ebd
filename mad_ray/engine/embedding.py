"""One map of a trajectory: real samples and those of all generations in one embedding, made of what is committed."""

from collections.abc import Callable

import numpy as np

from mad_ray.core.errors import Missing
from mad_ray.core.manifest import Manifest
from mad_ray.core.samples import NO_LABEL, Samples, concatenate
from mad_ray.core.sealed import seal, unseal
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.dataset import open_source
from mad_ray.engine.dynamics import classifier_of, open_labels, seen_classes
from mad_ray.engine.past import Past
from mad_ray.engine.reference import open_reference
from mad_ray.ledger.beside import write_beside
from mad_ray.ledger.chain import blob_key, read_checked
from mad_ray.ledger.derived import embedding_key
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.store import Store
from mad_ray.ledger.tensors import decode_tensors
from mad_ray.metrics.embedding import embed_jointly

MAX_GENERATIONS = 12
"""Of more, so many are shown, evenly spaced, the first and the last included."""


def embed(cohort: Cohort, store: Store, b: int = 0, say: Callable[[str], None] = print) -> str | None:
    """Make the embedding of the cohort's trajectory b, as far as it has come; returns its key.

    metrics.embedding samples of each generation (of twelve at most) and as many real held-out ones. One that is there
    already is left alone: it rests on what is committed, and on nothing else. None where there is nothing to show.
    """
    n = cohort.head.metrics.embedding
    history = [m for m in Ledger(store, cohort).history() if m.first <= cohort.n_generations]
    if not n or not history:
        return None
    key = embedding_key(cohort.id, history[-1].digest, n, b)
    if _is_there(store, key, cohort):
        return key
    found = _samples(cohort, store, history, n, b)
    if not found:
        return None
    seed = cohort.seeds[b]
    say(
        f"embedding {cohort.case or cohort.id}, seed {seed}: {n} samples of each of {len(found)} generations, one t-SNE"
    )
    tensors = _embedded(cohort, store, found, n)
    named = write_beside(store, key, f"map-{n:05d}", tensors)
    document = {"cohort": cohort.id, "newest": history[-1].digest, "n": n, "seed": seed, "map": named}
    store.put(key, seal(document), if_absent=True)
    return key


def _is_there(store: Store, key: str, cohort: Cohort) -> bool:
    try:
        unseal(store.get(key), key, expected={"cohort": cohort.id}, needs=("map",))
    except Missing:
        return False
    return True


def _embedded(cohort: Cohort, store: Store, found: dict[int, Samples], n: int) -> dict[str, np.ndarray]:
    """ "real" [n, 2] and "t/1", .. [n, 2]: places; "class/real", "class/1", .. [n]: classes, -1 where nobody knows."""
    head = cohort.head
    reference, held = open_reference(store, head.data, head.metrics), open_source(store, head.data).held_out(n)
    classifier = None
    if head.data.event.n_classes >= 2:
        classifier = classifier_of(reference, open_labels(store, head.data, head.metrics).classifier)
    places = embed_jointly([reference.features[:n], *(reference.extractor(one.x[0]) for one in found.values())])
    classes = {str(t): seen_classes(classifier, one.x[0], one.label[0]) for t, one in found.items()}
    names = ["real", *(f"t/{t}" for t in found)]
    return {
        **dict(zip(names, places, strict=True)),
        **{f"class/{name}": of.astype(np.int32) for name, of in {"real": held.label[0], **classes}.items()},
    }


def _samples(cohort: Cohort, store: Store, history: list[Manifest], n: int, b: int) -> dict[int, Samples]:
    """Generation -> n samples of trajectory b."""
    if cohort.head.family.redraw:
        known = _snapshots(store, history, n, b)
        return {t: known[t] for t in _spaced(sorted(t for t in known if t <= cohort.n_generations))}
    past = Past(cohort, Ledger(store, cohort), history)
    # Who publishes nothing of its own has no shards.
    published = sorted({shard.generation for manifest in history for shard in manifest.shards})
    shown = _spaced([t for t in published if t <= cohort.n_generations])
    return {t: concatenate(list(past.published(t).blocks(0, n))).trajectory(b) for t in shown}


def _snapshots(store: Store, history: list[Manifest], n: int, b: int) -> dict[int, Samples]:
    """Of families that store no samples, those that were kept for a picture (of two seeds); they carry no labels."""
    found = {}
    for manifest in history:
        tensors = decode_tensors(read_checked(store, blob_key(manifest, manifest.models), manifest.models))
        for name, x in tensors.items():
            if name.startswith("snapshots/") and b < len(x):
                rows = x[b : b + 1, :n]
                label = np.full(rows.shape[:2], NO_LABEL, np.int32)
                found[int(name.removeprefix("snapshots/"))] = Samples.of(rows, label)
    return found


def _spaced(generations: list[int]) -> list[int]:
    if len(generations) <= MAX_GENERATIONS:
        return generations
    return [generations[i] for i in np.round(np.linspace(0, len(generations) - 1, MAX_GENERATIONS)).astype(int)]
