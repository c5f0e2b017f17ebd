"""From trajectories to trials: cohorts that share a fit, packs of cohorts that share a trial."""

from collections.abc import Sequence
from dataclasses import dataclass

from mad_ray.core.stopping import loop_memory
from mad_ray.core.trajectory import Cohort, Trajectory, cohorts_of
from mad_ray.engine.settle import is_finished
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.store import Store

Pack = tuple[Cohort, ...]
PACK_CELLS = 50
"""Cheap cohorts worth a trial of their own, where there are so many."""
MAX_ROUNDS = 8


@dataclass(frozen=True)
class Progress:
    """How far a cohort's ledger has come. seconds: wall time per generation so far, None before the first.

    is_finished: all generations are there, or the cohort has settled before.
    """

    n_done: int
    seconds: float | None
    n_bytes: int
    is_finished: bool = False


def plan_cohorts(trajectories: Sequence[Trajectory]) -> list[Cohort]:
    """Cohorts in order of appearance, as wide as their family allows. Equal trajectories are computed once."""
    cohorts: list[Cohort] = []
    cases: dict[str, list[Trajectory]] = {}
    for trajectory in trajectories:
        cases.setdefault(trajectory.case, []).append(trajectory)
    for equal in cases.values():
        # Random points of few choices repeat; a seed twice in a cohort would count as two independent results.
        group = list(dict.fromkeys(equal))
        cohorts += cohorts_of(group, group[0].family.max_cohort)
    return cohorts


def pack_cohorts(cohorts: Sequence[Cohort], max_concurrent: int) -> list[Pack]:
    """Trials, longest first: dear cohorts alone, cheap ones shared out among as many packs as run at once.

    Starting a trial costs seconds, a generation of a cheap cohort milliseconds. Of thousands of cells there are some
    packs more, so that none waits long for the last.
    """
    unique = list({cohort.id: cohort for cohort in cohorts}.values())
    dear = [cohort for cohort in unique if not cohort.head.family.redraw]
    cheap = [cohort for cohort in unique if cohort.head.family.redraw]
    dear.sort(key=lambda cohort: -cohort.n_generations)
    n_packs = max_concurrent * min(MAX_ROUNDS, max(1, len(cheap) // (max_concurrent * PACK_CELLS)))
    packs: list[list[Cohort]] = [[] for _ in range(n_packs)]
    filled = [0.0] * n_packs
    for cohort in sorted(cheap, key=effort, reverse=True):
        # The longest first, each to whoever has least to do.
        i = filled.index(min(filled))
        packs[i].append(cohort)
        filled[i] += effort(cohort)
    return [*((cohort,) for cohort in dear), *(tuple(pack) for pack in packs if pack)]


def effort(cohort: Cohort) -> float:
    """How long a cheap cohort takes, beside others of its study: generations, seeds, and summaries drawn in each.

    A cell takes as many generations as its loop needs to forget: some dozen, and some times its memory.
    """
    loop, n = cohort.head.loop, float(cohort.n_generations)
    if cohort.head.until is not None:
        memory = loop_memory(loop)
        n = min(n, cohort.head.until.min_generations + (n if memory is None else 8 * memory))
    return n * effort_of_generation(cohort)


def effort_of_generation(cohort: Cohort) -> float:
    """Seeds, and summaries drawn, of each generation."""
    return len(cohort.seeds) * (2 + min(cohort.head.loop.memory, cohort.n_generations))


def progress_of(cohort: Cohort, store: Store) -> Progress:
    """Read from the ledger alone."""
    ledger = Ledger(store, cohort)
    history = ledger.history()
    n = history[-1].last if history else 0
    wall = sum(manifest.provenance.get("wall_s", 0.0) for manifest in history)
    n_bytes = sum(manifest.provenance.get("n_bytes", 0) for manifest in history)
    finished = is_finished(cohort, ledger)
    return Progress(min(n, cohort.n_generations), wall / n if n else None, n_bytes, finished)
