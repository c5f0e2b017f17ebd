"""A fit killed on its way goes on from its last checkpoint, and nothing of the result tells."""

from dataclasses import replace

import pytest

from mad_ray.core.loop import fully_synthetic
from mad_ray.core.trajectory import Cohort
from mad_ray.data import GaussianData
from mad_ray.engine.checkpoints import CheckpointRule, StoredCheckpoints, checkpoints_of, progress_prefix
from mad_ray.engine.generation import advance
from mad_ray.engine.local import LocalRuntime
from mad_ray.families import Gaussian
from mad_ray.ledger.gc import collect
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.store import Store
from tests.engine.made_up import new_store, run, study
from tests.families.toy_network import Toy

RULE = CheckpointRule(every_s=0, every_steps=3)
LOOP = fully_synthetic(n_initial=30, n_synthetic=40)


class Killed(Exception):
    pass


def cohort(n_generations: int = 2) -> Cohort:
    return study(GaussianData(d=2), Toy(), LOOP, n_generations, n_measured=20)


def die_in_fit(of: int, after: float):
    def report(stage: str, t: int, share: float) -> None:
        if (stage, t) == ("fit", of) and share > after:
            raise Killed

    return report


def killed(store: Store, t: int = 1, rule: CheckpointRule = RULE) -> None:
    """A study that dies in the second half of the fit of generation t."""
    report = die_in_fit(t, 0.5)
    for _ in range(1, t):
        advance(cohort(), Ledger(store, cohort()), LocalRuntime(rule), report)
    with pytest.raises(Killed):
        advance(cohort(), Ledger(store, cohort()), LocalRuntime(rule), report)


def progress(store: Store) -> list[str]:
    return [entry.key for entry in store.list(progress_prefix(cohort().id))]


@pytest.mark.parametrize("t", [1, 2])
def test_a_killed_fit_goes_on_and_ends_with_the_same_bytes(t: int) -> None:
    undisturbed = [manifest.digest for manifest in run(cohort()).manifests]
    store = new_store()
    killed(store, t)
    assert len(progress(store)) == 1
    told: list[tuple[str, int, float]] = []
    rest = []
    for _ in range(t, 3):
        rest.append(advance(cohort(), Ledger(store, cohort()), LocalRuntime(RULE), lambda *stage: told.append(stage)))
    assert [manifest.digest for manifest in Ledger(store, cohort()).history()] == undisturbed
    # 20 steps, told after each; it died after the eleventh, and the ninth was saved.
    assert rest[0].provenance["resumed_steps"] == 9
    assert told[:2] == [("fit", t, 0.0), ("fit", t, 10 / 20)]
    assert progress(store) == [], "a committed generation leaves no checkpoint behind"


def test_without_checkpoints_nothing_is_saved_and_nothing_differs() -> None:
    store = new_store()
    killed(store, rule=CheckpointRule(0, 0))
    assert progress(store) == []
    again = run(cohort(), store=store)
    assert [m.digest for m in again.manifests] == [m.digest for m in run(cohort()).manifests]


def test_a_damaged_checkpoint_is_as_good_as_none() -> None:
    store = new_store()
    killed(store)
    (key,) = progress(store)
    data = bytearray(store.get(key))
    data[len(data) // 2] ^= 1
    store.put(key, bytes(data))
    manifest = advance(cohort(), Ledger(store, cohort()), LocalRuntime(RULE))
    assert "resumed_steps" not in manifest.provenance
    assert manifest.digest == run(cohort()).manifests[0].digest


def test_a_checkpoint_of_another_past_or_other_code_is_not_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    store, one = new_store(), cohort()
    history = run(one).manifests
    found = [checkpoints_of(store, one, 2, past, RULE) for past in (history[:1], [])]
    monkeypatch.setattr("mad_ray.engine.checkpoints.versions", lambda: {"torch": "9.9"})
    found.append(checkpoints_of(store, one, 2, history[:1], RULE))
    assert len({each.key for each in found if each}) == 3


def test_families_that_fit_at_once_have_none() -> None:
    gaussian = study(GaussianData(d=2), Gaussian(), LOOP, 2)
    assert checkpoints_of(new_store(), gaussian, 1, [], RULE) is None


def test_it_is_due_by_steps_and_by_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("mad_ray.engine.checkpoints.time.monotonic", lambda: now[0])
    by_steps = StoredCheckpoints(MemoryStore("due"), "progress", CheckpointRule(0, 4))
    assert [n for n in range(1, 10) if by_steps.is_due(n)] == [4, 8]
    by_seconds = StoredCheckpoints(MemoryStore("due"), "progress", CheckpointRule(30, 0))
    assert by_seconds.load() is None
    assert not by_seconds.is_due(1)
    now[0] = 131.0
    assert by_seconds.is_due(2)
    by_seconds.save(2, {})
    assert not by_seconds.is_due(3)


def test_gc_takes_old_checkpoints_only() -> None:
    store = new_store()
    killed(store)
    (entry,) = store.list(progress_prefix(cohort().id))
    assert collect(store, [cohort().id], 100, now_s=entry.modified_s + 50).n_objects == 0
    assert collect(store, [cohort().id], 100, now_s=entry.modified_s + 150).n_objects >= 1
    assert progress(store) == []


def test_every_stage_says_how_many_images_it_saw() -> None:
    manifest = run(cohort()).manifests[1]
    assert manifest.provenance["images"] == {"fit": 20 * 8, "measure": 20, "sample": 40}
    epochs = study(GaussianData(d=2), replace(Toy(), epochs=4), LOOP, 2, n_measured=20)
    # 30 rows, then 40, four times through, in batches of 8.
    assert [m.provenance["images"]["fit"] for m in run(epochs).manifests] == [15 * 8, 20 * 8]
