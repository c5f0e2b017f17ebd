"""mad-ray verify and mad-ray gc: the store's health."""

from mad_ray.core.errors import InvalidInput
from mad_ray.ledger.documents import verify_documents
from mad_ray.ledger.gc import collect
from mad_ray.ledger.store import Store
from mad_ray.ledger.studies import read_study
from mad_ray.ledger.verify import Tally, verify_cohort


def verify(store: Store, name: str) -> int:
    """Read every object of the study again; 0 if all are as committed, 2 if not (each is named)."""
    tally = Tally()
    n_findings = 0
    findings = list(verify_documents(store, f"studies/{name}/", tally))
    ids: list[str] = []
    if not findings:
        document = read_study(store, name)
        ids = [cohort["id"] for case in document["cases"] for cohort in case["cohorts"]]
        for folder in sorted({case["reference"].rpartition("/")[0] for case in document["cases"]}):
            findings += verify_documents(store, f"{folder}/", tally)
        findings += verify_documents(store, "extractors/", tally)
        findings += verify_documents(store, "datasets/", tally)
    for cohort in ids:
        findings += verify_cohort(store, cohort, tally)
    for finding in findings:
        n_findings += 1
        print(f"BAD  {finding.key}: {finding.problem}")
    print(f"{tally.n_objects} objects, {tally.n_bytes:,} bytes read; {n_findings} bad")
    return 2 if n_findings else 0


def gc(store: Store, name: str, grace_s: float, dry: bool) -> int:
    """Delete what attempts left that no manifest names, older than the grace period."""
    if not grace_s >= 0:
        raise InvalidInput(f"--grace-s={grace_s:g}: expected seconds, 0 or more; a day (86400) spares attempts at work")
    document = read_study(store, name)
    ids = [cohort["id"] for case in document["cases"] for cohort in case["cohorts"]]
    found = collect(store, ids, grace_s, dry=dry)
    verb = "would delete" if dry else "deleted"
    print(f"{verb} {found.n_objects} objects, {found.n_bytes:,} bytes")
    print(f"left {found.kept_young} that are younger than {grace_s:g} s")
    return 0
