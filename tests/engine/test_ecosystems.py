"""Models that feed on each other: laws that need no oracle, closed forms of Gaussians, and what a kill leaves."""

from dataclasses import replace

import numpy as np
import pytest

from mad_ray.core.ecosystem import eaters_of
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop, compose, fresh_data, fully_synthetic, synthetic_augmentation
from mad_ray.core.manifest import Manifest
from mad_ray.core.samples import Samples
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.core.values import metric_row
from mad_ray.data import GaussianData
from mad_ray.engine.generation import n_published
from mad_ray.engine.lessons import state_key
from mad_ray.engine.measure import measure_samples, sample_rows
from mad_ray.engine.plan import groups_of, pack_cohorts, plan_cohorts
from mad_ray.engine.redraw import Redraw
from mad_ray.engine.reference import open_reference
from mad_ray.engine.stream import Drawing, TrainingSet
from mad_ray.families import Gaussian
from mad_ray.families.progress import Progress
from mad_ray.interventions.detector import Detector
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.retention import Keep, retire
from mad_ray.ledger.studies import read_failure
from mad_ray.ledger.verify import verify_cohort
from mad_ray.metrics.measure import Metrics
from tests.engine.herds import CHEAP, Herd, herd, look, member, name_of, run_herd
from tests.engine.made_up import Numbered, Remembering, forget, models_of, new_store, run
from tests.engine.test_generation import Crash, Doomed
from tests.families.toy_network import Toy

SMALL = Metrics(n=20, names=("frechet",))
BOTH = Metrics(n=50, names=("frechet", "w2_squared"))
PLAIN = {
    "Gaussian": (GaussianData(d=2), Gaussian(), fully_synthetic(n_initial=30), BOTH, ()),
    "Gaussian, everything": (
        GaussianData(d=2), Gaussian(), Loop(9, n_fixed=4, n_fresh=3, n_synthetic=12, memory=2, bias=0.5), BOTH, ()
    ),
    "Gaussian, growing pool": (
        GaussianData(d=2), Gaussian(), synthetic_augmentation(n_initial=6, accumulate=True), BOTH, ()
    ),
    "Gaussian, thinned": (
        GaussianData(d=2), Gaussian(), fresh_data(n_fresh=40, n_synthetic=60), BOTH, (Detector(0.5, 0.1),)
    ),
    "Gaussian, down-weighted rows": (
        GaussianData(d=2), Gaussian(draws="rows"), fresh_data(n_fresh=40, n_synthetic=60), BOTH,
        (Detector(0.5, 0.1, 0.3),)
    ),
    "network": (Numbered(), Toy(), fresh_data(n_fresh=8, n_synthetic=16, n_initial=24), SMALL, ()),
    "network, thinned": (
        Numbered(), Toy(), fresh_data(n_fresh=8, n_synthetic=16, n_initial=24), SMALL, (Detector(0.6, 0.2),)
    ),
    "remembering": (Numbered(), Remembering(), fresh_data(n_fresh=3, n_synthetic=20, n_initial=9), SMALL, ()),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLAIN)
def test_an_ecosystem_of_one_is_the_plain_loop_to_the_byte(kind: str) -> None:
    data, family, loop, metrics, passed = PLAIN[kind]
    n, seeds = (18 if family.redraw else 3), tuple(range(3))[: family.max_cohort]
    plain = run(Cohort(tuple(Trajectory(data, family, loop, metrics, n, s, interventions=passed) for s in seeds)))
    cohorts = herd(
        [member("A", loop, family=family, interventions=passed, A=1)], n, data=data, metrics=metrics, seeds=seeds
    )
    one = run_herd(cohorts)
    assert one["A"].cohort.id != plain.cohort.id
    assert [(m.first, m.last) for m in one["A"].manifests] == [(m.first, m.last) for m in plain.manifests]
    ours, theirs = models_of(one["A"]), models_of(plain)
    assert {(t, name, x.tobytes()) for t, model in ours.items() for name, x in model.items()} == {
        (t, name, x.tobytes()) for t, model in theirs.items() for name, x in model.items()
    }
    assert one["A"].all_rows() == plain.all_rows()
    assert any(ours.values())
    last = n if family.redraw else 2
    as_plain = Herd(plain.store, {"A": plain}, one.notes, True)
    assert one.samples("A", last, 20).tobytes() == as_plain.samples("A", last, 20).tobytes()


LOOP = fully_synthetic(n_initial=12)
STORING = {
    "A": member("A", LOOP, family=Toy(), A=0.5, B=0.5),
    "B": member("B", fresh_data(n_fresh=4, n_synthetic=8, n_initial=12), family=Toy(n_steps=9), A=0.25, B=0.75),
}
MIXED = (
    member("A", LOOP, family=Toy(), pool=1),
    member("B", replace(LOOP, bias=0.7), family=Gaussian(), A=0.5, B=0.5),
    member("C", fully_synthetic(n_initial=10, memory=2), family=Remembering(), enters=2, lag=2, A=0.3, pool=0.7),
)


def storing(n: int = 3, order: str = "AB", pool: bool = True) -> list[Cohort]:
    return herd([STORING[name] for name in order], n, data=Numbered(), metrics=SMALL, pool=pool)


def mixed(n: int = 4) -> list[Cohort]:
    return herd(MIXED, n, data=Numbered(), metrics=SMALL, pool=True)


@pytest.mark.parametrize("make", [storing, mixed])
def test_members_go_in_step_and_the_pool_comes_last(make) -> None:
    found = run_herd(make(4))
    assert found.is_done
    enters = {name: one.cohort.head.enters for name, one in found.ran.items()}
    names = {one.cohort.id: name for name, one in found.ran.items()}
    times = [
        (commit.last + enters[names[cohort]] - 1, names[cohort] == "pool") for cohort, commit in found.notes.commits
    ]
    assert times == sorted(times)
    assert {name: one.manifests[-1].last for name, one in found.ran.items()} == {
        name: 5 - at for name, at in enters.items()
    }
    for one in found.ran.values():
        assert [(m.first, m.last) for m in one.manifests] == [(t, t) for t in range(1, one.cohort.n_generations + 1)]
        assert all(m.training == one.cohort.head.training(m.last) for m in one.manifests)
        assert list(verify_cohort(found.store, one.cohort.id)) == []
        for manifest in one.manifests:
            eaten = {part.member for part in manifest.training if part.member} - {name_of(one.cohort)}
            assert {names[cohort] for cohort in manifest.eaten} >= eaten


@pytest.mark.parametrize("order", ["AB", "BA"])
def test_the_order_of_members_changes_no_byte(order: str) -> None:
    assert run_herd(storing(order=order)).digests == run_herd(storing()).digests


def test_a_training_set_holds_the_rows_that_others_published() -> None:
    """Remembering's model is D^t itself, and every row says by its noise whose it is."""
    loop = fully_synthetic(n_initial=6, n_synthetic=10)
    a, b = (member(name, loop, family=Remembering(), A=0.3, B=0.7) for name in "AB")
    found = run_herd(herd([a, b], 3, data=Numbered(), metrics=SMALL))
    for name in "AB":
        whole = models_of(found[name])[3]["x"][0]
        rows = [
            found.samples(part.member or name, part.generation, 20)[0, part.start : part.stop]
            for part in found[name].cohort.head.training(3)
        ]
        assert whole.tobytes() == np.concatenate(rows).tobytes()
    assert not np.array_equal(found.samples("A", 1, 5), found.samples("B", 1, 5))


def test_members_that_eat_only_themselves_are_independent_plain_loops() -> None:
    """The same loop under streams of their own: made again by hand, two generations agree to the byte."""
    loop, seeds = fully_synthetic(n_initial=30), (3, 5)
    found = run_herd(herd([member("A", loop), member("B", loop)], 3, seeds=seeds))
    family, data = Gaussian(), GaussianData(d=2)
    for name in "AB":
        keys = Keys(seeds).at("member", name)
        first = TrainingSet(data, keys.at("real"), compose(loop, 1), {}, Drawing(compose(loop, 1)))
        ours = family.fit(first, keys.at("fit", 1), Progress(lambda share: None))
        rows = family.sample(ours, 0, 30, 1.0, keys.at("sample", 1)).x
        theirs = models_of(found[name])
        assert theirs[1]["mean"].tobytes() == ours["mean"].tobytes()
        assert rows.tobytes() == found.samples(name, 1, 30).tobytes()
        drawn = family.draw(theirs[1], 0, 30, 1.0, keys.at("sample", 1))
        assert theirs[2]["mean"].tobytes() == drawn.mean.tobytes()
    many = run_herd(herd([member("A", loop), member("B", loop)], 4, seeds=range(64)))
    a, b = (np.log(many.table(name)[:, -1]) for name in "AB")
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(64)


def pair(eats_a: dict, eats_b: dict, n: int, n_seeds: int, d: int = 1, rows: int = 100, **of_b) -> list[Herd]:
    """A and B on as many seeds, 64 at a time."""
    loop, data = fully_synthetic(n_initial=rows), GaussianData(d=d)
    of_b = {"loop": loop, **of_b}
    members = [member("A", loop, **eats_a), member("B", of_b.pop("loop"), **of_b, **eats_b)]
    starts = range(0, n_seeds, 64)
    return [run_herd(herd(members, n, data=data, seeds=range(s, min(s + 64, n_seeds)))) for s in starts]


def joined(herds: list[Herd], name: str, what: str) -> np.ndarray:
    """[generation, seed, ...] over all cohorts."""
    return np.concatenate([one.models(name, what) for one in herds], axis=1)


def exchange_p(a: np.ndarray, b: np.ndarray) -> float:
    """p of: (a, b) is distributed as (b, a), pair by pair; a permutation test on the differences of mean and spread."""
    generator = np.random.default_rng(0)
    signs = generator.choice([-1, 1], size=(4000, len(a)))
    # Under a swap the difference changes its sign, and so does that of the squares about their common mean.
    centre = np.mean([a, b])
    found = []
    for difference in (a - b, (a - centre) ** 2 - (b - centre) ** 2):
        swapped = np.abs((signs * difference).mean(axis=1))
        found.append((1 + (swapped >= abs(difference.mean())).sum()) / (1 + len(signs)))
    return 2 * min(found)


@pytest.mark.parametrize(("eats_a", "eats_b"), [({"B": 1}, {"A": 1}), ({"A": 0.7, "B": 0.3}, {"A": 0.3, "B": 0.7})])
def test_two_equal_members_are_exchangeable(eats_a: dict, eats_b: dict) -> None:
    herds = pair(eats_a, eats_b, 5, 200, d=2, rows=31)
    w2 = [np.log(np.concatenate([one.table(name) for one in herds])[:, -1]) for name in "AB"]
    assert exchange_p(*w2) > 0.001


def test_unequal_members_are_not() -> None:
    """The test above can fail: with lambda = 0.5 for one of them it does."""
    herds = pair(
        {"A": 0.7, "B": 0.3}, {"A": 0.3, "B": 0.7}, 5, 200, rows=31, loop=fully_synthetic(n_initial=31, bias=0.5)
    )
    w2 = [np.log(np.concatenate([one.table(name) for one in herds])[:, -1]) for name in "AB"]
    assert exchange_p(*w2) < 0.01


def test_means_move_by_the_mixing_matrix() -> None:
    """E[mu_A^t | all of t - 1] = sum_j M_Aj mu_j, with variance sum_j M_Aj lambda_j sigma_j^2 / n (rows by shares)."""
    mixing, rows, n, lam = {"A": (0.8, 0.2), "B": (0.3, 0.7)}, 50, 6, {"A": 1.0, "B": 0.9}
    herds = pair(
        *({"A": m[0], "B": m[1]} for m in mixing.values()),
        n,
        256,
        rows=rows,
        loop=fully_synthetic(n_initial=rows, bias=lam["B"]),
    )
    mean = {name: joined(herds, name, "mean")[..., 0] for name in "AB"}
    variance = {name: joined(herds, name, "root")[..., 0, 0] ** 2 for name in "AB"}
    for name, (of_a, of_b) in mixing.items():
        expected = of_a * mean["A"][:-1] + of_b * mean["B"][:-1]
        spread = (of_a * lam["A"] * variance["A"][:-1] + of_b * lam["B"] * variance["B"][:-1]) / rows
        z = (mean[name][1:] - expected) / np.sqrt(spread)
        assert abs(z.mean()) * np.sqrt(z.size) < 4
        # Their squares have variance 2.
        assert abs((z**2).mean() - 1) * np.sqrt(z.size / 2) < 4
        for other in "AB":
            slope = (z * mean[other][:-1]).mean() / mean[other][:-1].std()
            assert abs(slope) * np.sqrt(z.size) < 4, "nothing of what they were is left unexplained"
    residues = [mean[name][1:] - m[0] * mean["A"][:-1] - m[1] * mean["B"][:-1] for name, m in mixing.items()]
    assert abs(np.corrcoef(*(r.ravel() for r in residues))[0, 1]) * np.sqrt(residues[0].size) < 4


def test_the_variance_of_their_difference_is_the_closed_form() -> None:
    """delta = mu_A - mu_B: v_t = a^2 v_{t-1} + (s_A + s_B)/n, a the second eigenvalue of M; no consensus is exact.

    The variance of a mixture is kept in expectation up to the spread between its parts, which is of the order of 1/n.
    """
    rows, n, n_seeds = 200, 6, 512
    herds = pair({"A": 0.75, "B": 0.25}, {"A": 0.25, "B": 0.75}, n, n_seeds, rows=rows)
    delta = joined(herds, "A", "mean")[..., 0] - joined(herds, "B", "mean")[..., 0]
    v = 2 / rows
    for t in range(n):
        z = ((delta[t] ** 2).mean() / v - 1) * np.sqrt(n_seeds / 2)
        assert abs(z) < 4, f"generation {t + 1}"
        v = 0.5**2 * v + 2 / rows
    assert v < 1.34 * 2 / rows, "alone they would have come to 7 times the first"


def test_from_how_far_back_is_respected() -> None:
    """With lag 3 the rows are those of three generations before, and the oldest until there are any."""
    a, b = (member(name, LOOP, lag=lag, **{eaten: 1}) for name, eaten, lag in (("A", "B", 3), ("B", "A", 1)))
    found = run_herd(herd([a, b], 6))
    assert [m.training[0].generation for m in found["A"].manifests] == [0, 1, 1, 1, 2, 3]
    assert [m.training[0].generation for m in found["B"].manifests] == [0, 1, 2, 3, 4, 5]
    of_b = [m.digest for m in found["B"].manifests]
    assert [list(m.eaten.values()) for m in found["A"].manifests] == [[], *([of_b[g - 1]] for g in (1, 1, 1, 2, 3))]
    means = found.models("A", "mean")
    assert means[1].tobytes() == means[2].tobytes() == means[3].tobytes(), "the same rows again"
    assert means[3].tobytes() != means[4].tobytes()


def test_a_member_alone_may_eat_its_own_past() -> None:
    slow, plain = run_herd(herd([member("A", LOOP, lag=2)], 5)), run_herd(herd([member("A", LOOP)], 2))
    # The streams are the plain loop's, and so are D^1 and D^2.
    assert slow.table("A")[:, :2].tobytes() == plain.table("A").tobytes()
    assert [m.training[0].generation for m in slow["A"].manifests] == [0, 1, 1, 2, 3]
    assert all(m.eaten == {} for m in slow["A"].manifests)


def test_a_late_entrant_begins_with_samples_of_others() -> None:
    found = run_herd(mixed(5))
    late = models_of(found["C"])
    assert (late[1]["x"].shape[1], late[2]["x"].shape[1]) == (10, 10)
    parts = found["C"].manifests[0].training
    assert all(part.generation == 1 and part.member in "AB" for part in parts)
    rows = [found.samples(part.member, 1, 20)[0, part.start : part.stop] for part in parts]
    assert late[1]["x"][0].tobytes() == np.concatenate(rows).tobytes(), "no real row is among them"


def test_the_pool_is_measured_on_what_all_published() -> None:
    found = run_herd(mixed(4))
    pool = found["pool"]
    reference = open_reference(found.store, Numbered(), SMALL)
    for t in (1, 2, 4):
        there = [name for name in "ABC" if found[name].cohort.head.enters <= t]
        ends = np.floor(20 * np.arange(len(there) + 1) / len(there) + 0.5).astype(int)
        rows = [
            found.samples(name, t - found[name].cohort.head.enters + 1, 20)[:, : ends[i + 1] - ends[i]]
            for i, name in enumerate(there)
        ]
        measured = measure_samples(Samples.of(np.concatenate(rows, axis=1)), reference, SMALL)
        expected = sample_rows(pool.cohort, t, measured, reference)
        assert [row for row in pool.all_rows() if row["generation"] == t] == expected
    assert all(m.shards == () and m.n_published == 0 for m in pool.manifests)
    assert expected == [metric_row(4, 0, "frechet", 1.0, expected[0]["value"])]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_operation_and_run_again_it_ends_the_same(after: bool) -> None:
    cheap = replace(MIXED[0], family=Remembering()), *MIXED[1:]
    cohorts = herd(cheap, 3, data=Numbered(), metrics=SMALL, pool=True)
    expected, k, ahead = run_herd(cohorts).digests, int(after), 0
    while True:
        # Every other operation of the first generations, and then some.
        k += 2 if k < 40 else 6
        forget()
        store = new_store()
        try:
            run_herd(cohorts, Doomed(store, k, after), read=store)
        except Crash:
            pass
        else:
            break
        forget()
        committed = {name: one.manifests for name, one in look(cohorts, store).items()}
        assert all([m.digest for m in of] == expected[name][: len(of)] for name, of in committed.items())
        ahead += len({len(committed[name]) for name in "AB"}) > 1
        assert run_herd(cohorts, store).digests == expected
    assert k > 60
    assert ahead > 5, "some were killed between two members"


def test_a_longer_run_continues_the_ledgers() -> None:
    store = new_store()
    short = run_herd(mixed(2), store).digests
    long = run_herd(mixed(4), store).digests
    assert long == run_herd(mixed(4)).digests
    assert all(long[name][: len(of)] == of for name, of in short.items())


def test_verify_finds_the_swapped_ledger_of_another_member() -> None:
    """B's ledger made anew from other results is whole by itself; that A was made from another one shows."""
    found = run_herd(herd([member("A", LOOP, A=0.5, B=0.5), member("B", LOOP)], 3, pool=True, metrics=BOTH))
    a, b, store = found["A"], found["B"], found.store
    parent = ""
    for manifest in b.manifests:
        forged = replace(manifest, n_published=manifest.n_published + 1, parent=parent)
        store.put(b.cohort.manifest_key(manifest.first), forged.to_json())
        parent = Manifest.from_json(forged.to_json(), "").digest
    assert list(verify_cohort(store, b.cohort.id)) == []
    bad = list(verify_cohort(store, a.cohort.id))
    assert [finding.key for finding in bad] == [a.cohort.manifest_key(t) for t in (2, 3)]
    assert all(b.cohort.id in finding.problem and "restore that ledger" in finding.problem for finding in bad)
    assert len(list(verify_cohort(store, found["pool"].cohort.id))) == 3
    for manifest in b.manifests:
        store.delete(b.cohort.manifest_key(manifest.first))
    assert len(list(verify_cohort(store, a.cohort.id))) == 2, "nor may it be gone"


def test_manifests_of_plain_loops_say_nothing_of_others() -> None:
    ran = run(Cohort((Trajectory(GaussianData(), Gaussian(), LOOP, CHEAP, 2, 0),)))
    for content in ran.contents:
        assert "eaten" not in content
        assert all("member" not in part for part in content["training"])
    found = run_herd(storing(2))["A"].manifests[1].content()
    assert [part.get("member") for part in found["training"]] == [None, "B"]
    assert len(found["eaten"]) == 1


def test_who_fails_stops_the_others_and_says_so() -> None:
    loop = fully_synthetic(n_initial=9)
    good, bad = member("A", loop, family=Remembering(), A=0.5, B=0.5), member("B", loop, family=Remembering(fails_at=2))
    cohorts = herd([good, bad], 4, data=Numbered(), metrics=SMALL, pool=True)
    found = run_herd(cohorts)
    assert not found.is_done
    reason = "ValueError: the numbers ran out"
    told = {name_of(cohort): read_failure(found.store, "s", cohort.id) for cohort in cohorts}
    assert told == {
        "A": f"generation 3: stopped with member B at its generation 2: {reason}",
        "B": f"generation 2: {reason}",
        "pool": f"generation 2: stopped with member B at its generation 2: {reason}",
    }
    assert {name: len(one.manifests) for name, one in found.ran.items()} == {"A": 2, "B": 1, "pool": 1}
    assert {cohort for cohort, _, _ in found.notes.failures} == {cohort.id for cohort in cohorts}


def test_each_member_has_its_own_interventions() -> None:
    """A perfect detector of one makes it the real-only loop, whoever it would eat; the other goes on eating."""
    loop = fresh_data(n_fresh=40, n_synthetic=40, n_initial=40)
    clean = member("A", loop, interventions=(Detector(),), pool=1)
    found = run_herd(herd([clean, member("B", loop, pool=1)], 4, metrics=BOTH, seeds=(0, 1)))
    assert (found.table("A", "synthetic_share") == 0).all()
    hits = [row["value"] for row in found["A"].all_rows() if row["metric"] == "hit_rate" and row["generation"] > 1]
    assert hits == [1.0] * 6
    assert not any(row["metric"] == "hit_rate" for row in found["B"].all_rows())
    real = run_herd(
        herd(
            [member("A", fresh_data(n_fresh=40, n_synthetic=0, n_initial=40)), member("B", loop, pool=1)],
            4,
            seeds=(0, 1),
        )
    )
    assert found.models("A", "mean").tobytes() == real.models("A", "mean").tobytes()


def test_a_dice_is_thrown_anew_for_every_members_rows() -> None:
    loop = fully_synthetic(n_initial=400)
    noisy = Detector(0.5, 0.5)
    rows = Gaussian(draws="rows")
    members = [member(name, loop, family=rows, interventions=(noisy,), A=0.5, B=0.5) for name in "AB"]
    found = run_herd(herd(members, 3, metrics=BOTH))
    kept = {name: found.table(name, "effective_rows")[0] for name in "AB"}
    assert (kept["A"] != kept["B"]).any()
    assert all(abs(of[1:] - 200).max() < 4 * 10 for of in kept.values())


def test_who_is_not_eaten_by_itself_keeps_its_models_for_others() -> None:
    """A real-only loop needs none of them; the others do."""
    teacher = member("A", Loop(n_initial=20, n_fixed=20))
    found = run_herd(herd([teacher, member("B", LOOP, A=1, lag=2)], 5))
    assert found.is_done
    assert all(models_of(found["A"]).values())


def test_retired_samples_of_others_are_those_that_nobody_needs() -> None:
    lagged = member("A", LOOP, family=Toy(), B=1, lag=3)
    cohorts = herd([lagged, member("B", LOOP, family=Toy(), A=1)], 6, data=Numbered(), metrics=SMALL)
    expected = run_herd(cohorts).digests
    store = new_store()
    for n in range(1, 7):
        short = herd([lagged, member("B", LOOP, family=Toy(), A=1)], n, data=Numbered(), metrics=SMALL)
        run_herd(short, store)
        for cohort in short:
            retire(store, cohort.id, cohort.head.loop, n, Keep(), eaters=eaters_of(cohort.identity))
    assert look(cohorts, store)["A"].manifests[-1].digest == expected["A"][-1]
    shards = {name: len([e for e in store.list(f"cohorts/{one.cohort.id}/") if e.key.endswith(".parquet")])
              for name, one in look(cohorts, store).items()}  # fmt: skip
    # Toy's chunks of 16 and n = 20 samples: one shard a generation. B's are kept for three more.
    assert shards == {"A": 2, "B": 4}
    assert all(list(verify_cohort(store, cohort.id)) == [] for cohort in cohorts)


def test_a_members_sample_is_drawn_again_to_the_byte() -> None:
    found = run_herd(storing())
    for name in "AB":
        one = found[name]
        manifest = one.manifests[1]
        redraw = Redraw(found.store, one.cohort.head.family, manifest)
        assert redraw.shard(manifest.shards[0]) == Ledger(found.store, one.cohort).read_blob(
            manifest, manifest.shards[0].blob
        )


def test_members_share_a_trial_and_the_width_of_the_narrowest() -> None:
    members = [member("A", LOOP, family=Remembering(), pool=1), member("B", LOOP, family=Toy(), pool=1)]
    two = herd(members, 3, data=Numbered(), metrics=SMALL, seeds=(0, 1), pool=True)
    planned = plan_cohorts([replace(t, case=name_of(cohort)) for cohort in two for t in cohort.trajectories])
    assert [(name_of(c), c.seeds) for c in planned] == [(name, (s,)) for name in ("A", "B", "pool") for s in (0, 1)]
    packs = pack_cohorts(planned, 4)
    assert [sorted(map(name_of, pack)) for pack in packs] == [["A", "B", "pool"]] * 2
    assert all(len({cohort.seeds for cohort in pack}) == 1 for pack in packs)
    cheap = herd([member("A", LOOP, pool=1), member("B", LOOP)], 3, seeds=(0, 1), pool=False)
    other = herd([member("A", LOOP, B=1), member("B", LOOP)], 3, seeds=(0, 1))
    (pack,) = pack_cohorts([*cheap, *other], 1)
    assert sorted(map(len, groups_of(pack))) == [2, 2]


def test_enough_is_published_for_all_who_eat() -> None:
    parent = member("A", fully_synthetic(n_initial=5, n_synthetic=5))
    children = [member(name, fully_synthetic(n_initial=30), A=1) for name in "BCD"]
    cohorts = {name_of(c): c for c in herd([parent, *children], 3, metrics=Metrics(n=20, names=("frechet",)))}
    assert {name: n_published(cohort) for name, cohort in cohorts.items()} == {"A": 95, "B": 20, "C": 20, "D": 20}


def test_what_is_learnt_once_lies_under_each_members_name() -> None:
    """It is learnt from real rows of the member's own order."""
    one = Detector()
    keys = [Keys((0,)), Keys((0,)).at("member", "A"), Keys((0,)).at("member", "B")]
    assert len({state_key({"name": "digits"}, one, key, 0) for key in keys}) == 3
