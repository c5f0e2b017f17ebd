"""mad-ray plan: what a study comes to, before anything starts."""

from collections.abc import Sequence

import numpy as np

from mad_ray.commands.session import Session, open_session
from mad_ray.config.phase import Phase
from mad_ray.core.loop import describe
from mad_ray.core.stopping import rule_in_words
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.generation import n_published
from mad_ray.engine.plan import Progress, pack_cohorts, progress_of


def plan(config: str, overrides: Sequence[str]) -> int:
    """Print cases, counts, estimates, and what the ledgers hold. Writes nothing, starts nothing."""
    session = open_session(config, overrides)
    found = {cohort.id: progress_of(cohort, session.store) for cohort in session.cohorts}
    print(f"study {session.name} on {session.store.url}")
    if session.config.study.title:
        print(session.config.study.title)
    print()
    if session.phase is not None:
        _say_map(session, session.phase)
    else:
        for cohort in session.cohorts:
            print(_cohort_line(cohort, found[cohort.id]))
    print()
    _say_totals(session, found)
    return 0


def _say_map(session: Session, phase: Phase) -> None:
    for name, axis in (("x", phase.x), ("y", phase.y), ("panel", phase.panel)):
        if axis is not None:
            n = "searched" if phase.kind == "boundary" and name == "y" else f"{len(axis.values)} values"
            print(f"  {name}: {axis.field} ({axis.label}) from {axis.values[0]:g} to {axis.values[-1]:g}, {n}")
    head = phase.trajectories(phase.corners()[0])[0]
    print(
        f"  {head.family.name} on {head.data.name}; {phase.value} of {phase.limit.metric}; {rule_in_words(phase.limit)}"
    )
    n_baseline = sum("point" not in case for case in session.document["cases"])
    cells = (
        f"{len(phase.points)} cells"
        if phase.kind == "grid"
        else f"cells as the search asks (at most {phase.search.budget})"
    )
    print(f"  {cells}, and {n_baseline} fits on real samples alone as the baseline")


def _cohort_line(cohort: Cohort, progress: Progress) -> str:
    head = cohort.head
    seeds = f"seeds {cohort.seeds[0]}..{cohort.seeds[-1]}" if len(cohort.seeds) > 1 else f"seed {cohort.seeds[0]}"
    return (
        f"  {cohort.id}  {cohort.case}, {seeds}: {progress.n_done} of {cohort.n_generations} generations done\n"
        f"    {head.family.name} on {head.data.name}. {describe(head.loop)}\n"
        f"    real rows used: {head.loop.n_real(cohort.n_generations):,}"
        f"{'' if head.data.n_rows is None else f' of {head.data.n_rows:,}'}; "
        f"published a generation: {n_published(cohort):,}"
    )


def _say_totals(session: Session, found: dict[str, Progress]) -> None:
    settings = session.config.run
    unfinished = [c for c in session.cohorts if not found[c.id].is_finished]
    packs = pack_cohorts(unfinished, settings.max_concurrent)
    print(
        f"{len(session.trajectories)} trajectories in {len(session.cohorts)} ledgers; "
        f"to do: {sum(c.n_generations - found[c.id].n_done for c in unfinished)} generations in {len(packs)} trials, "
        f"{min(settings.max_concurrent, max(1, len(packs)))} at once"
    )
    print(f"samples to store: about {_bytes(sum(_sample_bytes(c, found[c.id]) for c in unfinished))}, and the models")
    what = "time of the baseline" if session.phase is not None and session.phase.kind == "boundary" else "time"
    print(f"{what}: {_time(session.cohorts, unfinished, found, settings.max_concurrent)}")


def _sample_bytes(cohort: Cohort, progress: Progress) -> int:
    """Uncompressed; images of digits take less."""
    if cohort.head.family.redraw:
        return 0
    event = cohort.head.data.event
    row = np.dtype(event.dtype).itemsize * int(np.prod(event.shape))
    return (cohort.n_generations - progress.n_done) * n_published(cohort) * len(cohort.seeds) * row


def _time(cohorts: Sequence[Cohort], unfinished: Sequence[Cohort], found: dict[str, Progress], at_once: int) -> str:
    """At the pace of what the ledgers hold: a cohort's own, else that of the study's cohorts of the same family."""
    if not unfinished:
        return "nothing left to do"
    total = 0.0
    paces: dict[str, list[float]] = {}
    for cohort in cohorts:
        paces.setdefault(cohort.head.family.name, [])
        if (seconds := found[cohort.id].seconds) is not None:
            paces[cohort.head.family.name].append(seconds)
    for cohort in unfinished:
        known = paces[cohort.head.family.name]
        pace = found[cohort.id].seconds or (sum(known) / len(known) if known else None)
        if pace is None:
            return f"unknown until a first generation of {cohort.head.family.name} is committed; run, and plan again"
        total += pace * (cohort.n_generations - found[cohort.id].n_done)
    return f"about {total / min(at_once, len(unfinished)) / 60:.1f} minutes at the pace so far"


def _bytes(n: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024:
            return f"{n:.0f} {unit}"
        n /= 1024
    return f"{n:.1f} TiB"
