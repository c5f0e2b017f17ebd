"""mad-ray run: compute what is not yet committed, then report. The same command resumes."""

from collections.abc import Sequence

from mad_ray.commands.report import publish_report
from mad_ray.commands.screen import Screen
from mad_ray.commands.session import Session, open_session
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.plan import pack_cohorts, progress_of
from mad_ray.engine.reference import open_reference
from mad_ray.engine.threads import fix_threads
from mad_ray.engine.trajectory import run_watched
from mad_ray.ledger.store import probe
from mad_ray.ledger.studies import read_failure, register_study


def run(config: str, overrides: Sequence[str]) -> int:
    """0 if every trajectory is done, 1 if some failed."""
    session = open_session(config, overrides)
    settings = session.config.run
    fix_threads(settings.threads)
    probe(session.store)
    register_study(session.store, session.name, session.document)
    _make_references(session)
    todo = [c for c in session.cohorts if progress_of(c, session.store).n_done < c.n_generations]
    _say_start(session, todo)
    lost: dict[str, str] = {}
    if todo:
        lost = (_run_on_ray if settings.runtime == "ray" else _run_here)(session, todo)
    publish_report(session.store, session.name, session.output)
    return _conclude(session, lost)


def _make_references(session: Session) -> None:
    """Once, before trials would each make them at the same time."""
    wanted = {(c.head.data, c.head.metrics) for c in session.cohorts}
    for data, metrics in sorted(wanted, key=repr):
        open_reference(session.store, data, metrics)


def _run_here(session: Session, todo: list[Cohort]) -> dict[str, str]:
    screen = Screen(session.cohorts, 1)
    _tell_old(session, screen, todo)
    runtime = LocalRuntime()
    for pack in pack_cohorts(todo, 1):
        for cohort in pack:
            run_watched(session.name, cohort, session.store, runtime, screen)
    return {}


def _run_on_ray(session: Session, todo: list[Cohort]) -> dict[str, str]:
    from mad_ray.onray.cluster import ray_session
    from mad_ray.onray.resources import Execution
    from mad_ray.onray.study import run_packs

    settings = session.config.run
    execution = Execution(
        max_concurrent=settings.max_concurrent,
        workers=settings.workers,
        samplers=settings.samplers,
        sampler_actors=settings.sampler_actors,
        threads=settings.threads,
        cpus=settings.cpus,
        gpus=settings.gpus,
        retries=settings.retries,
    )
    packs = pack_cohorts(todo, settings.max_concurrent)
    screen = Screen(session.cohorts, min(settings.max_concurrent, len(packs)))
    _tell_old(session, screen, todo)
    logs = session.output / "tune"
    logs.mkdir(parents=True, exist_ok=True)
    with ray_session(execution, len(packs), settings.logical_cpus):
        return run_packs(session.name, session.store, packs, execution, logs, screen)


def _tell_old(session: Session, screen: Screen, todo: list[Cohort]) -> None:
    """Finished cohorts count as done from the start."""
    waiting = {cohort.id for cohort in todo}
    screen.finished([cohort.id for cohort in session.cohorts if cohort.id not in waiting])


def _say_start(session: Session, todo: list[Cohort]) -> None:
    n_seeds = sum(len(cohort.seeds) for cohort in session.cohorts)
    n_done = len(session.cohorts) - len(todo)
    done = f"; {n_done} of {len(session.cohorts)} ledgers are complete already" if n_done else ""
    print(f"study {session.name}: {n_seeds} trajectories, store {session.store.url}{done}", flush=True)


def _conclude(session: Session, lost: dict[str, str]) -> int:
    unfinished = [c for c in session.cohorts if progress_of(c, session.store).n_done < c.n_generations]
    for cohort in unfinished:
        reason = read_failure(session.store, session.name, cohort.id) or lost.get(cohort.id) or "not finished"
        print(f"FAILED  {cohort.case}, seeds {list(cohort.seeds)}: {reason}")
    if unfinished:
        print("what is committed is kept; the same command tries the rest again")
    return 1 if unfinished else 0
