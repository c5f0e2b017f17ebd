"""From trajectories to trials: cohorts that share a fit, packs of cohorts that share a trial."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mad_ray.core.stopping import loop_memory
from mad_ray.core.trajectory import Cohort, Trajectory, cohorts_of
from mad_ray.engine.settle import is_finished
from mad_ray.ledger.index import EMPTY, Head, grown, is_at
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.parallel import in_parallel
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
    head: Head = EMPTY
    """The end of its ledger, whatever was asked for."""


def plan_cohorts(trajectories: Sequence[Trajectory]) -> list[Cohort]:
    """Cohorts in order of appearance, as wide as their family allows. Equal trajectories are computed once."""
    cohorts: list[Cohort] = []
    cases: dict[str, list[Trajectory]] = {}
    for trajectory in trajectories:
        cases.setdefault(trajectory.case, []).append(trajectory)
    for equal in cases.values():
        # Random points of few choices repeat; a seed twice in a cohort would count as two independent results.
        group = list(dict.fromkeys(equal))
        cohorts += cohorts_of(group, group[0].max_cohort)
    return cohorts


def pack_cohorts(cohorts: Sequence[Cohort], max_concurrent: int) -> list[Pack]:
    """Trials, longest first: dear cohorts alone, cheap ones shared out among as many packs as run at once.

    Starting a trial costs seconds, a generation of a cheap cohort milliseconds. Of thousands of cells there are some
    packs more, so that none waits long for the last. Members of an ecosystem stay together.
    """
    groups = groups_of(list({cohort.id: cohort for cohort in cohorts}.values()))
    cheap = [group for group in groups if _is_cheap(group)]
    dear = [group for group in groups if not _is_cheap(group)]
    dear.sort(key=lambda group: -sum(cohort.n_generations for cohort in group if not cohort.head.is_pool))
    n_packs = max_concurrent * min(MAX_ROUNDS, max(1, len(cheap) // (max_concurrent * PACK_CELLS)))
    packs: list[list[Cohort]] = [[] for _ in range(n_packs)]
    filled = [0.0] * n_packs
    for group in sorted(cheap, key=lambda group: sum(map(effort, group)), reverse=True):
        # The longest first, each to whoever has least to do.
        i = filled.index(min(filled))
        packs[i] += group
        filled[i] += sum(map(effort, group))
    return [*dear, *(tuple(pack) for pack in packs if pack)]


def _is_cheap(group: Pack) -> bool:
    return all(cohort.head.family.redraw for cohort in group)


def groups_of(cohorts: Iterable[Cohort]) -> list[Pack]:
    """Cohorts that advance in step, in order of appearance: an ecosystem's members, of the same seeds; others alone."""
    groups: dict[str, list[Cohort]] = {}
    for cohort in cohorts:
        groups.setdefault(cohort.herd, []).append(cohort)
    return [tuple(group) for group in groups.values()]


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
    sources = len(cohort.head.ecosystem.members) if cohort.head.ecosystem is not None else 1
    return len(cohort.seeds) * (2 + min(cohort.head.loop.memory, cohort.n_generations) * sources)


def progress_of(cohort: Cohort, store: Store) -> Progress:
    """Read from the ledger alone, every manifest of it."""
    return _progress(cohort, store, EMPTY)


def progress_of_all(
    cohorts: Iterable[Cohort], store: Store, known: Mapping[str, Head], confirm: bool = False
) -> dict[str, Progress]:
    """Cohort -> its progress, asking only for what was committed since the known heads (of a study's index).

    confirm: one request more for each known one, so that a ledger that was lost since is not taken for finished.
    """
    unique = list({cohort.id: cohort for cohort in cohorts}.values())

    def find(cohort: Cohort) -> Progress:
        head = known.get(cohort.id, EMPTY)
        if confirm and not is_at(store, cohort.id, head):
            head = head.of_retention
        return _progress(cohort, store, head)

    return dict(zip((cohort.id for cohort in unique), in_parallel(find, unique), strict=True))


def _progress(cohort: Cohort, store: Store, head: Head) -> Progress:
    n = cohort.n_generations
    if head.last < n and head.settled_of != n:
        head = grown(store, cohort.id, head)
        head = replace(head, settled_of=n if _is_settled(cohort, store, head) else 0)
    seconds = head.wall_s / head.last if head.last else None
    return Progress(min(head.last, n), seconds, head.n_bytes, head.last >= n or head.settled_of == n, head)


def _is_settled(cohort: Cohort, store: Store, head: Head) -> bool:
    """As settle.is_finished, which needs the whole ledger, where a rule may end it before its last generation."""
    if not head.last or head.last >= cohort.n_generations or cohort.head.until is None:
        return False
    return cohort.head.is_cell or is_finished(cohort, Ledger(store, cohort))
