"""The real reference of every metric: held-out features, the extractor, and the floor; made once, kept in the store."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mad_ray.core.errors import Missing
from mad_ray.core.fingerprint import Json, digest, identity
from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments, rows_to_moments
from mad_ray.core.samples import Samples
from mad_ray.core.sealed import seal, unseal
from mad_ray.data.source import Source, Spelled
from mad_ray.engine.dataset import dataset_key, open_source
from mad_ray.ledger.beside import read_beside, write_beside
from mad_ray.ledger.store import Store
from mad_ray.metrics.features import Extractor
from mad_ray.metrics.measure import Metrics, evaluate, make_extractor

LENET_KEYS = Keys((0,)).at("lenet")
FLOOR_KEYS = Keys((0,)).at("floor")
# Rows that a LeNet is trained and tested on at most, as many as MNIST has: data may be larger than memory.
LENET_ROWS, LENET_HELD_OUT = 60_000, 10_000
STRIP_IMAGES = 20


@dataclass(frozen=True)
class Reference:
    """features [n, d] of held-out real samples, their moments (exact ones where P_r has them), the extractor, and

    floors: each metric of real against held-out real samples at the same n; no model is expected below it.
    accuracy: of the LeNet on held-out data, None for other extractors.
    """

    features: np.ndarray
    moments: Moments
    extractor: Extractor
    floors: dict[str, float | None]
    accuracy: float | None


def reference_key(data: Source, metrics: Metrics) -> str:
    """Where the reference of these settings lies in a store."""
    return f"references/{digest([identity(data), identity(metrics)])[:16]}/reference.json"


def lenet_key(data: Source) -> str:
    """Where the LeNet of a data set lies in a store."""
    return f"extractors/{digest([identity(data), 'lenet'])[:16]}/lenet.json"


def rests_on(data: Source, metrics: Metrics) -> list[str]:
    """Keys of the documents that measured values, and D^t, rest on, in a store that holds a generation of them."""
    found = [dataset_key(data)]
    if metrics.of_samples:
        found += [reference_key(data, metrics), lenet_key(data) if metrics.features == "lenet" else None]
    return [key for key in found if key is not None]


_references: dict[tuple[str, Source, Metrics], Reference] = {}


def open_reference(store: Store, data: Source, metrics: Metrics, say: Callable[[str], None] = print) -> Reference:
    """The reference from this process, else from the store, else made now (and kept; whoever is first wins)."""
    known = (store.url, data, metrics)
    if known not in _references:
        _references[known] = _read_or_make(store, open_source(store, data), metrics, say)
    return _references[known]


def _read_or_make(store: Store, data: Source, metrics: Metrics, say: Callable[[str], None]) -> Reference:
    extractor, accuracy = _open_extractor(store, data, metrics, say)
    key = reference_key(data, metrics)
    what = {"data": identity(data), "metrics": identity(metrics)}
    document = _read_sealed(store, key, what, "features", "floors")
    if document is None:
        store.put(key, _make(store, key, data, metrics, extractor), if_absent=True)
        document = unseal(store.get(key), key, expected=what)
    features = read_beside(store, key, document["features"])["features"]
    return Reference(features, _real_moments(data, metrics, features), extractor, document["floors"], accuracy)


def _make(store: Store, key: str, data: Source, metrics: Metrics, extractor: Extractor) -> bytes:
    """Compute features and floors, write the features, return the sealed document that names them."""
    held = data.held_out(metrics.n)
    real = extractor(held.x[0])
    n_other = metrics.n if data.n_rows is None else min(metrics.n, data.n_rows)
    real_rows = data.rows(0, n_other, FLOOR_KEYS).x[0]
    other = extractor(real_rows)
    floors = evaluate(
        real=real,
        synthetic=other,
        settings=metrics,
        real_moments=_real_moments(data, metrics, real),
        synthetic_moments=rows_to_moments(other[None]),
        law=law_of(data),
        tokens=real_rows if data.event.n_symbols else None,
    )
    named = write_beside(store, key, "features", {"features": real})
    finite: dict[str, Json] = {name: float(v) if np.isfinite(v) else None for name, v in floors.items()}
    document = {"data": identity(data), "metrics": identity(metrics), "features": named, "floors": finite}
    if held.x.dtype == np.uint8:
        document["strip"] = write_beside(store, key, "strip", {"x": strip(held, data.event.n_classes)})
    if isinstance(data, Spelled):
        document["spelling"] = write_beside(store, key, "spelling", data.spelling().arrays())
        document["texts"] = write_beside(store, key, "texts", {"x": held.x[0, :STRIP_IMAGES]})
    if metrics.snapshots and held.x.shape[2:] == (2,):
        document["points"] = write_beside(store, key, "points", {"x": held.x[0]})
    return seal(document)


def law_of(data: Source) -> dict[str, np.ndarray] | None:
    """The facts of P_r, where the source knows them."""
    return data.law() if hasattr(data, "law") else None


def strip(held: Samples, n_classes: int) -> np.ndarray:
    """STRIP_IMAGES real images for readers who do not have the data, ordered by class as families order theirs."""
    if n_classes == 0:
        return held.x[0, :STRIP_IMAGES]
    of_class = [np.flatnonzero(held.label[0] == c) for c in range(n_classes)]
    wanted = [of_class[i % n_classes][i // n_classes :][:1] for i in range(STRIP_IMAGES)]
    return held.x[0, np.concatenate(wanted)]


def _real_moments(data: Source, metrics: Metrics, features: np.ndarray) -> Moments:
    exact = data.moments() if metrics.features == "identity" else None
    return rows_to_moments(features[None]) if exact is None else exact


def _open_extractor(
    store: Store, data: Source, metrics: Metrics, say: Callable[[str], None]
) -> tuple[Extractor, float | None]:
    if metrics.features != "lenet":
        return make_extractor(metrics, device=_torch_device(metrics)), None
    key = lenet_key(data)
    document = _read_sealed(store, key, {"data": identity(data)}, "state", "accuracy")
    if document is None:
        say(f"training the LeNet of {data.name}, once; it is kept in the store")
        store.put(key, _train_lenet(store, key, data), if_absent=True)
        document = unseal(store.get(key), key)
    return make_extractor(metrics, lenet=read_beside(store, key, document["state"])), document["accuracy"]


def _torch_device(metrics: Metrics) -> str:
    """Only Inception is heavy enough for a GPU to matter."""
    if metrics.features != "inception":
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _train_lenet(store: Store, key: str, data: Source) -> bytes:
    from mad_ray.metrics.lenet import lenet_accuracy, train_lenet

    real = data.rows(0, min(data.n_rows or 0, LENET_ROWS), LENET_KEYS)
    state = train_lenet(real.x[0], real.label[0], data.event.n_classes, LENET_KEYS)
    held = data.held_out(min(data.n_held_out or 0, LENET_HELD_OUT))
    named = write_beside(store, key, "state", state)
    accuracy = round(float(lenet_accuracy(state, held.x[0], held.label[0])), 6)
    return seal({"data": identity(data), "state": named, "accuracy": accuracy})


def _read_sealed(store: Store, key: str, expected: dict[str, Any], *needs: str) -> dict[str, Any] | None:
    try:
        return unseal(store.get(key), key, expected=expected, needs=needs)
    except Missing:
        return None
