"""Of the classes and of one map of all generations: read back from a store, and from the table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mad_ray.analysis.curves import study_curves
from mad_ray.analysis.names import OF_CLASS
from mad_ray.analysis.study import Embedding, StudyResult
from mad_ray.core.manifest import Manifest
from mad_ray.core.sealed import unseal
from mad_ray.ledger.beside import read_beside
from mad_ray.ledger.derived import EMBEDDINGS, embeddings_prefix
from mad_ray.ledger.store import Store


@dataclass(frozen=True)
class ClassTable:
    """A metric of every class: generations [T], classes [C], values [T, C] (medians over seeds, NaN: not measured).

    floor [C]: the same of real samples, NaN where it is not known.
    """

    metric: str
    generations: np.ndarray
    classes: tuple[int, ...]
    values: np.ndarray
    floor: np.ndarray


def class_table(result: StudyResult, case: str, metric: str) -> ClassTable | None:
    """What was measured of each class under that name ("recall"); None where nothing was."""
    of_case = result.table[result.table["case"] == case]["metric"].unique()
    classes = sorted(int(m[2]) for name in of_case if (m := OF_CLASS.fullmatch(name)) and m[1] == metric)
    found = {c: curves for c in classes if (curves := study_curves(result, case, f"{metric}_class_{c}")) is not None}
    if not found:
        return None
    generations = np.unique(np.concatenate([curves.generations for curves in found.values()]))
    columns = [curves.select(generations).values for curves in found.values()]
    values = np.stack([_medians(values) for values in columns], axis=1)
    floor = np.array([curves.floor for curves in found.values()])
    return ClassTable(metric, generations, tuple(found), values, floor)


def _medians(values: np.ndarray) -> np.ndarray:
    """values [n_seeds, T] -> [T], NaN where no seed was measured."""
    known = np.isfinite(values).any(axis=0)
    medians = np.full(values.shape[1], np.nan)
    medians[known] = np.nanmedian(values[:, known], axis=0)
    return medians


def embedded_cohorts(store: Store) -> set[str]:
    """Cohorts that have an embedding: one listing, where thousands have none."""
    return {entry.key.removeprefix(EMBEDDINGS).partition("/")[0] for entry in store.list(EMBEDDINGS)}


def read_embeddings(store: Store, cohort: str, history: Sequence[Manifest]) -> list[Embedding]:
    """Of each of its trajectories the newest embedding that was made of these commits, if there is one."""
    places = {manifest.digest[:16]: i for i, manifest in enumerate(history)}
    newest: dict[str, tuple[int, str]] = {}
    for entry in store.list(embeddings_prefix(cohort)):
        name, _, suffix = entry.key.rpartition("/")[2].partition(".")
        digest, _, row = name.partition("-")
        if suffix == "json" and digest in places:
            b = row.rpartition("-")[2]
            newest[b] = max(newest.get(b, (0, "")), (places[digest], entry.key))
    return [_read_embedding(store, cohort, newest[b][1]) for b in sorted(newest)]


def _read_embedding(store: Store, cohort: str, key: str) -> Embedding:
    document = unseal(store.get(key), key, expected={"cohort": cohort}, needs=("map", "seed"))
    tensors = read_beside(store, key, document["map"])
    generations = sorted(int(name.removeprefix("t/")) for name in tensors if name.startswith("t/"))
    return Embedding(
        seed=document["seed"],
        real=tensors["real"],
        real_class=tensors["class/real"],
        places={t: tensors[f"t/{t}"] for t in generations},
        classes={t: tensors[f"class/{t}"] for t in generations},
    )
