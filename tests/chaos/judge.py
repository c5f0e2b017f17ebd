"""What a study on Ray came to, fault by fault, read from its store alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mad_ray.core.manifest import Manifest
from mad_ray.ledger.local import LocalStore
from tests.chaos.evidence import Evidence, differences, evidence_of, lost
from tests.chaos.outcome import Outcome
from tests.chaos.studies import SHARED_STEPS
from tests.onray.processes import Study

# A trial that outlives its driver is at work for some seconds more: what it writes is in vain, and allowed.
ORPHAN_S = 30.0


@dataclass(frozen=True)
class Hit:
    """A fault, and what there was just before it. checkpoints: cohort -> (generation, steps).

    at_s: when it was done, or announced; gone_s: when what it took was gone.
    """

    kind: str
    at_s: float
    gone_s: float
    before: Mapping[str, bytes]
    checkpoints: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Commit:
    """A commit, by the store's clock."""

    manifest: Manifest
    at_s: float


def judged(study: Study, hits: Sequence[Hit], expected: Evidence, code: int | None, seed: int) -> Iterator[Outcome]:
    """An outcome for every fault. What is wrong with the whole study is held against its last one."""
    store = LocalStore(study.store)
    found = evidence_of(store)
    commits = _commits(store)
    whole = [*differences(expected, found), *_in_vain(store, commits)]
    if code != 0:
        whole.append(f"the command ended with {code}: {study.screen[-2000:]}")
    n_more = sum(study.n_attempts().values()) - len(commits)
    if n_more > len(hits) * study.settings["seeds"]:
        whole.append(f"{n_more} attempts were in vain, of {len(hits)} faults")
    for i, hit in enumerate(hits):
        is_last = i == len(hits) - 1
        recovered_s, generations, steps, wrong = _recovery(hit, commits)
        yield Outcome(
            hit.kind,
            "at a random moment",
            recovered_s,
            generations,
            steps,
            differences=(*wrong, *(whole if is_last else ())),
            lost=lost(hit.before, found.manifests),
            seed=seed,
        )


def _recovery(hit: Hit, commits: Sequence[Commit]) -> tuple[float, int, int, list[str]]:
    """(seconds until every trajectory has committed again, the most generations and steps that one did again, wrong)"""
    seconds, generations, steps = 0.0, 0, 0
    wrong: list[str] = []
    for cohort in {commit.manifest.cohort for commit in commits}:
        after = [c for c in commits if c.manifest.cohort == cohort and c.at_s > hit.at_s]
        if not after:
            continue
        first = after[0].manifest.provenance
        again = (commit.at_s - hit.gone_s for commit in after if commit.at_s > hit.gone_s)
        seconds = max(seconds, next(again, 0.0))
        if first["started_s"] <= hit.at_s:
            # The attempt outlived the fault.
            continue
        generations = 1
        saved = hit.checkpoints.get(cohort)
        if saved is not None and saved[0] == after[0].manifest.first:
            # The next checkpoint had not been reached: no more than what lies between two was lost.
            steps = SHARED_STEPS
            if first.get("resumed_steps", 0) < saved[1]:
                wrong.append(f"{cohort}: went on from step {first.get('resumed_steps', 0)}, saved were {saved[1]}")
    return seconds, generations, steps, wrong


def _commits(store: LocalStore) -> list[Commit]:
    found = [
        Commit(Manifest.from_json(store.get(entry.key), entry.key), entry.modified_s)
        for entry in store.list("cohorts/")
        if "/ledger/" in entry.key
    ]
    return sorted(found, key=lambda commit: commit.at_s)


def _in_vain(store: LocalStore, commits: Sequence[Commit]) -> list[str]:
    """Attempts that began when their generation had long been committed."""
    done = {(c.manifest.cohort, c.manifest.first): c.at_s for c in commits}
    begun: dict[tuple[str, str], float] = {}
    for entry in store.list("cohorts/"):
        parts = entry.key.split("/")
        if parts[2] == "attempts":
            name = (parts[1], parts[3])
            begun[name] = min(entry.modified_s, begun.get(name, entry.modified_s))
    return [
        f"{cohort}, attempt {name}: began {at_s - done[cohort, int(name[:6])]:.0f} s after the commit"
        for (cohort, name), at_s in begun.items()
        if at_s > done.get((cohort, int(name[:6])), at_s) + ORPHAN_S
    ]
