"""Verifying what lies beside the ledgers: sealed JSON documents, and the objects that they name."""

from collections.abc import Iterable, Iterator
from typing import Any

from mad_ray.core.errors import Corrupt, Missing
from mad_ray.core.fingerprint import digest
from mad_ray.core.manifest import Blob
from mad_ray.core.sealed import unseal
from mad_ray.ledger.chain import read_checked
from mad_ray.ledger.findings import Finding, Tally
from mad_ray.ledger.store import Store


def verify_documents(store: Store, prefix: str, tally: Tally | None = None) -> Iterator[Finding]:
    """Every sealed document below the prefix that is not as it was written, and every bad object that one names."""
    tally = Tally() if tally is None else tally
    for entry in store.list(prefix):
        if not entry.key.endswith(".json"):
            continue
        try:
            data = store.get(entry.key)
            document = unseal(data, entry.key)
        except Missing:
            # Deleted since it was listed.
            continue
        except Corrupt as error:
            yield Finding(entry.key, str(error))
            continue
        if not _belongs(entry.key, document):
            yield Finding(entry.key, "holds another document; objects were moved or mixed up: restore it from a copy")
            continue
        tally.n_objects, tally.n_bytes = tally.n_objects + 1, tally.n_bytes + len(data)
        yield from _verify_named(store, entry.key, document, tally)


def _belongs(key: str, document: dict[str, Any]) -> bool:
    """Whether a document says itself that it lies under this key, where it is one of those that mad_ray writes."""
    kind, folder, *rest = key.split("/")
    if kind == "references":
        return digest([document.get("data"), document.get("metrics")])[:16] == folder
    if kind == "extractors":
        return "state" in document and digest([document.get("data"), "lenet"])[:16] == folder
    if kind == "interventions":
        parts = [document.get(part) for part in ("data", "intervention", "seeds", "place", "path")]
        return digest(parts)[:16] == folder
    if kind == "embeddings":
        return document.get("cohort") == folder
    if kind == "datasets":
        return document.get("dataset") == folder
    if kind == "studies":
        return _belongs_to_study(folder, rest, document)
    return True


def _belongs_to_study(name: str, rest: list[str], document: dict[str, Any]) -> bool:
    if rest == ["study.json"]:
        return document.get("name") == name
    if rest == ["index.json"]:
        return document.get("study") == name
    if rest[:1] == ["failures"]:
        return document.get("cohort") == rest[-1].removesuffix(".json")
    if rest[:1] == ["rounds"]:
        i = int(rest[-1].removesuffix(".json"))
        return "cases" in document and document.get("round", i) == i
    return True


def require_documents(store: Store, keys: Iterable[str]) -> Iterator[Finding]:
    """Of documents that results rest on, those that are not there."""
    for key in dict.fromkeys(keys):
        try:
            store.get(key)
        except Missing:
            yield Finding(key, "missing; restore it from a copy, or run the study again, which makes it anew")


def _verify_named(store: Store, key: str, document: dict[str, Any], tally: Tally) -> Iterator[Finding]:
    for value in document.values():
        if not (isinstance(value, dict) and value.keys() == {"name", "n_bytes", "sha256"}):
            continue
        named = f"{key.rpartition('/')[0]}/{value['name']}"
        try:
            data = read_checked(store, named, Blob(**value))
        except (Corrupt, Missing) as error:
            yield Finding(named, str(error))
            continue
        tally.n_objects, tally.n_bytes = tally.n_objects + 1, tally.n_bytes + len(data)
