"""advance: what enters D^t, what a kill leaves, who wins a race, how much memory it takes."""

import pickle
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from mad_ray.core.errors import Corrupt
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop, compose, fresh_data, fully_synthetic, synthetic_augmentation
from mad_ray.core.manifest import Blob
from mad_ray.core.samples import concatenate
from mad_ray.core.trajectory import Cohort
from mad_ray.data import GaussianData
from mad_ray.engine.generation import advance, n_published
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.publication import publisher_of
from mad_ray.engine.publish import PublishJob
from mad_ray.engine.published import Redrawn, Stored
from mad_ray.engine.reference import reference_key
from mad_ray.engine.runtime import silent
from mad_ray.engine.stream import TrainingSet
from mad_ray.families.gaussian import Gaussian
from mad_ray.ledger.chain import blob_key
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.local import LocalStore
from mad_ray.ledger.shards import decode_shard
from mad_ray.ledger.store import Entry, Store
from mad_ray.ledger.tensors import encode_tensors
from tests.engine import made_up
from tests.engine.made_up import Numbered, Ran, Remembering, forget, models_of, new_store, run, study

LOOPS = {
    "fully synthetic": fully_synthetic(n_initial=9, n_synthetic=21),
    "fresh data": fresh_data(n_fresh=5, n_synthetic=6, n_initial=11),
    "memory": fresh_data(n_fresh=2, n_synthetic=17, memory=3),
    "growing pool": synthetic_augmentation(n_initial=6, n_synthetic=7, accumulate=True),
    "everything": Loop(n_initial=9, n_fixed=4, n_fresh=3, n_synthetic=12, memory=2, bias=0.5),
    "real only": Loop(n_initial=9, n_fixed=4, n_fresh=3),
}
KINDS = {"storing": (Numbered(), Remembering()), "redrawing": (GaussianData(d=2), Gaussian())}
FRESH = fresh_data(n_fresh=5, n_synthetic=18, n_initial=11)


def cohort_of(kind: str, n_generations: int = 3, seeds: tuple[int, ...] = (3, 5)) -> Cohort:
    return study(*KINDS[kind], FRESH, n_generations, seeds=seeds)


@pytest.mark.parametrize("name", LOOPS)
def test_training_rows_are_what_compose_says(name: str) -> None:
    loop = LOOPS[name]
    models = models_of(run(study(Numbered(), Remembering(), loop, 5, seeds=(3, 5))))
    for t in range(1, 6):
        expected = [(part.generation, i) for part in compose(loop, t) for i in range(part.start, part.stop)]
        for b in range(2):
            assert [(int(g), int(i)) for g, i in models[t]["x"][b, :, :2]] == expected
            assert models[t]["label"][b].tolist() == [i % 3 for _, i in expected], "labels come along"


def test_a_training_row_is_the_row_that_was_published() -> None:
    """Down to its noise: read back from the store and not drawn anew with other keys."""
    loop = LOOPS["memory"]
    models = models_of(run(study(Numbered(), Remembering(), loop, 5, seeds=(3, 5))))
    for b, seed in enumerate((3, 5)):
        for row in models[5]["x"][b]:
            g, i = int(row[0]), int(row[1])
            keys = Keys((seed,)).at("sample", g) if g else Keys((seed,)).at("real")
            np.testing.assert_array_equal(row[2:], keys.generator(0, i).standard_normal(2))


def test_published_shards_hold_what_later_generations_and_metrics_need() -> None:
    for n_measured, n_synthetic in ((10, 21), (33, 21)):
        cohort = study(Numbered(), Remembering(), fully_synthetic(n_initial=21), 2, n_measured=n_measured)
        ran = run(cohort)
        assert n_published(cohort) == max(n_measured, n_synthetic)
        for manifest in ran.manifests:
            assert [shard.start for shard in manifest.shards] == list(range(0, n_published(cohort), 16))
            assert manifest.shards[-1].stop == manifest.n_published == n_published(cohort)
            for shard in manifest.shards:
                samples, start = decode_shard(ran.store.get(blob_key(manifest, shard.blob)))
                assert start == shard.start
                assert samples.x[0, :, 1].tolist() == list(range(shard.start, shard.stop))


def test_manifests_say_what_happened() -> None:
    ran = run(cohort_of("storing"))
    assert [(m.first, m.last) for m in ran.manifests] == [(1, 1), (2, 2), (3, 3)]
    for manifest in ran.manifests:
        assert manifest.training == compose(FRESH, manifest.last)
        assert manifest.identity == ran.cohort.identity
        told = manifest.provenance
        assert {"attempt", "started_s", "wall_s", "seconds", "n_bytes", "device", "threads", "versions"} <= told.keys()
        assert {"fit", "sample", "write", "measure"} <= told["seconds"].keys()
        assert told["n_bytes"] == sum(len(ran.store.get(blob_key(manifest, blob))) for blob in manifest.blobs())
    spans = run(study(*KINDS["redrawing"], FRESH, 23)).manifests
    assert [(m.first, m.last) for m in spans] == [(1, 16), (17, 23)]
    assert all(not m.shards for m in spans), "what is cheap to redraw is not stored"


def test_metric_rows_cover_every_seed_and_generation() -> None:
    for kind in KINDS:
        ran = run(cohort_of(kind, 3))
        rows = [(row["generation"], row["seed"]) for row in ran.all_rows() if row["metric"] == "frechet"]
        assert sorted(rows) == [(t, seed) for t in (1, 2, 3) for seed in (3, 5)]
        assert {row["bias"] for row in ran.all_rows() if row["metric"] == "frechet"} == {FRESH.bias}


@pytest.mark.parametrize("kind", KINDS)
def test_a_longer_run_continues_the_ledger(kind: str) -> None:
    short, long = cohort_of(kind, 2), cohort_of(kind, 4)
    ran = run(short)
    before = ran.contents
    continued = run(long, ran.store)
    assert continued.contents[: len(before)] == before
    direct = run(long)
    for t, model in models_of(direct).items():
        for name, array in model.items():
            assert array.tobytes() == models_of(continued)[t][name].tobytes()
    assert sorted(map(str, continued.all_rows())) == sorted(map(str, direct.all_rows()))
    assert run(short, ran.store).manifests == ran.manifests, "and a shorter one reads what it needs"


def test_running_again_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = run(cohort_of("storing"))
    made_up.fits.clear()
    assert run(ran.cohort, ran.store).manifests == ran.manifests
    assert made_up.fits == []


class Crash(BaseException):
    """A kill: nothing catches it."""


class Doomed:
    """A store whose process dies at the k-th operation: before it, or right after it took effect."""

    def __init__(self, store: Store, k: int, after: bool) -> None:
        self.store, self.url, self.left, self.after = store, store.url, k, after

    def _step(self, act):
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Crash
        try:
            return act()
        finally:
            if self.left == 0:
                raise Crash

    def get(self, key: str) -> bytes:
        return self._step(lambda: self.store.get(key))

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        return self._step(lambda: self.store.put(key, data, if_absent=if_absent))

    def list(self, prefix: str) -> Iterator[Entry]:
        return self._step(lambda: self.store.list(prefix))

    def delete(self, key: str) -> None:
        self._step(lambda: self.store.delete(key))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_operation_and_run_again_it_ends_the_same(kind: str, after: bool) -> None:
    cohort = cohort_of(kind, 3)
    expected = run(cohort)
    k = n_crashes = 0
    while True:
        k += 1
        forget()
        made_up.fits.clear()
        store = new_store()
        try:
            run(cohort, Doomed(store, k, after))
        except Crash:
            n_crashes += 1
        else:
            break
        forget()
        committed = Ledger(store, cohort).history()
        assert [m.content() for m in committed] == expected.contents[: len(committed)]
        assert run(cohort, store).contents == expected.contents
        if kind == "storing":
            assert len(made_up.fits) <= 3 + 1, "at most the generation in flight is computed again"
            assert made_up.fits.count(len(committed) + 1) <= 2
    # The storing kind: a reference, three models, six shards, three metrics, three manifests, and reads.
    assert n_crashes > (20 if kind == "storing" else 8)


class Meeting:
    """A store at which both racers are about to commit before either does."""

    def __init__(self, store: Store, barrier: threading.Barrier) -> None:
        self.store, self.url, self.barrier = store, store.url, barrier
        self.get, self.list, self.delete = store.get, store.list, store.delete

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        if "/ledger/" in key:
            self.barrier.wait(timeout=60)
        return self.store.put(key, data, if_absent=if_absent)


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_racing_attempts_one_wins_and_both_return_it(kind: str) -> None:
    cohort, store = cohort_of(kind, 1), new_store()
    meeting, found = Meeting(store, threading.Barrier(2)), [None, None]

    def race(i: int) -> None:
        found[i] = advance(cohort, Ledger(meeting, cohort), LocalRuntime())

    threads = [threading.Thread(target=race, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is not None
    assert found[0] == found[1]
    assert Ledger(store, cohort).history() == [found[0]]
    attempts = {entry.key.split("/")[3] for entry in store.list(f"{cohort.prefix}/attempts/")}
    assert len(attempts) == 2, "both did the work, under prefixes of their own"


def test_advance_tells_how_far_it_is() -> None:
    told: list[tuple[str, int, float]] = []
    cohort, store = cohort_of("storing", 1), new_store()
    advance(cohort, Ledger(store, cohort), LocalRuntime(), lambda *args: told.append(args))
    assert [stage for stage, _, _ in told] == ["fit", "fit", "sample", "sample", "measure"]
    assert {t for _, t, _ in told} == {1}
    assert [share for stage, _, share in told if stage == "sample"] == [0.5, 1.0]


# 1,024 samples of 512 numbers: 4 MiB a shard.
WIDE = 512
SHARD_BYTES = 1024 * WIDE * 8


class Wide(Remembering):
    """Samples of noise only, quick to draw."""

    chunk = 256

    def sample(self, model, start, stop, bias, keys):
        return GaussianData(d=WIDE).rows(start, stop, keys)


def publish_job(tmp_path, n_shards: int) -> PublishJob:
    cohort = study(Numbered(d=WIDE), Wide(chunk=256), fully_synthetic(n_initial=9, n_synthetic=1024 * n_shards), 2)
    store = LocalStore(str(tmp_path / "store"))
    blob = Ledger(store, cohort).put_blob("attempt", "models.safetensors", encode_tensors({"1/t": np.array(1)}))
    return PublishJob(store, cohort, 1, "attempt", blob, n_published(cohort))


def peak_of(act) -> int:
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_bounded_by_a_shard_and_not_by_n(tmp_path) -> None:
    """Publishing ten times the samples takes the same memory, to half a shard; so does reading them as D^t."""
    peaks, results = {}, {}
    for n_shards in (1, 10):
        job = publish_job(tmp_path, n_shards)
        assert (job.rows, job.n_shards) == (1024, n_shards)
        LocalRuntime().publish(replace(job, n=1024), silent)  # imports, caches
        kept = results.setdefault(n_shards, [])
        peaks[n_shards] = peak_of(lambda job=job, kept=kept: kept.extend(LocalRuntime().publish(job, silent)))
    assert peaks[10] < peaks[1] + SHARD_BYTES / 2
    shards = tuple((f"attempt/{r.shard.blob.name}", r.shard) for r in results[10])
    stored, before = Stored(job.store, shards), pa.total_allocated_bytes()
    arrow: list[int] = []
    peak = peak_of(lambda: arrow.extend(pa.total_allocated_bytes() for _ in stored.blocks(0, 1024 * 10)))
    assert len(arrow) == 10
    # The block in hand and the one being read, of Python's memory and of Arrow's.
    assert max(peak, max(arrow) - before) < 3 * SHARD_BYTES


def test_shards_do_not_change_what_is_read() -> None:
    """Slices that start and end within shards, and span several."""
    ran = run(study(Numbered(), Remembering(), fully_synthetic(n_initial=50), 1))
    manifest = ran.manifests[0]
    stored = Stored(ran.store, tuple((blob_key(manifest, s.blob), s) for s in manifest.shards))
    for start, stop in ((0, 50), (3, 4), (15, 17), (16, 32), (10, 49)):
        x = concatenate(list(stored.blocks(start, stop))).x
        assert x[0, :, 1].tolist() == list(range(start, stop))


@pytest.mark.parametrize("kind", KINDS)
def test_training_sets_pickle_and_give_the_same_rows(kind: str, tmp_path) -> None:
    ran = run(cohort_of(kind, 1), LocalStore(str(tmp_path)))
    data = training_set(ran)
    copy = pickle.loads(pickle.dumps(data))
    for size in (1, 7, 1000):
        first, second = concatenate(list(data.batches(size))), concatenate(list(copy.batches(size)))
        assert first.x.tobytes() == second.x.tobytes()
        assert first.n == data.n == copy.n == 23
    assert data.moments().scatter.tobytes() == copy.moments().scatter.tobytes()
    again = concatenate(list(data.batches(7)))
    assert again.x.tobytes() == first.x.tobytes(), "re-iterable"


def training_set(ran: Ran) -> TrainingSet:
    """D^2, opened by hand."""
    cohort, manifest = ran.cohort, ran.manifests[0]
    head = cohort.head
    if head.family.redraw:
        published = Redrawn(publisher_of(cohort, ran.store, 1), models_of(ran)[1])
    else:
        published = Stored(ran.store, tuple((blob_key(manifest, s.blob), s) for s in manifest.shards))
    return TrainingSet(head.data, cohort.keys.at("real"), compose(head.loop, 2), {("", 1): published})


def test_moments_of_a_training_set_do_not_depend_on_batches() -> None:
    ran = run(cohort_of("redrawing", 1))
    data = training_set(ran)
    whole = concatenate(list(data.batches(1000)))
    np.testing.assert_allclose(data.moments().covariance[1], np.cov(whole.x[1].T), rtol=1e-12)


def test_damage_stops_the_run_before_it_is_built_upon() -> None:
    ran = run(cohort_of("storing", 1))
    manifest = ran.manifests[0]
    shard: Blob = manifest.shards[1].blob
    key = blob_key(manifest, shard)
    data = bytearray(ran.store.get(key))
    data[100] ^= 1
    ran.store.put(key, bytes(data))
    with pytest.raises(Corrupt, match=key):
        run(cohort_of("storing", 2), ran.store)
    assert len(Ledger(ran.store, ran.cohort).history()) == 1


def test_the_reference_is_where_the_study_says() -> None:
    ran = run(cohort_of("storing", 1))
    assert ran.store.get(reference_key(ran.cohort.head.data, ran.cohort.head.metrics))
