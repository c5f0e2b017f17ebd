"""Every moment of a run in one process, one kill each: before, in, and after whatever it does."""

import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from mad_ray.commands.run import compute
from mad_ray.commands.session import Session, open_session
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.generation import span_end
from mad_ray.engine.threads import fix_threads
from mad_ray.ledger.chain import manifest_key
from mad_ray.ledger.local import LocalStore
from mad_ray.ledger.open import open_store
from tests.chaos.doomed import AFTER, BEFORE, MIDDLE, Diary, DiaryStore, Doom, Line, operations, read_diary, watch_fits
from tests.chaos.evidence import Evidence, differences, evidence_of, lost, manifests_in
from tests.chaos.forked import forked, import_all, was_killed
from tests.chaos.outcome import Outcome
from tests.chaos.steps import step_of
from tests.chaos.studies import CHECKPOINT_STEPS, HERE


@dataclass(frozen=True)
class Bench:
    """A study, what it comes to undisturbed, and all that it does on the way."""

    folder: Path
    session: Session
    expected: Evidence
    operations: tuple[Line, ...]

    @classmethod
    def of(cls, settings: dict[str, Any], folder: Path) -> "Bench":
        """Run it once in a child. Afterwards this process has imported what the child had to."""
        config = folder / f"{settings['name']}.yaml"
        config.write_text(yaml.safe_dump({"study": settings, "run": {**HERE, "store": str(folder / "unused")}}))
        session = open_session(config)
        undisturbed, names = Run(session, folder / "undisturbed"), folder / "modules.txt"
        code = undisturbed.start(None, after=lambda: names.write_text("\n".join(sys.modules)))
        assert code == 0, undisturbed.errors.read_text()
        import_all(names.read_text().split())
        for cohort in session.cohorts:
            # Data that are read from a file are kept by the process that read them.
            cohort.head.data.rows(0, 1, cohort.keys.at("real"))
        done = tuple(operations(read_diary(undisturbed.diary)))
        return cls(folder, session, evidence_of(undisturbed.store), done)

    def dooms(self) -> list[Doom]:
        """Every moment: between any two operations, at each step of a fit, and within what changes the store.

        After a read is before what comes next.
        """
        found = []
        for k, line in enumerate(self.operations, 1):
            moments = {"put": (BEFORE, MIDDLE, AFTER), "delete": (BEFORE, AFTER)}.get(line.verb, (BEFORE,))
            found += [Doom(k, moment) for moment in moments]
        return found

    def name(self, doom: Doom) -> str:
        line = self.operations[doom.k - 1]
        return f"{doom.moment}: {step_of(line.verb, line.key)}"

    def new_run(self) -> "Run":
        return Run(self.session, Path(tempfile.mkdtemp(prefix="run-", dir=self.folder)))


class Run:
    """One store, and the processes that work on it one after another."""

    def __init__(self, session: Session, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.session, self.folder = session, folder
        self.diary, self.errors = folder / "diary.txt", folder / "errors.txt"
        self.store = LocalStore(str(folder / "store"))

    def start(self, doom: Doom | None, after: Callable[[], object] = lambda: None) -> int:
        """The command, in a child, until it ends or is killed; how it ended."""

        def command() -> None:
            fix_threads(1)
            diary = Diary(self.diary, doom)
            watch_fits(diary)
            store = DiaryStore(open_store(self.store.url), diary)
            compute(replace(self.session, store=store))
            after()

        return forked(command, self.errors)


def enumerate_kills(bench: Bench, kind: str, dooms: Sequence[Doom]) -> Iterator[Outcome]:
    """Kill a run at each of those moments, run it again, and see what became of it."""
    for doom in dooms:
        yield _killed(bench, kind, (doom,), bench.name(doom))


def kill_twice(bench: Bench, kind: str, rng: random.Random, seed: int, n: int) -> Iterator[Outcome]:
    """Kill at a random moment, and again at a random one of the recovery."""
    for _ in range(n):
        first = rng.choice(bench.dooms())
        # What is left, and the nine operations with which every start begins.
        left = len(bench.operations) - first.k
        second = Doom(rng.randint(1, max(9, left)), rng.choice((BEFORE, AFTER)))
        yield replace(_killed(bench, kind, (first, second), f"{bench.name(first)}, then at {second.k}"), seed=seed)


@dataclass
class Broken:
    """A run that was killed, and ended at last. killed_s: the last time; committed: what was there at that moment."""

    n_kills: int = 0
    killed_s: float = 0.0
    committed: dict[str, bytes] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    """How many lines the diary had when each process ended."""
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def _break(run: Run, dooms: Sequence[Doom]) -> Broken:
    """Start the command again and again, doomed every time but the last."""
    broken = Broken()
    for doom in (*dooms, None):
        code = run.start(doom)
        broken.ends.append(len(read_diary(run.diary)))
        if not was_killed(code):
            # By itself; a recovery may well be over before its second doom.
            broken.wrong += [f"ended with {code}: {run.errors.read_text()}"] if code else []
            break
        broken.n_kills, broken.killed_s = broken.n_kills + 1, time.monotonic()
        now = manifests_in(run.store)
        broken.lost += lost(broken.committed, now)
        broken.committed = now
    return broken


def _killed(bench: Bench, kind: str, dooms: Sequence[Doom], at: str) -> Outcome:
    run = bench.new_run()
    broken = _break(run, dooms)
    diary, found = read_diary(run.diary), evidence_of(run.store)
    shutil.rmtree(run.folder)
    commits = (line.at_s for line in diary if line.verb == "done" and line.at_s > broken.killed_s)
    generations, steps, too_much = redone(bench, diary, broken.ends)
    return Outcome(
        kind,
        at,
        recovered_s=next(commits, time.monotonic()) - broken.killed_s if broken.n_kills else 0.0,
        generations=generations,
        steps=steps,
        kills=broken.n_kills,
        differences=(*broken.wrong, *differences(bench.expected, found), *too_much),
        lost=(*broken.lost, *lost(broken.committed, found.manifests)),
    )


def redone(bench: Bench, diary: Sequence[Line], ends: Sequence[int]) -> tuple[int, int, list[str]]:
    """(spans fitted again, the most steps that any fit did again, what should not have been done again).

    ends: how many lines the diary had when each process ended. Again means after another process did it.
    """
    cohorts = {cohort.id: cohort for cohort in bench.session.cohorts}
    n_spans, wrong = 0, []
    begun: set[tuple[str, int]] = set()
    for start, end in itertools.pairwise((0, *ends)):
        mine = {_fit(line) for line in diary[start:end] if line.verb == "fit"}
        committed = mine & _committed(cohorts, diary[:start])
        spans = {(cohort, _span_start(cohorts[cohort], t)) for cohort, t in mine & begun}
        wrong += [f"fitted again though committed: {fit}" for fit in sorted(committed)]
        wrong += [f"more than the span in flight was fitted again: {sorted(spans)}"] if len(spans) > 1 else []
        n_spans, begun = n_spans + len(spans), begun | mine
    n_steps, too_many = _steps_redone(bench, diary, len(ends) - 1)
    return n_spans, n_steps, wrong + too_many


def _steps_redone(bench: Bench, diary: Sequence[Line], n_kills: int) -> tuple[int, list[str]]:
    """Of fits that save their progress: never more than lie between two checkpoints, for each kill."""
    if bench.session.cohorts[0].head.family.redraw:
        return 0, []
    taken, needed = (Counter(line.key for line in of if line.verb == "step") for of in (diary, bench.operations))
    extra = {key: n - needed[key] for key, n in taken.items()}
    limit = CHECKPOINT_STEPS * n_kills
    return max(extra.values()), [f"{n} steps of {key} done again" for key, n in extra.items() if n > limit]


def _fit(line: Line) -> tuple[str, int]:
    cohort, t = line.key.split()
    return cohort, int(t)


def _committed(cohorts: dict[str, Cohort], diary: Sequence[Line]) -> set[tuple[str, int]]:
    """(cohort, generation) of every commit in the diary."""
    keys = {line.key for line in diary if line.verb == "done"}
    return {
        (of, t)
        for of, cohort in cohorts.items()
        for t in range(1, cohort.n_generations + 1)
        if manifest_key(of, _span_start(cohort, t)) in keys
    }


def _span_start(cohort: Cohort, t: int) -> int:
    first = 1
    while (last := span_end(cohort, first)) < t:
        first = last + 1
    return first
