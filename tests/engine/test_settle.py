"""Cells: run until settled, committed whole."""

from dataclasses import replace

import pytest

from mad_ray.core.cells import judge_rows
from mad_ray.core.loop import Loop, fresh_data, fully_synthetic
from mad_ray.core.stopping import Limit
from mad_ray.core.trajectory import Cohort
from mad_ray.data import GaussianData
from mad_ray.engine.plan import progress_of
from mad_ray.engine.settle import is_finished
from mad_ray.families import Gaussian
from mad_ray.ledger.ledger import Ledger
from mad_ray.metrics.measure import Metrics
from tests.engine.made_up import Numbered, Ran, Remembering, run, study

LIMIT = Limit(metric="w2_squared", half_width=0.05, drift=0.02)


def cell(loop: Loop, n: int = 1024, limit: Limit = LIMIT, seeds: int = 8) -> Cohort:
    found = study(GaussianData(d=20), Gaussian(), loop, n, seeds=range(seeds))
    metrics = Metrics(names=("w2_squared",), per_octave=8)
    return Cohort(tuple(replace(one, metrics=metrics, until=limit) for one in found.trajectories))


def judged(ran: Ran):
    head = ran.cohort.head
    return judge_rows(ran.all_rows(), ran.cohort.seeds, head.loop, head.until)


def test_a_cell_is_one_commit_that_ends_where_it_settled() -> None:
    ran = run(cell(fresh_data(n_fresh=50, n_synthetic=200)))
    (manifest,) = ran.manifests
    assert manifest.first == 1
    assert manifest.last < 1024
    assert manifest.last & (manifest.last - 1) == 0
    found = judged(ran)
    assert found.state == "settled"
    assert found.n_generations == manifest.last
    assert is_finished(ran.cohort, Ledger(ran.store, ran.cohort))
    assert progress_of(ran.cohort, ran.store).is_finished


def test_its_limit_is_that_of_a_longer_run() -> None:
    loop = fresh_data(n_fresh=50, n_synthetic=200)
    found, longer = judged(run(cell(loop))), judged(run(cell(loop, limit=replace(LIMIT, half_width=0.01, drift=0.003))))
    assert longer.n_generations > found.n_generations
    assert found.low <= longer.mean <= found.high


def test_a_fully_synthetic_loop_never_settles() -> None:
    ran = run(cell(fully_synthetic(n_initial=100), n=256))
    assert ran.manifests[-1].last == 256
    assert judged(ran).state == "drifting"
    assert is_finished(ran.cohort, Ledger(ran.store, ran.cohort)), "it says so, and does not try for ever"


def test_a_stricter_rule_is_another_cell() -> None:
    loop = fresh_data(n_fresh=50, n_synthetic=200)
    assert cell(loop).id != cell(loop, limit=replace(LIMIT, drift=0.01)).id != cell(loop, n=2048).id


@pytest.mark.parametrize("limit", [Limit(metric="frechet", half_width=0.9, drift=0.9, min_generations=8)])
def test_families_that_store_samples_settle_too(limit: Limit) -> None:
    """Generation by generation, each committed; a longer limit goes on where the shorter one ended."""
    short = study(Numbered(), Remembering(), fresh_data(n_fresh=30, n_synthetic=5), 4, seeds=(0, 1))
    short = Cohort(tuple(replace(one, until=limit) for one in short.trajectories))
    ran = run(short)
    assert [m.last for m in ran.manifests] == [1, 2, 3, 4], "too short to be judged, so it runs to its end"
    longer = Cohort(tuple(replace(one, n_generations=32) for one in short.trajectories))
    went_on = run(longer, ran.store)
    assert longer.id == short.id
    assert went_on.manifests[-1].last in (8, 16, 32)
    if went_on.manifests[-1].last < 32:
        assert judged(went_on).state == "settled"
