"""What the driver of a study does while others compute: it keeps the index of the ledgers, and retires samples."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from mad_ray.core.ecosystem import eaters_of
from mad_ray.core.errors import StoreError, TrajectoryFailed
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.embedding import embed
from mad_ray.engine.plan import Progress, progress_of_all
from mad_ray.engine.trajectory import Commit, Watcher
from mad_ray.ledger.index import EMPTY, Head, read_index, write_index
from mad_ray.ledger.retention import Keep, retire
from mad_ray.ledger.store import Store

INDEX_S = 60.0
"""Between two looks at the ledgers that grew."""


class Driver:
    """Knows how far every cohort is, asks only for what is new, and keeps the index."""

    def __init__(self, store: Store, study: str, keep: Keep | None = None) -> None:
        self.store, self.study, self.keep = store, study, keep
        self._written = read_index(store, study)
        self._known: dict[str, Head] = dict(self._written)
        self._confirmed: set[str] = set()
        self._cohorts: dict[str, Cohort] = {}
        self._grew: set[str] = set()
        self._lock = threading.Lock()

    def progress(self, cohorts: Iterable[Cohort]) -> dict[str, Progress]:
        """Cohort -> how far it is. What the index says is confirmed once: a ledger may have been lost since."""
        with self._lock:
            found: dict[str, Progress] = {}
            unique = {cohort.id: cohort for cohort in cohorts}
            for confirm in (True, False):
                wanted = [cohort for cohort in unique.values() if (cohort.id not in self._confirmed) == confirm]
                found |= {} if not wanted else progress_of_all(wanted, self.store, self._known, confirm)
            self._cohorts |= unique
            self._confirmed |= found.keys()
            self._known |= {cohort: progress.head for cohort, progress in found.items()}
            return found

    def unfinished(self, cohorts: Iterable[Cohort]) -> list[Cohort]:
        """Those that have something left to compute, in their order."""
        asked = list(cohorts)
        found = self.progress(asked)
        return [cohort for cohort in asked if not found[cohort.id].is_finished]

    def retire(self, cohorts: Iterable[Cohort]) -> None:
        """Delete the samples of these cohorts that the rule lets go; no rule, nothing goes."""
        for cohort in cohorts if self.keep is not None else ():
            assert self.keep is not None
            if cohort.head.family.redraw:
                continue
            loop, eaters = cohort.head.loop, eaters_of(cohort.identity)
            found = retire(self.store, cohort.id, loop, cohort.n_generations, self.keep, eaters=eaters)
            with self._lock:
                head = self._known.get(cohort.id, EMPTY)
                n_bytes = head.retired_bytes + found.n_bytes
                self._known[cohort.id] = replace(head, n_retired=found.n_all, retired_bytes=n_bytes)

    def embed(self, cohorts: Iterable[Cohort]) -> None:
        """Make the embeddings that metrics.embedding asks for, of the first trajectories of each case."""
        made: Counter[str] = Counter()
        for cohort in cohorts:
            metrics = cohort.head.metrics
            wanted = min(metrics.embedding_seeds - made[cohort.case], len(cohort.seeds)) if metrics.embedding else 0
            for b in range(wanted):
                made[cohort.case] += 1
                try:
                    embed(cohort, self.store, b)
                except TrajectoryFailed as error:
                    # A picture less; the results are committed.
                    print(f"no embedding of {cohort.case}: {error}")

    def keep_index(self) -> None:
        """Write the index if it is not as the ledgers are. A store that refuses costs the next reader time only."""
        with self._lock:
            heads = {cohort: head for cohort, head in self._known.items() if head.last}
            if heads == self._written:
                return
            with suppress(StoreError):
                write_index(self.store, self.study, heads)
                self._written = heads

    @contextmanager
    def beside(self, watcher: Watcher, every_s: float = INDEX_S) -> Iterator[Watcher]:
        """While the block runs, look now and then at the ledgers that grew. Yields the Watcher to be told of it."""
        done = threading.Event()
        thread = threading.Thread(target=self._look, args=(done, every_s), daemon=True, name="mad-ray-index")
        thread.start()
        try:
            yield _Told(watcher, self._grew)
        finally:
            done.set()
            thread.join()

    def _look(self, done: threading.Event, every_s: float) -> None:
        while not done.wait(every_s):
            self.tend()

    def tend(self) -> None:
        """Look at the ledgers that grew since the last time, and keep the index."""
        grew = [self._grew.pop() for _ in range(len(self._grew))]
        # A store that refuses is told by those who compute; next time will do.
        with suppress(StoreError):
            cohorts = [self._cohorts[cohort] for cohort in grew if cohort in self._cohorts]
            self.progress(cohorts)
            self.retire(cohorts)
            self.keep_index()


class _Told:
    """A Watcher that notes which ledgers grew, and passes everything on."""

    def __init__(self, watcher: Watcher, grew: set[str]) -> None:
        self._watcher, self._grew = watcher, grew
        self.stage, self.failed = watcher.stage, watcher.failed

    def committed(self, cohort: str, commit: Commit) -> None:
        self._grew.add(cohort)
        self._watcher.committed(cohort, commit)
