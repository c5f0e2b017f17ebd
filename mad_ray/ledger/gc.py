"""Delete what no manifest names: the remains of attempts that died or lost, and of fits that were never ended."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Literal

from mad_ray.core.errors import Corrupt, Missing
from mad_ray.ledger.chain import manifest_key, read_manifest
from mad_ray.ledger.fate import LAST, bury, is_buried
from mad_ray.ledger.local import LocalStore
from mad_ray.ledger.store import PROBES, RESERVED, Entry, Store

LISTED_EACH = 100
"""Of more cohorts the whole store is listed at once, a thousand objects a request, rather than each by itself."""


@dataclass(frozen=True)
class Collected:
    """Objects deleted (or, dry, to be deleted), their bytes, and how many unnamed ones were left.

    kept_young: their attempt is younger than the grace period. kept_complete: their attempt may still be committed.
    """

    n_objects: int = 0
    n_bytes: int = 0
    kept_young: int = 0
    kept_complete: int = 0


@dataclass(frozen=True)
class Garbage:
    """An object that no manifest names. modified_s: when its attempt was last heard of.

    What can come of it: nothing any more ("final"); a commit, unless its attempt, of that prefix, is buried first
    ("open"); a commit, since the attempt has written all it has to ("complete").
    """

    entry: Entry
    modified_s: float
    attempt: str = ""
    fate: Literal["final", "open", "complete"] = "final"


def collect(
    store: Store, cohort_ids: Sequence[str], grace_s: float, now_s: float | None = None, dry: bool = False
) -> Collected:
    """Delete objects of the cohorts' attempts that no manifest names, where the whole attempt is older than grace_s.

    Safe beside a running study, whatever the grace period: one that is too short makes attempts start over. Killed at
    any moment and run again it ends the same. Corrupt, and nothing deleted, if a manifest that is needed to tell is
    damaged or lost: what it named would look like garbage.
    """
    before_s = (time.time() if now_s is None else now_s) - grace_s
    found = [Garbage(entry, entry.modified_s) for entry in store.list(PROBES)]
    for cohort_id, entries in _listed(store, cohort_ids):
        found += _garbage(store, cohort_id, entries)
    told = _delete(store, found, before_s, dry)
    n_files, n_bytes = _sweep(store, before_s, dry)
    return replace(told, n_objects=told.n_objects + n_files, n_bytes=told.n_bytes + n_bytes)


def _delete(store: Store, found: Iterable[Garbage], before_s: float, dry: bool) -> Collected:
    n_objects = n_bytes = kept_young = kept_complete = 0
    may_go: dict[str, bool] = {}
    for garbage in found:
        if garbage.modified_s > before_s:
            kept_young += 1
            continue
        if garbage.attempt not in may_go:
            may_go[garbage.attempt] = garbage.fate == "final" or _may_bury(store, garbage, dry)
        if not may_go[garbage.attempt]:
            kept_complete += 1
            continue
        n_objects, n_bytes = n_objects + 1, n_bytes + garbage.entry.n_bytes
        if not dry:
            store.delete(garbage.entry.key)
    return Collected(n_objects, n_bytes, kept_young, kept_complete)


def _may_bury(store: Store, garbage: Garbage, dry: bool) -> bool:
    return garbage.fate == "open" and (dry or bury(store, garbage.attempt))


def _listed(store: Store, cohort_ids: Sequence[str]) -> Iterator[tuple[str, list[Entry]]]:
    """(cohort, its objects in the order of keys)."""
    if len(cohort_ids) <= LISTED_EACH:
        yield from ((cohort_id, list(store.list(f"cohorts/{cohort_id}/"))) for cohort_id in cohort_ids)
        return
    wanted = set(cohort_ids)
    for cohort_id, entries in groupby(store.list("cohorts/"), key=lambda entry: entry.key.split("/")[1]):
        if cohort_id in wanted:
            yield cohort_id, list(entries)


def _garbage(store: Store, cohort_id: str, entries: Sequence[Entry]) -> Iterator[Garbage]:
    """What no manifest of the cohort names, nor any that may come; and attempts that may be dead."""
    attempts: dict[int, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    committed: set[int] = set()
    for entry in entries:
        folder, name = entry.key.split("/")[2:4]
        if folder == "progress":
            # A fit at work renews its checkpoint; an old one costs whoever resumes it a few steps.
            yield Garbage(entry, entry.modified_s)
        elif folder == "ledger" and name.removesuffix(".json").isdecimal():
            committed.add(int(name.removesuffix(".json")))
        elif folder == "attempts" and name.partition("-")[0].isdecimal():
            attempts[int(name.partition("-")[0])][name].append(entry)
    last = max(committed, default=0)
    for first, of in sorted(attempts.items()):
        if first > last:
            yield from _undecided(store, cohort_id, of)
        elif first not in committed or len(of) > 1:
            # (A commit has an attempt; where there is but one it is that.)
            yield from _lost(cohort_id, of, _winner(store, cohort_id, first))


def _winner(store: Store, cohort_id: str, first: int) -> str:
    """The name of the attempt that was committed."""
    key = manifest_key(cohort_id, first)
    try:
        return f"{first:06d}-{read_manifest(store, cohort_id, key).attempt}"
    except Missing as error:
        raise Corrupt(
            f"{key}: is missing, though there are later ones; run `mad-ray verify` before anything is deleted"
        ) from error


def _lost(cohort_id: str, attempts: dict[str, list[Entry]], winner: str) -> Iterator[Garbage]:
    """All of those that were not committed: another one is, for ever."""
    for name, entries in attempts.items():
        if name != winner:
            youngest = max(entry.modified_s for entry in entries)
            yield from (Garbage(entry, youngest, f"cohorts/{cohort_id}/attempts/{name}") for entry in entries)


def _undecided(store: Store, cohort_id: str, attempts: dict[str, list[Entry]]) -> Iterator[Garbage]:
    """Attempts at what is not committed yet: dead, or at work. A gravestone stays until another attempt has won."""
    for name, entries in attempts.items():
        prefix = f"cohorts/{cohort_id}/attempts/{name}"
        rest = [entry for entry in entries if entry.key != f"{prefix}/{LAST}"]
        fate: Literal["final", "open", "complete"] = "open"
        if len(rest) < len(entries):
            fate = "final" if is_buried(store, prefix) else "complete"
        kept = rest if fate == "final" else entries
        youngest = max((entry.modified_s for entry in kept), default=0.0)
        yield from (Garbage(entry, youngest, prefix, fate) for entry in kept)


def _sweep(store: Store, before_s: float, dry: bool) -> tuple[int, int]:
    """(files, bytes) that killed writers left half-written in a store on a disk; deleted unless dry."""
    inner = getattr(store, "store", store)
    if not isinstance(inner, LocalStore):
        # Objects on S3 are there whole or not at all.
        return 0, 0
    n_files = n_bytes = 0
    with suppress(FileNotFoundError), os.scandir(inner.root / RESERVED) as found:
        for entry in found:
            with suppress(OSError):
                status = entry.stat()
                if status.st_mtime > before_s:
                    continue
                if not dry:
                    Path(entry.path).unlink()
                n_files, n_bytes = n_files + 1, n_bytes + status.st_size
    return n_files, n_bytes
