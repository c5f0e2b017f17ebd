"""Running cohorts to their end: what fails is told, kept, and tried again; the others go on."""

from dataclasses import dataclass, field

import pytest

from mad_ray.core.errors import StoreError, TrajectoryFailed
from mad_ray.core.loop import fully_synthetic
from mad_ray.data import GaussianData
from mad_ray.engine.failures import reason_of
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.plan import pack_cohorts, plan_cohorts, progress_of
from mad_ray.engine.trajectory import Commit, run_watched
from mad_ray.families.gaussian import Gaussian
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.studies import read_failure
from tests.engine.made_up import Numbered, Remembering, new_store, run, study

LOOP = fully_synthetic(n_initial=9)


@dataclass
class Notes:
    """A Watcher that remembers."""

    commits: list[tuple[str, Commit]] = field(default_factory=list)
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    stages: list[tuple[str, str, int, float]] = field(default_factory=list)

    def stage(self, *args) -> None:
        self.stages.append(args)

    def committed(self, *args) -> None:
        self.commits.append(args)

    def failed(self, *args) -> None:
        self.failures.append(args)


def remembering(n: int = 3, fails_at: int = 0, seeds: tuple[int, ...] = (0,)):
    return study(Numbered(), Remembering(fails_at=fails_at), LOOP, n, seeds=seeds)


def test_a_failure_is_told_kept_and_does_not_stop_the_others() -> None:
    store, notes = new_store(), Notes()
    bad, good = remembering(fails_at=2), remembering()
    assert run_watched("s", bad, store, LocalRuntime(), notes) is False
    assert run_watched("s", good, store, LocalRuntime(), notes) is True
    reason = "ValueError: the numbers ran out"
    assert notes.failures == [(bad.id, 2, reason)]
    assert read_failure(store, "s", bad.id) == f"generation 2: {reason}"
    assert read_failure(store, "s", good.id) is None
    assert [m.last for m in Ledger(store, bad).history()] == [1], "what was committed stays"
    assert [m.last for m in Ledger(store, good).history()] == [1, 2, 3]


def test_a_new_run_forgets_the_failure_of_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    store, notes, cohort = new_store(), Notes(), remembering(fails_at=2)
    run_watched("s", cohort, store, LocalRuntime(), notes)
    sample = Remembering.fit
    monkeypatch.setattr(Remembering, "fit", lambda self, *args: sample(Remembering(), *args))
    assert run_watched("s", cohort, store, LocalRuntime(), notes) is True
    assert read_failure(store, "s", cohort.id) is None
    assert progress_of(cohort, store).n_done == 3


def test_a_passing_failure_is_raised_for_others_to_restart() -> None:
    store, notes, cohort = new_store(), Notes(), remembering(fails_at=2)
    with pytest.raises(ValueError, match="ran out"):
        run_watched("s", cohort, store, LocalRuntime(), notes, is_passing=lambda error: True)
    assert notes.failures == []
    assert read_failure(store, "s", cohort.id) is None


def test_a_store_that_fails_ends_the_run_and_blames_no_trajectory(monkeypatch: pytest.MonkeyPatch) -> None:
    store, notes, cohort = new_store(), Notes(), remembering()

    def refuse(*_: object, **__: object) -> bool:
        raise StoreError("no more")

    monkeypatch.setattr(store, "put", refuse)
    with pytest.raises(StoreError, match="no more"):
        run_watched("s", cohort, store, LocalRuntime(), notes)
    assert notes.failures == []


def test_commits_are_told_and_of_the_old_ones_the_newest() -> None:
    store, notes = new_store(), Notes()
    run(remembering(2), store)
    assert run_watched("s", remembering(3), store, LocalRuntime(), notes)
    assert [(c.first, c.last, c.is_new) for _, c in notes.commits] == [(2, 2, False), (3, 3, True)]
    assert all(set(c.values) == {"frechet"} for _, c in notes.commits)
    assert {(cohort, t) for cohort, _, t, _ in notes.stages} == {(remembering(3).id, 3)}


def test_reasons_are_one_line() -> None:
    assert reason_of(TrajectoryFailed("two\nlines")) == "two lines"
    assert reason_of(KeyError("x")) == "KeyError: 'x'"
    assert reason_of(RuntimeError()) == "RuntimeError: no message"
    assert len(reason_of(RuntimeError("long " * 1000))) <= 500


def test_progress_is_read_from_the_ledger() -> None:
    store = new_store()
    assert progress_of(remembering(5), store).n_done == 0
    run(remembering(2), store)
    progress = progress_of(remembering(5), store)
    assert progress.n_done == 2
    assert progress.seconds >= 0
    assert progress.n_bytes > 0
    assert progress_of(remembering(1), store).n_done == 1, "no more than was asked for"


def test_equal_trajectories_are_computed_once() -> None:
    """A random search over few choices draws points twice; a seed twice in a cohort would count as two results."""
    one = study(GaussianData(), Gaussian(), LOOP, 3, seeds=(0, 1)).trajectories
    assert [c.seeds for c in plan_cohorts([*one, *one])] == [(0, 1)]


def test_cohorts_are_as_wide_as_their_family_allows() -> None:
    assert [c.seeds for c in plan_cohorts(remembering(seeds=tuple(range(3))).trajectories)] == [(0, 1, 2)]
    trajectories = [t for seed in range(5) for t in remembering(seeds=(seed,)).trajectories]
    assert [c.seeds for c in plan_cohorts(trajectories)] == [(0, 1, 2), (3, 4)]


def test_packs_dear_cohorts_alone_and_longest_first_cheap_ones_together() -> None:
    dear = [remembering(n, seeds=(n,)) for n in (2, 5, 3)]
    cheap = [study(GaussianData(), Gaussian(), LOOP, 4, seeds=(seed,)) for seed in range(5)]
    packs = pack_cohorts([*cheap, *dear, dear[0]], 2)
    assert [[c.n_generations for c in pack] for pack in packs[:3]] == [[5], [3], [2]]
    assert [len(pack) for pack in packs[3:]] == [3, 2]
    flat = [c.id for pack in packs for c in pack]
    assert sorted(flat) == sorted({c.id for c in [*cheap, *dear]}), "each exactly once"
    assert pack_cohorts([], 2) == []
