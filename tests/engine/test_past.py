"""What a span keeps is what later spans need: stopping between spans changes no bit."""

from dataclasses import replace

import numpy as np
import pytest

from mad_ray.core.errors import Corrupt
from mad_ray.core.loop import Loop, fresh_data, fully_synthetic, synthetic_augmentation
from mad_ray.core.trajectory import Cohort
from mad_ray.data import GaussianData, Zipf
from mad_ray.engine import generation
from mad_ray.engine.past import Past
from mad_ray.families import Categorical, Gaussian
from mad_ray.ledger.ledger import Ledger
from mad_ray.metrics.measure import Metrics
from tests.engine.made_up import Ran, models_of, run, study

LOOPS = {
    "fully synthetic": fully_synthetic(n_initial=9, n_synthetic=21),
    "memory": fresh_data(n_fresh=3, n_synthetic=17, memory=5),
    "memory beyond a span": fresh_data(n_fresh=3, n_synthetic=60, memory=20),
    "growing pool": synthetic_augmentation(n_initial=6, n_synthetic=7, accumulate=True),
    "everything": Loop(n_initial=9, n_fixed=4, n_fresh=3, n_synthetic=12, memory=2, bias=0.5),
    "real only": Loop(n_initial=9, n_fixed=4, n_fresh=3),
}
KINDS = {
    "Gaussian, moments": (GaussianData(d=2), Gaussian(), ("w2_squared",)),
    "Gaussian, rows": (GaussianData(d=2), Gaussian(draws="rows"), ("w2_squared",)),
    "categorical, counts": (Zipf(n_symbols=12), Categorical(), ("support", "entropy")),
}
N = 40


def cohort(kind: str, loop: Loop, n: int = N, seeds: tuple[int, ...] = (3, 5)) -> Cohort:
    data, family, names = KINDS[kind]
    found = study(data, family, loop, n, seeds=seeds)
    return Cohort(tuple(replace(one, metrics=Metrics(names=names)) for one in found.trajectories))


def values(ran: Ran) -> list[dict]:
    return sorted(ran.all_rows(), key=lambda row: (row["metric"], row["generation"], row["seed"]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loop", LOOPS)
def test_spans_that_are_read_back_go_on_with_the_same_bits(
    kind: str, loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_spans = run(cohort(kind, LOOPS[loop]))
    assert [(m.first, m.last) for m in in_spans.manifests] == [(1, 16), (17, 32), (33, 40)]
    monkeypatch.setattr(generation, "FIRST_SPAN", 64)
    at_once = run(cohort(kind, LOOPS[loop]))
    assert [(m.first, m.last) for m in at_once.manifests] == [(1, 40)]
    assert values(in_spans) == values(at_once)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_trajectory_alone_draws_what_it_draws_in_a_cohort(loop: str) -> None:
    together = values(run(cohort("Gaussian, moments", LOOPS[loop], seeds=(3, 5, 8))))
    alone = values(run(cohort("Gaussian, moments", LOOPS[loop], seeds=(5,))))
    assert [row for row in together if row["seed"] == 5] == alone


def test_only_what_later_generations_need_is_kept() -> None:
    kept = {name: models_of(run(cohort("Gaussian, moments", loop))) for name, loop in LOOPS.items()}
    generations = {name: {t for t, model in models.items() if model} for name, models in kept.items()}
    assert generations["fully synthetic"] == {16, 32, 40}
    assert generations["memory"] == {*range(12, 17), *range(28, 33), *range(36, 41)}
    assert generations["growing pool"] == {16, 32, 40}, "of the others the pool is kept, merged"
    assert generations["real only"] == set()
    rows = models_of(run(cohort("Gaussian, rows", LOOPS["growing pool"])))
    assert all(rows[t] for t in range(1, N + 1)), "rows can be drawn again from models only"


def test_a_pool_costs_the_same_in_every_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each generation is drawn once, and not again in all that follow."""
    drawn: list[int] = []
    draw = Gaussian.draw

    def counted(self, model, start, stop, bias, keys):
        drawn.append(keys.path[-1])
        return draw(self, model, start, stop, bias, keys)

    monkeypatch.setattr(Gaussian, "draw", counted)
    run(cohort("Gaussian, moments", LOOPS["growing pool"], n=12))
    assert drawn == list(range(1, 12))


def test_an_accumulating_loop_of_a_gaussian_does_not_collapse() -> None:
    """FIELD's law 2 with the unbiased covariance: E[Sigma_t] = Sigma_0, and its spread stays bounded."""
    loop = synthetic_augmentation(n_initial=30, n_fixed=0, n_synthetic=30, accumulate=True)
    data = GaussianData(d=1)
    found = study(data, Gaussian(), loop, 200, seeds=range(60))
    metrics = Metrics(names=("trace_ratio",))
    ran = run(Cohort(tuple(replace(one, metrics=metrics) for one in found.trajectories)))
    last = [row["value"] for row in ran.all_rows() if row["generation"] == 200]
    z = (np.mean(last) - 1) / (np.std(last, ddof=1) / np.sqrt(len(last)))
    assert abs(z) < 4
    assert np.median(last) > 0.5, "replaced instead of kept, the median would be near exp(-200/60) = 0.04"


def test_a_missing_model_is_damage_and_not_a_guess() -> None:
    ran = run(cohort("Gaussian, moments", LOOPS["memory"]))
    past = Past(ran.cohort, Ledger(ran.store, ran.cohort), ran.manifests)
    del past.models[38]
    with pytest.raises(Corrupt, match="has no model of generation 38"):
        past.training_set(41)
