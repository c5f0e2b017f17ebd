"""Has a cell settled? The stopping rule of core/stopping.py, applied to what was measured so far."""

from collections.abc import Sequence

from mad_ray.core.cells import judge_rows
from mad_ray.core.stopping import is_checkpoint
from mad_ray.core.trajectory import Cohort
from mad_ray.core.values import MetricRow, decode_rows
from mad_ray.ledger.ledger import Ledger


def is_settled(cohort: Cohort, t: int, rows: Sequence[MetricRow]) -> bool:
    """Whether the rule calls the cohort settled at generation t. Never for a cohort without a rule."""
    until = cohort.head.until
    if until is None or not is_checkpoint(t, cohort.n_generations, until):
        return False
    return judge_rows(rows, cohort.seeds, cohort.head.loop, until).is_settled


def is_finished(cohort: Cohort, ledger: Ledger) -> bool:
    """Whether nothing is left to compute: all generations are there, or the rule has called the cohort settled."""
    history = ledger.verified or ledger.history()
    if not history:
        return False
    last = history[-1].last
    if last >= cohort.n_generations or cohort.head.until is None:
        return last >= cohort.n_generations
    if cohort.head.is_cell:
        return True
    rows = [row for m in history for row in decode_rows(ledger.read_blob(m, m.metrics))]
    return is_settled(cohort, last, rows)
