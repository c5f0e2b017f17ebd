"""From a store to the cells of a map: each cell's limit, and the baseline that n_e is read from."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mad_ray.analysis.effective import Baseline, effective_n
from mad_ray.core.cells import Point, judge_rows, series
from mad_ray.core.loop import Loop
from mad_ray.core.manifest import Manifest
from mad_ray.core.stopping import Judgement, Limit, is_checkpoint
from mad_ray.core.values import MetricRow, decode_rows
from mad_ray.ledger.chain import Chain
from mad_ray.ledger.parallel import in_parallel
from mad_ray.ledger.store import Store
from mad_ray.ledger.studies import read_failures

NAN = float("nan")


@dataclass(frozen=True)
class Value:
    """What is mapped, for one cell, with its 95 % interval; NaN where nothing can be said."""

    value: float = NAN
    low: float = NAN
    high: float = NAN
    state: str = "not finished"


@dataclass(frozen=True)
class CellRecord:
    """One cell as its ledgers tell it."""

    case: str
    point: Point
    judgement: Judgement | None
    n_real: int
    """Real rows in each D^t, t >= 2."""
    failure: str | None
    is_done: bool
    manifests: tuple[Manifest, ...]


def read_cells(store: Store, study: str, cases: Sequence[Mapping[str, Any]], limit: Limit) -> list[CellRecord]:
    """The cells among a study's cases, in their order. Reads in parallel: far stores answer slowly."""
    failures = read_failures(store, study)
    cells = [case for case in cases if "point" in case]
    return in_parallel(lambda case: _read_cell(store, case, limit, failures), cells)


def _read_cell(store: Store, case: Mapping[str, Any], limit: Limit, failures: Mapping[str, str]) -> CellRecord:
    loop = Loop(**case["identity"]["loop"])
    chains = [Chain(store, cohort["id"]) for cohort in case["cohorts"]]
    histories = [chain.history() for chain in chains]
    # Cohorts of one cell may stop at different generations; what they share is compared.
    last = min(history[-1].last if history else 0 for history in histories)
    judgement = None
    if last:
        pairs = zip(chains, histories, strict=True)
        rows = [row for chain, history in pairs for row in _rows(chain, history, limit.metric, last)]
        seeds = [seed for cohort in case["cohorts"] for seed in cohort["seeds"]]
        judgement = judge_rows(rows, seeds, loop, limit)
    is_done = judgement is not None and _is_done(case, last, judgement, limit)
    reasons = [] if is_done else [failures.get(cohort["id"]) for cohort in case["cohorts"]]
    return CellRecord(
        case["case"],
        tuple(case["point"]),
        judgement,
        loop.n_fixed + loop.n_fresh,
        "; ".join(filter(None, reasons)) or None,
        is_done,
        tuple(manifest for history in histories for manifest in history),
    )


def _rows(chain: Chain, history: Sequence[Manifest], metric: str, last: int) -> Iterable[MetricRow]:
    for manifest in history:
        for row in decode_rows(chain.read_blob(manifest, manifest.metrics)):
            if row["metric"] == metric and row["generation"] <= last:
                yield row


def _is_done(case: Mapping[str, Any], last: int, judgement: Judgement, limit: Limit) -> bool:
    """A cell that is committed as a whole is done once it is there; others when settled, or at their end."""
    n = case["n_generations"]
    return case["is_whole"] or last >= n or (judgement.is_settled and is_checkpoint(last, n, limit))


def read_baseline(store: Store, cases: Sequence[Mapping[str, Any]], limit: Limit) -> Baseline | None:
    """Fits on n real samples alone, for each n that is there; None below two of them."""
    found = []
    for case in cases:
        if "point" in case:
            continue
        values = [value for cohort in case["cohorts"] for value in _first_values(store, cohort, limit.metric)]
        finite = [value for value in values if math.isfinite(value)]
        if len(finite) >= 2:
            found.append((case["identity"]["loop"]["n_initial"], finite))
    return Baseline.of_values({n: np.array(values) for n, values in sorted(found)}) if len(found) >= 2 else None


def _first_values(store: Store, cohort: Mapping[str, Any], metric: str) -> Iterable[float]:
    chain = Chain(store, cohort["id"])
    for manifest in chain.history()[:1]:
        rows = [row for row in decode_rows(chain.read_blob(manifest, manifest.metrics)) if row["metric"] == metric]
        generations, values = series(rows, cohort["seeds"])
        yield from values[:, 0] if len(generations) and generations[0] == 1 else ()


def value_of(cell: CellRecord, kind: str, baseline: Baseline | None) -> Value:
    """The mapped value of a cell: its limit, n_e, or n_e/n_r."""
    if cell.failure:
        return Value(state=f"failed: {cell.failure}")
    found = cell.judgement
    if found is None or not math.isfinite(found.mean):
        return Value(state="not finished" if not cell.is_done else found.state if found else "not finished")
    state: str = found.state if cell.is_done else "not finished"
    if kind == "limit":
        return Value(found.mean, found.low, found.high, state)
    if baseline is None:
        return Value(state="not finished")
    effective = effective_n(found, baseline)
    scale = cell.n_real if kind == "n_e/n_r" else 1
    if cell.is_done:
        state = {"below": "no model", "beyond": "beyond baseline"}.get(effective.state, state)
    return Value(effective.n / scale, effective.low / scale, effective.high / scale, state)
