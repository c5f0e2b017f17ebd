"""mad-ray plan: what a study comes to, before anything starts."""

from collections.abc import Sequence

import numpy as np

from mad_ray.commands.plan_time import at_the_pace_so_far, calibrated
from mad_ray.commands.session import Session, kind_of, n_real, open_session
from mad_ray.config.phase import Phase
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.generation import n_published
from mad_ray.engine.plan import Progress, pack_cohorts, progress_of_all
from mad_ray.engine.threads import fix_threads
from mad_ray.ledger.index import read_index


def plan(config: str, overrides: Sequence[str], calibrate: bool = False) -> int:
    """Print cases, counts, estimates, and what the ledgers hold. Writes nothing.

    calibrate: try some seconds of each kind of work in this process, for an estimate of the time; else starts nothing.
    """
    session = open_session(config, overrides)
    found = progress_of_all(session.cohorts, session.store, read_index(session.store, session.name))
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
    _say_totals(session, found, calibrate)
    return 0


def _say_map(session: Session, phase: Phase) -> None:
    for name, axis in (("x", phase.x), ("y", phase.y), ("panel", phase.panel)):
        if axis is not None:
            n = "searched" if phase.kind == "boundary" and name == "y" else f"{len(axis.values)} values"
            print(f"  {name}: {axis.field} ({axis.label}) from {axis.values[0]:g} to {axis.values[-1]:g}, {n}")
    corner = phase.trajectories(phase.corners()[0])
    head, n_seeds = corner[0], len(corner)
    print(
        f"  {head.family.name} on {head.data.name}; {phase.value} of {phase.limit.metric}, {n_seeds} seeds, "
        f"to {phase.limit.half_width:.1%} (half-width of the limit's 95 % interval), "
        f"at most {head.n_generations:,} generations a cell"
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
        f"    {kind_of(head)}. {head.description}\n"
        f"    real rows used: {n_real(head):,}"
        f"{'' if head.data.n_rows is None else f' of {head.data.n_rows:,}'}; "
        f"published a generation: {n_published(cohort):,}"
    )


def _say_totals(session: Session, found: dict[str, Progress], calibrate: bool) -> None:
    settings = session.config.run
    unfinished = [c for c in session.cohorts if not found[c.id].is_finished]
    packs = pack_cohorts(unfinished, settings.max_concurrent)
    print(
        f"{len(session.trajectories)} trajectories in {len(session.cohorts)} ledgers; "
        f"to do: {_left(session, unfinished, found)} in {len(packs)} trials, "
        f"{min(settings.max_concurrent, max(1, len(packs)))} at once"
    )
    print(f"samples to store: about {_bytes(sum(_sample_bytes(c, found[c.id]) for c in unfinished))}, and the models")
    what = "time of the baseline" if session.phase is not None and session.phase.kind == "boundary" else "time"
    print(f"{what}: {_time(session, unfinished, found, calibrate)}")


def _left(session: Session, unfinished: Sequence[Cohort], found: dict[str, Progress]) -> str:
    if session.phase is not None:
        return f"{len(unfinished):,} of them"
    return f"{sum(c.n_generations - found[c.id].n_done for c in unfinished):,} generations"


def _sample_bytes(cohort: Cohort, progress: Progress) -> int:
    """Uncompressed; images of digits take less."""
    if cohort.head.family.redraw:
        return 0
    event = cohort.head.data.event
    row = np.dtype(event.dtype).itemsize * int(np.prod(event.shape))
    return (cohort.n_generations - progress.n_done) * n_published(cohort) * len(cohort.seeds) * row


def _time(session: Session, unfinished: Sequence[Cohort], found: dict[str, Progress], calibrate: bool) -> str:
    if not unfinished:
        return "nothing left to do"
    at_once = session.config.run.max_concurrent
    if calibrate:
        fix_threads(session.config.run.threads)
        return calibrated(unfinished, found, session.store).line(at_once)
    estimate = at_the_pace_so_far(session.cohorts, unfinished, found)
    if estimate is None:
        return "unknown until a first generation is committed; add --calibrate to try some seconds of it here"
    return estimate.line(at_once)


def _bytes(n: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024:
            return f"{n:.0f} {unit}"
        n /= 1024
    return f"{n:.1f} TiB"
