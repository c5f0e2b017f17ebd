"""What a mixture loses in a fully synthetic loop: modes by drift, one after another, and variance within components.

The paper's figures 14 and 15, in small. Seeds are fixed, so nothing here fails by chance.
"""

import numpy as np
import pytest

from mad_ray.data.analytic import GaussianData
from mad_ray.data.modes import Modes
from mad_ray.families.gmm import Gmm
from mad_ray.metrics.modes import MODE_METRICS, mode_metrics
from tests.families.in_memory import fully_synthetic_loop

MAX_Z = 4.0


@pytest.fixture(scope="module")
def course() -> dict[str, np.ndarray]:
    """[generation 1, 10, 50, 200; 8 seeds] of 25 modes, 250 samples a generation; of the model, and of its samples."""
    family, data = Gmm(), Modes()
    law, found = data.law(), []
    for t, model, x in fully_synthetic_loop(family, data, 250, 200, tuple(range(8))):
        if t in (1, 10, 50, 200):
            of_samples = [mode_metrics(rows, law, MODE_METRICS) for rows in x]
            found.append(
                family.measure(model, law, family.measures)
                | {name: np.array([one[name] for one in of_samples]) for name in MODE_METRICS}
            )
    return {name: np.array([at[name] for at in found]) for name in found[0]}


@pytest.mark.parametrize("name", ["modes_alive", "sample_modes_alive"])
def test_modes_die_one_after_another(course: dict[str, np.ndarray], name: str) -> None:
    alive = course[name]
    assert (alive[0] >= 22).all()
    assert (np.diff(alive.mean(axis=1)) < 0).all()
    assert (alive[-1] <= 6).all()


def test_modes_shrink(course: dict[str, np.ndarray]) -> None:
    assert (np.diff(course["modal_variance"], axis=0) < 0).all()
    assert (course["modal_variance"][-1] < 1e-4 * course["modal_variance"][0]).all()


def test_total_variance_hardly_shows_it(course: dict[str, np.ndarray]) -> None:
    """By generation 50 most modes are dead, and most of the total variance is still there."""
    assert course["modes_alive"][2].mean() < 0.4 * 25
    ratio = course["total_variance"][2] / course["total_variance"][0]
    assert ratio.mean() > 0.6
    assert (ratio > 10 * course["modal_variance"][2] / course["modal_variance"][0]).all()


def test_model_and_samples_agree(course: dict[str, np.ndarray]) -> None:
    """How many modes are alive, within what 250 samples can tell of modes near the threshold of 1 sample."""
    assert np.abs(course["modes_alive"] - course["sample_modes_alive"]).mean() < 1.0


@pytest.mark.parametrize(("n", "n_generations"), [(60, 40), (30, 30)])
def test_shares_of_modes_drift_as_those_of_alleles(n: int, n_generations: int) -> None:
    """Modes far apart: n samples fall to them as in the Wright-Fisher model, E[1 - sum p^2] = (1 - 1/n)^t (1 - 1/m)."""
    data, seeds = Modes(side=2, spread=0.01), tuple(range(150))
    *_, (_, _, x) = fully_synthetic_loop(Gmm(n_components=4), data, n, n_generations, seeds)
    mode = np.argmin(np.square(x[:, :, None] - data.centres).sum(axis=3), axis=2)
    share = (mode[..., None] == np.arange(4)).mean(axis=1)
    diversity = 1 - np.square(share).sum(axis=1)
    # D^1 was the first draw, so t generations make t + 1.
    expected = (1 - 1 / n) ** (n_generations + 1) * (1 - 1 / 4)
    error = diversity.std() / np.sqrt(len(seeds))
    assert abs(diversity.mean() - expected) < MAX_Z * error
    assert abs(0.75 - expected) > MAX_Z * error, "drift is seen"


def test_a_component_loses_its_share_of_variance() -> None:
    """One component of n rows, fitted by maximum likelihood: E[Sigma_t] = ((n - 1)/n)^t I for real data N(0, I)."""
    n, t, d, seeds = 20, 10, 2, tuple(range(400))
    *_, (_, model, _) = fully_synthetic_loop(Gmm(n_components=1), GaussianData(d=d), n, t, seeds)
    covariance = np.matmul(model["root"][:, 0], model["root"][:, 0].transpose(0, 2, 1))
    error = covariance.std(axis=0) / np.sqrt(len(seeds))
    expected = ((n - 1) / n) ** t * np.eye(d)
    assert np.abs((covariance.mean(axis=0) - expected) / error).max() < MAX_Z
    assert abs(covariance[:, 0, 0].mean() - 1) > MAX_Z * error[0, 0], "the loss is seen"
