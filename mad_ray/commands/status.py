"""mad-ray status: how far a study is, from the store alone."""

from collections import Counter

from mad_ray.analysis.cells import CellRecord, read_cells
from mad_ray.core.manifest import Manifest
from mad_ray.core.stopping import Limit
from mad_ray.ledger.chain import Chain
from mad_ray.ledger.store import Store
from mad_ray.ledger.studies import read_failure, read_study


def status(store: Store, name: str) -> int:
    """Print a line per ledger. 0 if all is done or going on, 1 if a trajectory failed."""
    document = read_study(store, name)
    print(f"study {name} on {store.url}")
    if "map" in document:
        return _cells(store, name, document)
    failed = done = total = 0
    for case in document["cases"]:
        for cohort in case["cohorts"]:
            history = Chain(store, cohort["id"]).history()
            n = min(history[-1].last, case["n_generations"]) if history else 0
            reason = read_failure(store, name, cohort["id"])
            failed += reason is not None
            done, total = done + n, total + case["n_generations"]
            print(_line(case, cohort, n, history, reason))
    print(f"{done} of {total} generations committed, {failed} of the ledgers stopped with a reason")
    return 1 if failed else 0


def _cells(store: Store, name: str, document: dict) -> int:
    """Cells are counted, panel by panel; those that failed are named."""
    settings = document["map"]
    cells = read_cells(store, name, document["cases"], Limit(**settings["limit"]))
    panels = sorted({cell.point[0] for cell in cells}, key=lambda panel: (panel is not None, panel))
    for panel in panels:
        of = [cell for cell in cells if cell.point[0] == panel]
        found = Counter(_state(cell) for cell in of)
        title = "cells" if panel is None else f"{settings['panel']['label']} = {panel:g}"
        print(f"  {title}: {sum(cell.is_done for cell in of)} of {len(of)} done ({_counts(found)})")
    for cell in cells:
        if cell.failure:
            print(f"  {cell.case}: FAILED at {cell.failure}")
    n_failed = sum(cell.failure is not None for cell in cells) + _baseline(store, name, document)
    more = "" if document["kind"] == "grid" else ", of those that the search has asked for so far"
    print(f"{sum(cell.is_done for cell in cells)} of {len(cells)} cells done, {n_failed} stopped with a reason{more}")
    return 1 if n_failed else 0


def _baseline(store: Store, name: str, document: dict) -> int:
    """The fits on real samples alone: how many are there, and those that failed by name; returns how many did."""
    found = [
        (case["case"], cohort["id"]) for case in document["cases"] if "point" not in case for cohort in case["cohorts"]
    ]
    done = {cohort for _, cohort in found if Chain(store, cohort).history()}
    reasons = {case: reason for case, cohort in found if (reason := read_failure(store, name, cohort)) is not None}
    for case, reason in reasons.items():
        print(f"  {case}: FAILED at {reason}")
    if found:
        print(f"  baseline: {len(done)} of {len(found)} done")
    return len(reasons)


def _state(cell: CellRecord) -> str:
    if cell.failure:
        return "failed"
    return cell.judgement.state if cell.is_done and cell.judgement else "not finished"


def _counts(found: Counter[str]) -> str:
    return ", ".join(f"{n} {state}" for state, n in found.most_common()) or "none yet"


def _line(case: dict, cohort: dict, n: int, history: list[Manifest], reason: str | None) -> str:
    seeds = ", ".join(str(seed) for seed in cohort["seeds"][:5]) + (" ..." if len(cohort["seeds"]) > 5 else "")
    state = f"FAILED at {reason}" if reason else "done" if n == case["n_generations"] else "not finished"
    pace = f", {sum(m.provenance['wall_s'] for m in history) / history[-1].last:.1f} s each" if history else ""
    return f"  {n:>4} of {case['n_generations']}{pace}  {case['case']} (seeds {seeds}; {cohort['id']}): {state}"
