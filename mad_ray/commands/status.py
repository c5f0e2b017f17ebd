"""mad-ray status: how far a study is, from the store alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mad_ray.core.stopping import Limit
from mad_ray.ledger.index import Head, grown, read_index
from mad_ray.ledger.parallel import in_parallel
from mad_ray.ledger.store import Store
from mad_ray.ledger.studies import read_failures, read_study

if TYPE_CHECKING:
    from mad_ray.analysis.cells import CellRecord


def status(store: Store, name: str) -> int:
    """Print a line per ledger. 0 if all is done or going on, 1 if a trajectory failed.

    Requests: a handful, one for each trajectory that stopped, and one for each ledger that is not finished.
    """
    document = read_study(store, name)
    print(f"study {name} on {store.url}")
    if "map" in document:
        return _cells(store, name, document)
    found = [(case, cohort) for case in document["cases"] for cohort in case["cohorts"]]
    heads, failures = _heads(store, name, document), read_failures(store, name)
    failed = done = 0
    for case, cohort in found:
        head = heads[cohort["id"]]
        n = min(head.last, case["n_generations"])
        # Who finished it, maybe under another study's name, knows nothing of what stopped it here.
        reason = failures.get(cohort["id"]) if n < case["n_generations"] else None
        failed, done = failed + (reason is not None), done + n
        print(_line(case, cohort, n, head, reason))
    total = sum(case["n_generations"] for case, _ in found)
    print(f"{done} of {total} generations committed, {failed} of the ledgers stopped with a reason")
    _say_retired(heads.values())
    return 1 if failed else 0


def _heads(store: Store, name: str, document: dict) -> dict[str, Head]:
    """Where every ledger ends: as the index says, and of those that are not finished as they say themselves."""
    known = read_index(store, name)
    wanted = {cohort["id"]: case["n_generations"] for case in document["cases"] for cohort in case["cohorts"]}

    def find(cohort: str) -> Head:
        head = known.get(cohort, Head())
        return head if head.last >= wanted[cohort] else grown(store, cohort, head)

    return dict(zip(wanted, in_parallel(find, wanted), strict=True))


def _say_retired(heads: Iterable[Head]) -> None:
    retired = [head for head in heads if head.n_retired]
    if retired:
        n, n_bytes = sum(head.n_retired for head in retired), sum(head.retired_bytes for head in retired)
        print(f"samples of {n} generations retired ({n_bytes:,} bytes): their models draw them again")


def _cells(store: Store, name: str, document: dict) -> int:
    """Cells are counted, panel by panel; those that failed are named."""
    # It brings SciPy along, which takes a second.
    from mad_ray.analysis.cells import read_cells

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
    heads = _heads(store, name, {"cases": [case for case in document["cases"] if "point" not in case]})
    done = {cohort for cohort, head in heads.items() if head.last}
    failures = read_failures(store, name)
    reasons = {case: failures[cohort] for case, cohort in found if cohort in failures and cohort not in done}
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


def _line(case: dict, cohort: dict, n: int, head: Head, reason: str | None) -> str:
    seeds = ", ".join(str(seed) for seed in cohort["seeds"][:5]) + (" ..." if len(cohort["seeds"]) > 5 else "")
    state = f"FAILED at {reason}" if reason else "done" if n == case["n_generations"] else "not finished"
    pace = f", {head.wall_s / head.last:.1f} s each" if head.last else ""
    return f"  {n:>4} of {case['n_generations']}{pace}  {case['case']} (seeds {seeds}; {cohort['id']}): {state}"
