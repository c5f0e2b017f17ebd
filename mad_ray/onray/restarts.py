"""How often a trial may die: so often in a row, counted anew whenever it has come further."""

from typing import Any

from ray.tune import Callback

from mad_ray.core.trajectory import Cohort
from mad_ray.engine.checkpoints import progress_prefix
from mad_ray.ledger.store import Store

IS_NEW, SAVED_S, MOVES = "is_new", "saved_s", "moves"
"""What a trial reports of it: a new commit; when its fit's newest checkpoint was saved; that it gives up its node."""


class Restarts(Callback):
    """Grants each trial `retries` restarts since it last came further: a commit, or a newer checkpoint of its fit.

    Tune counts over a trial's whole life, which on machines that come and go has no bound. A move to another node
    after a notice is no death and counts for nothing.
    """

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._saved: dict[str, float] = {}

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        """Called before the failure that may follow is judged."""
        further = bool(result.get(IS_NEW))
        if saved := result.get(SAVED_S, 0.0):
            # What a trial finds at its very first start was saved by an earlier run.
            before = self._saved.get(trial.trial_id, 0.0 if trial.num_failures else saved)
            further |= saved > before
            self._saved[trial.trial_id] = max(before, saved)
        if further:
            trial.max_failures = trial.num_failures + self._retries
        if result.get(MOVES):
            trial.max_failures += 1


def saved_s(store: Store, cohort: Cohort) -> float:
    """When the newest checkpoint of the cohort's fit was saved, by the store's clock; 0 if there is none."""
    if not cohort.head.family.distributed:
        return 0.0
    return max((entry.modified_s for entry in store.list(progress_prefix(cohort.id))), default=0.0)
