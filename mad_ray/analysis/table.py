"""From a store to a StudyResult: ledgers -> one long table, floors, sample strips, durations. Needs no config."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mad_ray.analysis.dynamics import embedded_cohorts, read_embeddings
from mad_ray.analysis.study import FLOOR_COLUMNS, TABLE_COLUMNS, CaseInfo, StudyResult
from mad_ray.analysis.texts import read_texts
from mad_ray.core.errors import Missing
from mad_ray.core.fingerprint import canonical_json
from mad_ray.core.manifest import Manifest
from mad_ray.core.sealed import unseal
from mad_ray.core.values import decode_rows
from mad_ray.ledger.beside import read_beside
from mad_ray.ledger.chain import Chain, blob_key, read_checked
from mad_ray.ledger.derived import labels_key
from mad_ray.ledger.parallel import in_parallel
from mad_ray.ledger.retention import first_samples
from mad_ray.ledger.store import Store
from mad_ray.ledger.studies import read_failures, read_study
from mad_ray.ledger.tensors import decode_tensors

STRIP_IMAGES = 20


def read_result(store: Store, name: str) -> StudyResult:
    """All that a study has committed so far. Missing if there is no such study, Corrupt if its ledgers are damaged."""
    document, failures = read_study(store, name), read_failures(store, name)
    rows: list[dict[str, Any]] = []
    floors: list[dict[str, Any]] = []
    cases: list[CaseInfo] = []
    manifests: list[Manifest] = []
    embedded = embedded_cohorts(store)
    for case in document["cases"]:
        of_case = in_parallel(partial(_read_cohort, store, case), [c["id"] for c in case["cohorts"]])
        found = [(cohort, history) for cohort, history, _ in of_case]
        for _, history, values in of_case:
            rows += values
            manifests += history
        floors += [
            {"case": case["case"], "metric": metric, "value": value}
            for key in (case["reference"], labels_key(case["reference"]))
            for metric, value in _reference(store, key).get("floors", {}).items()
            if value is not None
        ]
        cases.append(_case(store, case, found, failures, embedded))
    return StudyResult(
        name=name,
        identity={"title": document["title"], "study": document["study"]},
        table=pd.DataFrame(rows, columns=list(TABLE_COLUMNS)),
        floors=pd.DataFrame(floors, columns=list(FLOOR_COLUMNS)),
        cases=cases,
        provenance=provenance_of(manifests),
    )


def _read_cohort(store: Store, case: dict[str, Any], cohort: str) -> tuple[str, list[Manifest], list[dict[str, Any]]]:
    """(cohort, its manifests, its rows of the table)."""
    history = _history(store, cohort, case["n_generations"])
    return cohort, history, list(_rows(store, case["case"], cohort, history, case["n_generations"]))


def _history(store: Store, cohort: str, n_generations: int) -> list[Manifest]:
    return [m for m in Chain(store, cohort).history() if m.first <= n_generations]


def _rows(store: Store, case: str, cohort: str, history: list[Manifest], n: int) -> Iterator[dict[str, Any]]:
    for manifest in history:
        data = read_checked(store, blob_key(manifest, manifest.metrics), manifest.metrics)
        for row in decode_rows(data):
            if row["generation"] <= n and row["value"] is not None:
                yield {"case": case, "cohort": cohort, **row}


def _reference(store: Store, key: str) -> dict[str, Any]:
    try:
        return unseal(store.get(key), key)
    except Missing:
        return {}


def _case(
    store: Store,
    case: dict[str, Any],
    found: list[tuple[str, list[Manifest]]],
    failures: Mapping[str, str],
    embedded: set[str],
) -> CaseInfo:
    n = case["n_generations"]
    seeds = {c["id"]: len(c["seeds"]) for c in case["cohorts"]}
    stopped = [failures[cohort] for cohort, h in found if cohort in failures and not (h and h[-1].last >= n)]
    seconds: defaultdict[str, float] = defaultdict(float)
    for _, history in found:
        for manifest in history:
            for stage, spent in manifest.provenance.get("seconds", {}).items():
                seconds[stage] += spent
    histories, seeds_of = [history for _, history in found], [c["seeds"] for c in case["cohorts"]]
    reference = _reference(store, case["reference"])
    real_texts, texts = read_texts(store, case["reference"], reference, histories, seeds_of)
    return CaseInfo(
        case=case["case"],
        group=case["group"],
        description=case["description"],
        n_generations=n,
        n_seeds=sum(seeds.values()),
        n_done=sum(min(h[-1].last, n) * seeds[cohort] for cohort, h in found if h),
        failure="; ".join(stopped) or None,
        strips=_strips(store, histories, seeds_of),
        real_strip=_beside(store, case["reference"], reference, "strip"),
        snapshots=_snapshots(store, histories, seeds_of),
        real_points=_beside(store, case["reference"], reference, "points"),
        texts=texts,
        real_texts=real_texts,
        interventions=tuple(case.get("interventions", ())),
        loop=canonical_json(case.get("identity", {}).get("loop")).decode(),
        n_real=case.get("n_real", 0),
        embeddings=tuple(one for c, history in found if c in embedded for one in read_embeddings(store, c, history)),
        seconds=dict(seconds),
    )


def _strips(store: Store, histories: list[list[Manifest]], seeds: list[list[int]]) -> dict[int, dict[int, np.ndarray]]:
    """seed -> generation -> the first images of what it published."""
    strips: dict[int, dict[int, np.ndarray]] = {}
    for history, of in zip(histories, seeds, strict=True):
        first = [(manifest, shard) for manifest in history for shard in manifest.shards if shard.start == 0]
        for manifest, shard in first:
            x = first_samples(store, manifest, shard)
            if x.dtype == np.uint8 and x.ndim == 5:
                for b, seed in enumerate(of):
                    strips.setdefault(seed, {})[shard.generation] = x[b, :STRIP_IMAGES]
    return strips


def _snapshots(
    store: Store, histories: list[list[Manifest]], seeds: list[list[int]]
) -> dict[int, dict[int, np.ndarray]]:
    """seed -> generation -> the samples that were kept for a picture, of data in the plane."""
    found: dict[int, dict[int, np.ndarray]] = {}
    for history, of in zip(histories, seeds, strict=True):
        # Models may be large: they are fetched where pictures were asked for only.
        for manifest in (m for m in history if m.identity["metrics"].get("snapshots")):
            tensors = decode_tensors(read_checked(store, blob_key(manifest, manifest.models), manifest.models))
            for name, x in tensors.items():
                if name.startswith("snapshots/") and x.ndim == 3 and x.shape[2] == 2:
                    for b, seed in enumerate(of[: len(x)]):
                        found.setdefault(seed, {})[int(name.removeprefix("snapshots/"))] = x[b]
            for t, x in _shard_snapshots(store, manifest).items():
                for b, seed in enumerate(of):
                    found.setdefault(seed, {})[t] = x[b]
    return found


def _shard_snapshots(store: Store, manifest: Manifest) -> dict[int, np.ndarray]:
    """generation -> [B, n, 2], the same of families that store what they publish: its first shard."""
    wanted = manifest.identity["metrics"].get("snapshots", [])
    found = {}
    for shard in manifest.shards:
        if shard.start == 0 and shard.generation in wanted:
            x = first_samples(store, manifest, shard)
            if x.shape[2:] == (2,):
                found[shard.generation] = x
    return found


def _beside(store: Store, key: str, reference: dict[str, Any], name: str) -> np.ndarray | None:
    """Held-out real samples, kept beside the reference for readers who do not have the data: points, or a strip."""
    named = reference.get(name)
    return read_beside(store, key, named)["x"] if named else None


def provenance_of(manifests: list[Manifest]) -> dict[str, Any]:
    told = [manifest.provenance for manifest in manifests]
    if not told:
        return {}
    seconds: defaultdict[str, float] = defaultdict(float)
    for one in told:
        for stage, spent in one.get("seconds", {}).items():
            seconds[stage] += spent
    ends = [one["started_s"] + one["wall_s"] for one in told]
    return {
        "versions": told[-1]["versions"],
        "devices": sorted({one["device"] for one in told}),
        "threads": sorted({one.get("threads", 1) for one in told}),
        "started": _utc(min(one["started_s"] for one in told)),
        "finished": _utc(max(ends)),
        "seconds": dict(seconds),
        "bytes": sum(one["n_bytes"] for one in told),
        "commits": len(told),
    }


def _utc(seconds: float) -> str:
    return pd.Timestamp(seconds, unit="s", tz="UTC").strftime("%Y-%m-%d %H:%M:%S UTC")
