"""Samples are retired when nobody needs them any more, and come back to the same bytes when somebody does."""

import uuid
from dataclasses import replace

import pytest

from mad_ray.core.errors import Corrupt, Missing, TrajectoryFailed
from mad_ray.core.loop import Loop, fully_synthetic, synthetic_augmentation
from mad_ray.engine.past import Past
from mad_ray.ledger.chain import blob_key
from mad_ray.ledger.gc import collect
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.retention import Keep, Retired, first_samples, read_retired, retire, retired_key
from mad_ray.ledger.shards import decode_shard
from mad_ray.ledger.verify import verify_cohort
from tests.engine.made_up import Numbered, Ran, Remembering, new_store, run, study
from tests.ledger.mortal import Killed, Mortal

LOOP = fully_synthetic(n_initial=20)
POOL = synthetic_augmentation(n_initial=20, n_fixed=4, accumulate=True)


def ran(loop: Loop = LOOP, n: int = 5, store: MemoryStore | None = None) -> Ran:
    return run(study(Numbered(), Remembering(), loop, n, seeds=(3, 5), n_measured=20), store or new_store())


def shards_of(found: Ran, generation: int) -> set[str]:
    manifest = found.manifests[generation - 1]
    keys = {entry.key for entry in found.store.list("cohorts/")}
    return {key for shard in manifest.shards if (key := blob_key(manifest, shard.blob)) in keys}


def let_go(found: Ran, keep: Keep, **more) -> Retired:
    head = found.cohort.head
    return retire(found.store, found.cohort.id, head.loop, head.n_generations, keep, **more)


def left(found: Ran) -> list[int]:
    """Generations whose samples are all there."""
    return [m.last for m in found.manifests if len(shards_of(found, m.last)) == len(m.shards)]


@pytest.mark.parametrize(
    ("loop", "keep", "last", "n", "gone"),
    [
        (LOOP, Keep(), 5, 5, [1, 2, 3, 4]),
        (LOOP, Keep(), 5, 9, [1, 2, 3, 4]),
        (LOOP, Keep(2), 6, 9, [1, 3, 5]),
        (LOOP, Keep(1), 6, 6, []),
        (LOOP, Keep(), 1, 5, []),
        (replace(LOOP, memory=3), Keep(), 6, 6, [1, 2, 3]),
        (POOL, Keep(), 5, 9, []),
        (POOL, Keep(2), 5, 5, [1, 3]),
        (Loop(n_initial=9, n_fixed=9), Keep(), 3, 9, [1, 2]),
    ],
)
def test_what_a_generation_to_come_needs_is_never_let_go(loop, keep, last, n, gone) -> None:
    assert keep.retires(loop, last, n) == gone


def test_samples_go_and_nothing_else() -> None:
    found = ran()
    before = {entry.key for entry in found.store.list("")}
    dry = let_go(found, Keep(2), dry=True)
    assert {entry.key for entry in found.store.list("")} == before
    shards = shards_of(found, 1) | shards_of(found, 3)
    assert let_go(found, Keep(2)) == dry == Retired(2, len(shards), dry.n_bytes, 2)
    assert len(shards) == 4
    after = {entry.key for entry in found.store.list("")}
    assert before - after == shards
    assert {key.split("/")[2] for key in after - before} == {"retired"}
    assert left(found) == [2, 4, 5]
    assert list(verify_cohort(found.store, found.cohort.id)) == []
    assert let_go(found, Keep(2)) == Retired(0, 0, 0, 2)


def test_a_study_goes_on_as_if_nothing_had_gone() -> None:
    found = ran(n=3)
    let_go(found, Keep())
    longer = ran(n=5, store=found.store)
    assert longer.contents == ran(n=5).contents


@pytest.mark.parametrize("sweep", [False, True])
def test_what_is_needed_again_is_drawn_again_to_the_same_bytes(sweep: bool) -> None:
    """A pool that accumulates, and a study that became longer after its samples were retired."""
    found = ran(POOL, 3)
    let_go(found, Keep())
    assert left(found) == [3]
    longer = ran(POOL, 4, found.store)
    assert longer.contents == ran(POOL, 4).contents
    assert left(longer) == [1, 2, 3, 4], "put back for who needs them next"
    if sweep:
        collect(found.store, [found.cohort.id], 0.0)
    assert list(verify_cohort(found.store, found.cohort.id)) == []
    assert ran(POOL, 5, found.store).contents == ran(POOL, 5).contents


def test_what_does_not_come_out_the_same_is_refused(monkeypatch) -> None:
    found = ran(POOL, 3)
    let_go(found, Keep())
    sample = Remembering.sample
    monkeypatch.setattr(Remembering, "sample", lambda self, *args: replace(drawn := sample(self, *args), x=drawn.x + 1))
    with pytest.raises(TrajectoryFailed, match="was retired, and its model does not draw the same bytes here"):
        ran(POOL, 4, found.store)


def test_what_was_lost_and_not_retired_is_not_drawn_again() -> None:
    found = ran(POOL, 3)
    for key in shards_of(found, 2):
        found.store.delete(key)
    with pytest.raises(Missing):
        ran(POOL, 4, found.store)


def test_the_report_still_has_its_pictures() -> None:
    found = ran()
    manifest = found.manifests[1]
    whole = first_samples(found.store, manifest, manifest.shards[0])
    let_go(found, Keep())
    shown = first_samples(found.store, manifest, manifest.shards[0])
    assert (shown == whole[:, : shown.shape[1]]).all()
    assert shown.shape[1] >= 16
    lost = found.manifests[4]
    found.store.delete(blob_key(lost, lost.shards[0].blob))
    with pytest.raises(Missing):
        first_samples(found.store, lost, lost.shards[0])


class Dying(Mortal, MemoryStore):
    """Dies at its operation number n that changes something, before or after it."""

    def put(self, key, data, *, if_absent=False):
        return self.step(lambda: super(Dying, self).put(key, data, if_absent=if_absent))

    def delete(self, key):
        return self.step(lambda: super(Dying, self).delete(key))


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_write_and_run_again_it_ends_the_same(after: bool) -> None:
    whole = ran(n=4)
    let_go(whole, Keep())
    n = 0
    while True:
        n += 1
        found = ran(n=4, store=MemoryStore(uuid.uuid4().hex))
        mortal = Dying(found.store.url.removeprefix("memory://"), n, after)
        try:
            let_go(replace(found, store=mortal), Keep())
        except Killed:
            assert list(verify_cohort(found.store, found.cohort.id)) == [], "nothing is missed at any moment"
        else:
            break
        assert let_go(found, Keep()).n_all == 3
        assert left(found) == left(whole) == [4]
        assert read_retired(found.store, found.manifests[0], 1) == {
            **read_retired(whole.store, whole.manifests[0], 1),
            "n_bytes": read_retired(found.store, found.manifests[0], 1)["n_bytes"],
        }
    # Of each of three generations what is shown, the note, two shards.
    assert n > 12


def test_verify_tells_what_was_retired_from_what_was_lost() -> None:
    found = ran()
    let_go(found, Keep())
    store, cohort = found.store, found.cohort.id
    notes = [entry.key for entry in store.list(f"cohorts/{cohort}/retired/")]
    for key in notes:
        data = store.get(key)
        store.put(key, data[:-1])
        assert key in {finding.key for finding in verify_cohort(store, cohort)}
        store.delete(key)
        assert list(verify_cohort(store, cohort)), f"{key} is lost"
        store.put(key, data)
    first, second = retired_key(cohort, 1), retired_key(cohort, 2)
    one, two = store.get(first), store.get(second)
    store.put(first, two)
    store.put(second, one)
    assert {first, second} <= {finding.key for finding in verify_cohort(store, cohort)}
    store.put(first, one)
    store.put(second, two)
    lost = found.manifests[4]
    store.delete(blob_key(lost, lost.shards[0].blob))
    assert [finding.key for finding in verify_cohort(store, cohort)] == [blob_key(lost, lost.shards[0].blob)]


def test_a_note_about_other_samples_is_not_believed() -> None:
    found = ran()
    let_go(found, Keep())
    store, cohort = found.store, found.cohort.id
    store.put(retired_key(cohort, 2), store.get(retired_key(cohort, 1)))
    with pytest.raises(Corrupt, match="mixed up"):
        first_samples(store, found.manifests[1], found.manifests[1].shards[0])


def test_drawn_again_it_is_the_stored_shard() -> None:
    found = ran()
    manifest = found.manifests[2]
    redraw = Past(found.cohort, Ledger(found.store, found.cohort), found.manifests).published(3).redraw
    for shard in manifest.shards:
        data = found.store.get(blob_key(manifest, shard.blob))
        assert redraw.shard(shard) == data
        assert (decode_shard(data)[0].x == decode_shard(redraw.shard(shard))[0].x).all()
