"""The laws of interventions, through the engine: identities to the byte, the real-only loop, rates as they were set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy import stats

from mad_ray.core.errors import TrajectoryFailed
from mad_ray.core.fingerprint import digest_bytes
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples, concatenate
from mad_ray.core.trajectory import Cohort
from mad_ray.data import SOURCES
from mad_ray.engine.past import Past
from mad_ray.engine.redraw import Redraw
from mad_ray.families import FAMILIES
from mad_ray.interventions import Detector, Watermark
from mad_ray.interventions.intervention import Lesson, State, no_state
from mad_ray.ledger.ledger import Ledger
from tests.engine.made_up import Ran, metric_table, models_of, run, study
from tests.families.toy_network import Toy

LOOPS = {
    "fresh": Loop(n_initial=60, n_fresh=30, n_synthetic=50),
    "augmentation": Loop(n_initial=60, n_fixed=60, n_synthetic=50, bias=0.9),
    "memory": Loop(n_initial=60, n_fresh=30, n_synthetic=50, memory=2),
    "accumulate": Loop(n_initial=60, n_fixed=60, n_synthetic=50, accumulate=True),
}
GAUSSIAN = SOURCES["gaussian"](d=3)
KINDS: dict[str, tuple[Any, Any]] = {
    "summaries": (GAUSSIAN, FAMILIES["gaussian"]()),
    "rows": (GAUSSIAN, FAMILIES["gaussian"](draws="rows")),
    "symbols": (SOURCES["zipf"](n_symbols=20), FAMILIES["categorical"]()),
    "mixture": (GAUSSIAN, FAMILIES["gmm"](n_components=2)),
    "network": (GAUSSIAN, Toy()),
}


def cohort(kind: str, loop: Loop, *interventions: Any, n: int = 4, seeds: Sequence[int] = (3,)) -> Cohort:
    data, family = KINDS[kind]
    plain = study(data, family, loop, n, seeds=seeds, n_measured=50)
    return Cohort(tuple(replace(t, interventions=tuple(interventions)) for t in plain.trajectories))


def models(ran: Ran) -> dict[tuple[int, str], bytes]:
    return {(t, name): a.tobytes() for t, model in models_of(ran).items() for name, a in model.items()}


def metrics(ran: Ran, *but: str) -> list[dict]:
    added = ("hit_rate", "false_alarm_rate", "synthetic_share", "effective_rows", *but)
    return [row for row in ran.all_rows() if not row["metric"].startswith(added)]


def published(ran: Ran, start: int = 0, stop: int = 40) -> Samples:
    """Samples start..stop of the last generation, as whoever reads them finds them."""
    past = Past(ran.cohort, Ledger(ran.store, ran.cohort), ran.manifests)
    return concatenate(list(past.published(ran.manifests[-1].last).blocks(start, stop)))


@dataclass(frozen=True)
class Scaled:
    """Multiplies what is published, and what enters by weight: an intervention of every kind at once."""

    name: ClassVar[str] = "scaled"
    n_real: ClassVar[int] = 7
    by: float = 0.5
    share: float = 0.5

    is_identity: ClassVar[bool] = False

    def check(self, *_: Any) -> None:
        pass

    def learn_once(self, lesson: Lesson) -> State:
        return {"real": lesson.real(self.n_real).x}

    def publish(self, samples: Samples, generation: int, state: State) -> Samples:
        return replace(samples, x=samples.x * self.by)

    def score(self, samples: Samples, state: State) -> np.ndarray:
        return samples.x[..., 0]

    def observe(self, samples: Samples, generation: int, state: State) -> dict[str, np.ndarray]:
        return {"size": np.abs(samples.x).mean(axis=2)}

    def learn(self, lesson: Lesson) -> State:
        return {"n": np.array(sum(batch.n for batch in lesson.training_set().batches(9)))}

    def admit(self, samples: Samples, state: State) -> Samples:
        return replace(samples, weight=samples.weight * np.float32(2))


# ---- identities

OFF = (Detector(hit_rate=0), Detector(flagged_weight=1))


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_does_nothing_changes_no_byte(kind: str, loop: str) -> None:
    plain, passed = run(cohort(kind, LOOPS[loop])), run(cohort(kind, LOOPS[loop], *OFF))
    assert plain.cohort.id != passed.cohort.id, "another study all the same"
    assert models(plain) == models(passed)
    assert plain.all_rows() == passed.all_rows()
    assert published(plain).x.tobytes() == published(passed).x.tobytes()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_detector_makes_it_the_real_only_loop(kind: str, loop: str) -> None:
    """The same models and samples as of the loop that has no synthetic rows, to the byte."""
    mixed = LOOPS[loop]
    # As many rows stay of each D^t, so that both publish as many samples.
    real = replace(mixed, n_synthetic=0, memory=1, accumulate=False)
    guarded, alone = run(cohort(kind, mixed, Detector())), run(cohort(kind, real))
    # Of cheap families the ledger keeps the models that are needed again; metrics tell of all, to the last digit.
    assert models(alone).items() <= models(guarded).items()
    assert kind != "network" or len(models(alone)) >= 4
    assert metrics(guarded) == alone.all_rows()
    assert (metric_table(guarded, "synthetic_share") == 0).all()


def test_equal_weights_change_nothing() -> None:
    loop = LOOPS["fresh"]
    plain, doubled = run(cohort("network", loop)), run(cohort("network", loop, Weighing()))
    assert models(plain) == models(doubled)


@dataclass(frozen=True)
class Weighing:
    """Every row counts twice."""

    name: ClassVar[str] = "weighing"
    n_real: ClassVar[int] = 0
    is_identity: ClassVar[bool] = False
    factor: float = 2.0

    def learn(self, lesson: Lesson) -> State:
        return no_state(lesson)

    def admit(self, samples: Samples, state: State) -> Samples:
        return replace(samples, weight=samples.weight * np.float32(self.factor))


def test_nothing_left_is_one_clear_failure() -> None:
    loop = Loop(n_initial=20, n_synthetic=20)
    for kind in KINDS:
        with pytest.raises(TrajectoryFailed, match="the interventions dropped them all"):
            run(cohort(kind, loop, Detector()))


# ---- rates


@pytest.mark.parametrize("kind", ["summaries", "rows", "mixture"])
def test_rates_are_as_set(kind: str) -> None:
    """Hits and false alarms of all generations within the 99.9 % interval of their binomials."""
    loop, n = Loop(n_initial=400, n_fresh=300, n_synthetic=500), 12
    ran = run(cohort(kind, loop, Detector(hit_rate=0.7, false_alarm_rate=0.1), n=n))
    hits = metric_table_of(ran, "hit_rate")[0, 1:] * 500
    alarms = metric_table_of(ran, "false_alarm_rate")[0] * np.array([400, *[300] * (n - 1)])
    assert_binomial(hits.sum(), 500 * (n - 1), 0.7)
    assert_binomial(alarms.sum(), 400 + 300 * (n - 1), 0.1)


def metric_table_of(ran: Ran, metric: str) -> np.ndarray:
    """NaN where there is none: no row of G^1 can be a hit."""
    rows = [row for row in ran.all_rows() if row["metric"] == metric]
    return np.array([[np.nan if row["value"] is None else row["value"] for row in rows]])


def assert_binomial(found: float, n: int, p: float) -> None:
    low, high = stats.binom.interval(0.999, n, p)
    assert low <= found <= high


def test_dropping_at_random_changes_nothing_in_expectation() -> None:
    """A Gaussian's mean and covariance after one generation, over 400 seeds: with half the rows, the same on average.

    And their spread is that of half as many rows.
    """
    loop, seeds = Loop(n_initial=50, n_fixed=50, n_synthetic=150), range(400)
    whole = run(cohort("rows", loop, seeds=seeds, n=2))
    halved = run(cohort("rows", loop, Detector(hit_rate=0.5, false_alarm_rate=0.5), seeds=seeds, n=2))
    fewer = run(cohort("rows", Loop(n_initial=25, n_fixed=25, n_synthetic=75), seeds=range(1000, 1400), n=2))
    mean, root = ({k: models_of(ran)[2][k] for k in ("mean", "root")} for ran in (whole, halved))
    for name in ("mean", "root"):
        difference = root[name] - mean[name]
        z = difference.mean(axis=0) / np.maximum(difference.std(axis=0) / np.sqrt(400), 1e-300)
        assert np.abs(z).max() < 4 or name == "root", name
    trace = [np.square(models_of(ran)[2]["root"]).sum(axis=(1, 2)) for ran in (whole, halved, fewer)]
    assert abs(trace[0].mean() - trace[1].mean()) < 4 * np.hypot(*(t.std() / 20 for t in trace[:2]))
    assert stats.ks_2samp(trace[1], trace[2]).pvalue > 1e-3


def test_thinned_summaries_are_thinned_rows_in_law() -> None:
    detector = Detector(hit_rate=0.6, false_alarm_rate=0.2)
    found = {
        kind: [
            float(np.square(models_of(run(cohort(kind, LOOPS["fresh"], detector, seeds=[s], n=3)))[3]["root"]).sum())
            for s in range(150)
        ]
        for kind in ("summaries", "rows")
    }
    assert stats.ks_2samp(found["summaries"], found["rows"]).pvalue > 1e-3


def test_a_flagged_row_is_flagged_wherever_it_returns() -> None:
    """Fixed real rows: the same ones are let in, generation after generation."""
    loop = Loop(n_initial=80, n_fixed=80, n_synthetic=1)
    ran = run(cohort("rows", loop, Detector(hit_rate=1, false_alarm_rate=0.5), n=4, seeds=[1, 2]))
    assert len(set(map(tuple, metric_table(ran, "effective_rows").T))) == 1
    by_seed = metric_table(ran, "effective_rows")[:, 0]
    assert by_seed[0] != by_seed[1], "seeds throw their own dice"


# ---- order, addresses, states


@pytest.mark.parametrize("kind", ["rows", "network"])
def test_what_is_published_is_marked_and_chosen_whoever_reads_it(kind: str) -> None:
    """D^2 holds what G^1 published; a sample is the same bytes whichever are read with it; and it is the best half."""
    loop = Loop(n_initial=60, n_fresh=30, n_synthetic=40)
    ran, plain = run(cohort(kind, loop, Scaled(), n=2)), run(cohort(kind, loop, n=2))
    whole = published(ran)
    parts = [published(ran, i, i + 8) for i in range(0, 40, 8)]
    assert concatenate(parts).x.tobytes() == whole.x.tobytes()
    unchosen, spread = published(plain).x[..., 0], published(plain).x[..., 0].std()
    assert (whole.x[..., 0] / 0.5).mean() > unchosen.mean() + 0.3 * spread


def test_states_are_learnt_once_and_read_by_whoever_needs_them() -> None:
    loop = Loop(n_initial=60, n_fresh=30, n_synthetic=40)
    ran = run(cohort("network", loop, Scaled(), n=2))
    kept = [entry.key for entry in ran.store.list("interventions/")]
    assert len([key for key in kept if key.endswith("state.json")]) == 1
    again = run(ran.cohort, ran.store)
    assert again.contents == ran.contents


def test_retired_samples_are_drawn_again_marks_and_choice_included() -> None:
    ran = run(cohort("network", Loop(n_initial=60, n_fresh=30, n_synthetic=40), Scaled(), n=2))
    manifest = ran.manifests[0]
    redraw = Redraw(ran.store, KINDS["network"][1], manifest, (Scaled(),))
    for shard in manifest.shards:
        assert digest_bytes(redraw.shard(shard)) == shard.blob.sha256
    with pytest.raises(TrajectoryFailed, match="does not draw the same bytes"):
        replace(redraw, interventions=()).shard(manifest.shards[0])


def test_strength_is_measured_before_and_after_marking() -> None:
    loop = Loop(n_initial=60, n_fresh=30, n_synthetic=40)
    ran = run(cohort("rows", loop, Scaled(by=0.5, share=1.0), n=3))
    before, after = metric_table(ran, "size_before"), metric_table(ran, "size_after")
    np.testing.assert_allclose(after, before / 2, rtol=1e-12)
    assert np.isfinite(metric_table(ran, "frechet_before")).all()


def test_the_event_reaches_lessons() -> None:
    """And real rows that no D^t holds: of finite data the last of each trajectory's order."""
    seen: list[tuple[Event, int, np.ndarray]] = []

    @dataclass(frozen=True)
    class Looking(Weighing):
        looks_back: ClassVar[bool] = True

        def learn(self, lesson: Lesson) -> State:
            known = lesson.synthetic(10)
            seen.append((lesson.event, lesson.generation, np.array(known.n if known else 0)))
            assert lesson.real(5).x.shape == (1, 5, 3)
            return {}

    run(cohort("rows", LOOPS["fresh"], Looking(), n=5))
    assert [(g, int(n)) for _, g, n in seen] == [(1, 0), (2, 0), (3, 10), (4, 10), (5, 10)]


# ---- what a loop makes of a mark: closed forms


def marked(loop: Loop, n: int, d: int = 3, n_seeds: int = 64, **mark: Any) -> np.ndarray:
    """mark_z_before, mean over the seeds, by generation."""
    one = Watermark(strength=0.5, n_real=400, **mark)
    plain = study(SOURCES["gaussian"](d=d), FAMILIES["gaussian"](draws="rows"), loop, n, seeds=range(n_seeds))
    ran = run(Cohort(tuple(replace(t, interventions=(one,)) for t in plain.trajectories)))
    return metric_table(ran, "mark_z_before").mean(axis=0)


def test_a_fixed_key_adds_up_generation_after_generation() -> None:
    """Of a fully synthetic Gaussian loop: the mean moves by the mark's strength each time, and stays moved."""
    found = marked(Loop(n_initial=300, n_synthetic=300), 6)
    # The mean walks at random beside it, by 1/sqrt(300) of a standard deviation each generation; so calibrated, too.
    np.testing.assert_allclose(found, 0.5 * np.arange(6), atol=4 * np.sqrt((6 / 300 + 1 / 400) / 64) + 0.05)


def test_with_fresh_data_it_settles_at_the_share_that_feeds_itself() -> None:
    """m = p (m + s), so m = s p/(1 - p); half of D^t synthetic: m = s."""
    found = marked(Loop(n_initial=300, n_fresh=300, n_synthetic=300), 12)
    assert abs(found[8:].mean() - 0.5) < 0.06


def test_a_new_key_each_generation_is_not_learnt() -> None:
    """What older keys have left is a sum of directions nearly orthogonal to the new one."""
    found = marked(Loop(n_initial=300, n_synthetic=300), 6, d=60, n_seeds=16, key="rotating")
    assert np.abs(found[1:]).max() < 0.5 * 5 * 0.3
    assert abs(found[1:].mean()) < 0.25, "a fixed key has 1.5 here"
