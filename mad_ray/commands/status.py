"""mad-ray status: how far a study is, from the store alone."""

from mad_ray.core.manifest import Manifest
from mad_ray.ledger.chain import Chain
from mad_ray.ledger.store import Store
from mad_ray.ledger.studies import read_failure, read_study


def status(store: Store, name: str) -> int:
    """Print a line per ledger. 0 if all is done or going on, 1 if a trajectory failed."""
    document = read_study(store, name)
    print(f"study {name} on {store.url}")
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


def _line(case: dict, cohort: dict, n: int, history: list[Manifest], reason: str | None) -> str:
    seeds = ", ".join(str(seed) for seed in cohort["seeds"][:5]) + (" ..." if len(cohort["seeds"]) > 5 else "")
    state = f"FAILED at {reason}" if reason else "done" if n == case["n_generations"] else "not finished"
    pace = f", {sum(m.provenance['wall_s'] for m in history) / history[-1].last:.1f} s each" if history else ""
    return f"  {n:>4} of {case['n_generations']}{pace}  {case['case']} (seeds {seeds}; {cohort['id']}): {state}"
