"""mad-ray run: compute what is not yet committed, then report. The same command resumes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mad_ray.commands.boundary import BoundaryRounds
from mad_ray.commands.driver import Driver
from mad_ray.commands.report import publish_report
from mad_ray.commands.screen import Screen
from mad_ray.commands.screen_cells import CellScreen
from mad_ray.commands.session import Session, open_session
from mad_ray.commands.upkeep import keep_of
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.checkpoints import CheckpointRule
from mad_ray.engine.dataset import decode_here, missing, prepare
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.own_code import folders_of
from mad_ray.engine.plan import groups_of, pack_cohorts
from mad_ray.engine.reference import open_reference
from mad_ray.engine.threads import fix_threads
from mad_ray.engine.trajectory import Watcher, run_group
from mad_ray.ledger.store import probe
from mad_ray.ledger.studies import read_failures, register_study

MAX_FAILURES_SHOWN = 20


def run(config: str, overrides: Sequence[str]) -> int:
    """0 if every trajectory is done, 1 if some failed."""
    return run_session(open_session(config, overrides))


def run_session(session: Session) -> int:
    """Register the study, compute what is missing, report. 0 if all is done, 1 if some failed."""
    driver = _driver(session)
    cohorts, lost = compute(session, driver)
    publish_report(session.store, session.name, session.output)
    return _conclude(session, driver, cohorts, lost)


def compute(session: Session, driver: Driver | None = None) -> tuple[Sequence[Cohort], dict[str, str]]:
    """Register the study and compute what is missing: all of its cohorts, and why trials were given up."""
    driver = driver or _driver(session)
    fix_threads(session.config.run.threads)
    probe(session.store)
    register_study(session.store, session.name, session.document)
    _prepare_data(session)
    _make_references(session)
    if session.phase is not None and session.phase.kind == "boundary":
        return _search(session, driver)
    todo = driver.unfinished(session.cohorts)
    _say_start(session, todo)
    lost: dict[str, str] = {}
    if todo:
        screen = _screen(session)
        _tell_old(session, screen, todo)
        with driver.beside(screen) as watcher:
            lost = (_run_on_ray if session.config.run.runtime == "ray" else _run_here)(session, todo, watcher)
    driver.unfinished(session.cohorts)
    # Before samples are retired: it needs those of many generations.
    driver.embed(session.cohorts)
    driver.retire(session.cohorts)
    driver.keep_index()
    return session.cohorts, lost


def _driver(session: Session) -> Driver:
    return Driver(session.store, session.name, keep_of(session.config.run.retention.samples))


def _search(session: Session, driver: Driver) -> tuple[Sequence[Cohort], dict[str, str]]:
    """A boundary: rounds of cells until it is known."""
    rounds = BoundaryRounds(session, driver)
    print(f"study {session.name}: searching a boundary, store {session.store.url}", flush=True)
    lost: dict[str, str] = {}
    if session.config.run.runtime == "ray":
        lost = _search_on_ray(session, rounds)
    else:
        while todo := rounds.next():
            _run_here(session, todo, rounds.screen)
    driver.retire(rounds.cohorts)
    driver.keep_index()
    return rounds.cohorts, lost


def _prepare_data(session: Session) -> None:
    """Decode the user's own images, before trials would each do it."""
    say = partial(print, flush=True)
    todo = missing(session.store, (head.data for head in session.heads))
    if todo and session.config.run.runtime == "ray":
        from mad_ray.onray.cluster import ray_session
        from mad_ray.onray.decode import decode_with_data

        with ray_session(_execution(session), 1, session.config.run.logical_cpus):
            prepare(session.store, todo, decode_with_data, say)
        return
    prepare(session.store, todo, decode_here, say)


def _make_references(session: Session) -> None:
    """Once, before trials would each make them at the same time."""
    wanted = {(head.data, head.metrics) for head in session.heads if head.metrics.of_samples}
    for data, metrics in sorted(wanted, key=repr):
        open_reference(session.store, data, metrics)


def _screen(session: Session) -> Screen | CellScreen:
    """Maps have too many cells for a line each."""
    if session.phase is not None:
        return CellScreen(session.cohorts, is_whole=True)
    return Screen(session.cohorts, session.config.run.max_concurrent if session.config.run.runtime == "ray" else 1)


def _run_here(session: Session, todo: list[Cohort], screen: Watcher) -> dict[str, str]:
    settings = session.config.run
    rule = CheckpointRule(settings.checkpoint_s, settings.checkpoint_steps)
    runtime = LocalRuntime(rule, settings.memory << 20)
    for pack in pack_cohorts(todo, 1):
        for group in groups_of(pack):
            run_group(session.name, group, session.store, runtime, screen, memory_mib=settings.trial_memory)
    return {}


def _run_on_ray(session: Session, todo: list[Cohort], screen: Watcher) -> dict[str, str]:
    from mad_ray.onray.cluster import ray_session

    settings = session.config.run
    execution = _execution(session)
    packs = pack_cohorts(todo, settings.max_concurrent)
    with ray_session(execution, len(packs), settings.logical_cpus):
        # Not before Ray's settings are made: these modules import it.
        from mad_ray.onray.metrics import exported
        from mad_ray.onray.study import run_packs

        with exported(session.name, screen, lambda: session.cohorts, session.points) as watcher:
            return run_packs(session.name, session.store, packs, execution, _logs(session), watcher)


def _search_on_ray(session: Session, rounds: BoundaryRounds) -> dict[str, str]:
    from mad_ray.onray.cluster import ray_session

    execution = _execution(session)
    if not rounds.is_open():
        return {}
    with ray_session(execution, execution.max_concurrent, session.config.run.logical_cpus):
        from mad_ray.onray.metrics import exported
        from mad_ray.onray.study import run_rounds

        with exported(session.name, rounds.screen, lambda: rounds.cohorts, rounds.points) as watcher:
            return run_rounds(session.name, session.store, rounds, execution, _logs(session), watcher)


def _execution(session: Session) -> Any:
    from mad_ray.onray.resources import Execution

    settings = session.config.run
    return Execution(
        max_concurrent=settings.max_concurrent,
        workers=settings.most_workers,
        min_workers=settings.fewest_workers,
        samplers=settings.samplers,
        sampler_actors=settings.sampler_actors,
        threads=settings.threads,
        cpus=settings.cpus,
        gpus=settings.gpus,
        retries=settings.retries,
        checkpoint_s=settings.checkpoint_s,
        checkpoint_steps=settings.checkpoint_steps,
        memory_bytes=settings.memory << 20,
        trial_memory=settings.trial_memory,
        max_cpus=settings.max_cpus,
        max_gpus=settings.max_gpus,
        folders=folders_of(session.heads),
    )


def _logs(session: Session) -> Path:
    logs = session.output / "tune"
    logs.mkdir(parents=True, exist_ok=True)
    return logs


def _tell_old(session: Session, screen: Screen | CellScreen, todo: list[Cohort]) -> None:
    """Finished cohorts count as done from the start."""
    waiting = {cohort.id for cohort in todo}
    screen.finished([cohort.id for cohort in session.cohorts if cohort.id not in waiting])


def _say_start(session: Session, todo: list[Cohort]) -> None:
    n_seeds = sum(len(cohort.seeds) for cohort in session.cohorts)
    n_done = len(session.cohorts) - len(todo)
    done = f"; {n_done} of {len(session.cohorts)} ledgers are complete already" if n_done else ""
    what = f"{n_seeds} trajectories" if session.phase is None else f"{len(session.points)} cells"
    print(f"study {session.name}: {what}, store {session.store.url}{done}", flush=True)


def _conclude(session: Session, driver: Driver, cohorts: Sequence[Cohort], lost: dict[str, str]) -> int:
    unfinished = driver.unfinished(cohorts)
    reasons = read_failures(session.store, session.name) if unfinished else {}
    for cohort in unfinished[:MAX_FAILURES_SHOWN]:
        reason = reasons.get(cohort.id) or lost.get(cohort.id) or "not finished"
        print(f"FAILED  {cohort.case}, seeds {list(cohort.seeds)}: {reason}")
    if len(unfinished) > MAX_FAILURES_SHOWN:
        print(f"... and {len(unfinished) - MAX_FAILURES_SHOWN} more; see `mad-ray status`")
    if unfinished:
        print("what is committed is kept; the same command tries the rest again")
    return 1 if unfinished else 0
