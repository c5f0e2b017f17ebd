"""A study's own documents in the store: what it is (written once), and why a cohort failed (until it runs again)."""

import time
from collections.abc import Iterator
from typing import Any

from mad_ray.core.errors import Corrupt, Drift, Missing
from mad_ray.core.fingerprint import Json, drift
from mad_ray.core.sealed import seal, unseal
from mad_ray.ledger.parallel import in_parallel
from mad_ray.ledger.store import Store


def study_key(name: str) -> str:
    """Where the study of that name says what it is."""
    return f"studies/{name}/study.json"


def register_study(store: Store, name: str, document: dict[str, Json]) -> None:
    """Write the study's document, or check it against the one stored. Drift names the first field that changed.

    document["study"] holds the settings that identify the study.
    """
    document = {"name": name, **document}
    if store.put(study_key(name), seal(document), if_absent=True):
        return
    stored = read_study(store, name)
    changed = drift(stored["study"], document["study"])
    if changed:
        field, before, now = changed[0]
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise Drift(
            f"study.{field}={_text(now)} where the store's study {name} has {_text(before)}{more}; restore it, or give "
            "the changed study another study.name (what is already computed is found again)"
        )


def read_study(store: Store, name: str) -> dict[str, Any]:
    """The study's document; its cases include those that a search has asked for since.

    Missing if no study of that name was ever started on this store.
    """
    key = study_key(name)
    try:
        document = unseal(store.get(key), key, expected={"name": name}, needs=("study", "cases"))
    except Missing as error:
        raise Missing(
            f"study {name} is not in {store.url}; `mad-ray run` puts it there, or correct run.store"
        ) from error
    return {**document, "cases": [*document["cases"], *(case for cases in read_rounds(store, name) for case in cases)]}


def record_round(store: Store, name: str, i: int, cases: list[dict[str, Json]]) -> list[dict[str, Any]]:
    """Write which cases round i (1, 2, ...) of a search asks for; returns what stands there, written by whoever was
    first.
    """
    key = _round_key(name, i)
    store.put(key, seal({"cases": cases, "round": i}), if_absent=True)
    return _read_round(store, name, i)


def read_rounds(store: Store, name: str) -> Iterator[list[dict[str, Any]]]:
    """The cases of every round so far, in order."""
    i = 1
    while True:
        try:
            yield _read_round(store, name, i)
        except Missing:
            return
        i += 1


def _read_round(store: Store, name: str, i: int) -> list[dict[str, Any]]:
    key = _round_key(name, i)
    document = unseal(store.get(key), key, needs=("cases",))
    # Those of earlier versions do not say which they are.
    if document.get("round", i) != i:
        raise Corrupt(f"{key}: holds round {document['round']}; objects were moved or mixed up")
    return document["cases"]


def _round_key(name: str, i: int) -> str:
    return f"studies/{name}/rounds/{i:05d}.json"


def record_failure(store: Store, study: str, cohort: str, generation: int, reason: str) -> None:
    """Keep why a cohort cannot go on, for `status` and the report."""
    document = {"cohort": cohort, "generation": generation, "reason": reason, "at_s": round(time.time())}
    store.put(_failure_key(study, cohort), seal(document))


def clear_failure(store: Store, study: str, cohort: str) -> None:
    """Forget an earlier failure: the cohort runs again."""
    store.delete(_failure_key(study, cohort))


def read_failure(store: Store, study: str, cohort: str) -> str | None:
    """Why the cohort stopped, if it did."""
    key = _failure_key(study, cohort)
    try:
        document = unseal(store.get(key), key, expected={"cohort": cohort}, needs=("generation", "reason"))
    except Missing:
        return None
    return f"generation {document['generation']}: {document['reason']}"


def read_failures(store: Store, study: str) -> dict[str, str]:
    """Cohort -> why it stopped, of all that did: one listing, and a request for each of them."""
    prefix = f"studies/{study}/failures/"
    stopped = [entry.key.removeprefix(prefix).removesuffix(".json") for entry in store.list(prefix)]
    reasons = in_parallel(lambda cohort: read_failure(store, study, cohort), stopped)
    return {cohort: reason for cohort, reason in zip(stopped, reasons, strict=True) if reason is not None}


def _failure_key(study: str, cohort: str) -> str:
    return f"studies/{study}/failures/{cohort}.json"


def _text(value: Json) -> str:
    return "its default" if value is None else str(value)
