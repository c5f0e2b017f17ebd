"""mad-ray verify and mad-ray gc: the store's health."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mad_ray.core.ecosystem import eaters_of
from mad_ray.core.errors import Corrupt, InvalidInput, Missing
from mad_ray.core.loop import Loop
from mad_ray.ledger.chain import ledger_prefix
from mad_ray.ledger.derived import embeddings_prefix
from mad_ray.ledger.documents import require_documents, verify_documents
from mad_ray.ledger.gc import collect
from mad_ray.ledger.index import EMPTY, Head, open_index, read_index, write_index
from mad_ray.ledger.retention import Keep, Retired, retire
from mad_ray.ledger.store import Store
from mad_ray.ledger.studies import read_study
from mad_ray.ledger.verify import Finding, Tally, verify_cohort


def verify(store: Store, name: str) -> int:
    """Read every object of the study again; 0 if all are as committed, 2 if not (each is named)."""
    tally = Tally()
    findings = list(verify_documents(store, f"studies/{name}/", tally))
    findings += _verify_contents(store, name, tally)
    unique = {finding.key: finding for finding in reversed(findings)}
    for finding in reversed(unique.values()):
        print(f"BAD  {finding.key}: {finding.problem}")
    print(f"{tally.n_objects} objects, {tally.n_bytes:,} bytes read; {len(unique)} bad")
    return 2 if unique else 0


def _verify_contents(store: Store, name: str, tally: Tally) -> Iterator[Finding]:
    """All that the study's document leads to; nothing where that cannot be read, which is a finding already."""
    try:
        document = read_study(store, name)
    except Corrupt:
        return
    heads: dict[str, Head] = {}
    try:
        heads = dict(open_index(store, name))
    except Missing:
        pass
    except Corrupt as error:
        yield Finding(f"studies/{name}/index.json", str(error))
    for folder in sorted({case["reference"].rpartition("/")[0] for case in document["cases"]}):
        yield from verify_documents(store, f"{folder}/", tally)
    for case in document["cases"]:
        # Before its first commit a case rests on nothing yet.
        begun = [cohort for cohort in case["cohorts"] if _has_commits(store, cohort["id"])]
        if begun:
            yield from require_documents(store, case.get("rests_on", ()))
        yield from require_documents(store, [key for cohort in begun for key in cohort.get("rests_on", ())])
    yield from verify_documents(store, "extractors/", tally)
    yield from verify_documents(store, "interventions/", tally)
    yield from verify_documents(store, "datasets/", tally)
    for cohort in dict.fromkeys(cohort["id"] for case in document["cases"] for cohort in case["cohorts"]):
        yield from verify_cohort(store, cohort, tally, heads.get(cohort, EMPTY))
        yield from verify_documents(store, embeddings_prefix(cohort), tally)


def _has_commits(store: Store, cohort_id: str) -> bool:
    """Whether anything was committed to the ledger."""
    return any(True for _ in store.list(ledger_prefix(cohort_id)))


def gc(store: Store, name: str, grace_s: float, dry: bool, keep_samples: str | None = None) -> int:
    """Delete what attempts left that no manifest names, older than the grace period; and retire samples if asked to."""
    if not grace_s >= 0:
        raise InvalidInput(f"--grace-s={grace_s:g}: expected seconds, 0 or more; a day (86400) spares attempts at work")
    keep = None if keep_samples is None else keep_of(keep_samples)
    document = read_study(store, name)
    ids = list(dict.fromkeys(cohort["id"] for case in document["cases"] for cohort in case["cohorts"]))
    found = collect(store, ids, grace_s, dry=dry)
    verb = "would delete" if dry else "deleted"
    print(f"{verb} {found.n_objects} objects, {found.n_bytes:,} bytes")
    print(f"left {found.kept_young} that are younger than {grace_s:g} s")
    if found.kept_complete:
        print(f"left {found.kept_complete} of attempts that may still be committed; they go once another one is")
    if keep is not None:
        retired = _retire_all(store, name, document, keep, dry)
        print(
            f"{verb} {retired.n_objects} shards, {retired.n_bytes:,} bytes, of the samples of {retired.n} generations; "
            "their models draw them again"
        )
    return 0


def keep_of(samples: str | int) -> Keep | None:
    """The rule that `run.retention.samples`, or --keep-samples, says; None: all samples stay."""
    if samples == "all":
        return None
    if samples == "last":
        return Keep()
    if str(samples).isdecimal() and int(samples) >= 1:
        return Keep(int(samples))
    raise InvalidInput(
        f"--keep-samples={samples}: expected all, last, or k (at least 1): those of every k-th generation"
    )


def _retire_all(store: Store, name: str, document: dict[str, Any], keep: Keep, dry: bool) -> Retired:
    known = read_index(store, name)
    total = Retired()
    for case in document["cases"]:
        loop, eaters = Loop(**case["identity"]["loop"]), eaters_of(case["identity"])
        for cohort in case["cohorts"]:
            one = retire(store, cohort["id"], loop, case["n_generations"], keep, dry, eaters)
            total = Retired(total.n + one.n, total.n_objects + one.n_objects, total.n_bytes + one.n_bytes)
            head = known.get(cohort["id"], EMPTY)
            if one.n and head.last:
                known[cohort["id"]] = replace(head, n_retired=one.n_all, retired_bytes=head.retired_bytes + one.n_bytes)
    if total.n and known and not dry:
        write_index(store, name, known)
    return total
