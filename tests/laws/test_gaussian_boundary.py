"""Where synthetic data begins to hurt, in closed form: a plateau for lambda < 1, none for lambda = 1."""

import math

import pytest

from mad_ray.analysis.theory import first_order_w2_of_fit, fresh_limit_w2, most_admissible


@pytest.mark.parametrize("d", [5, 100])
@pytest.mark.parametrize("bias", [0.0, 0.5, 0.85])
def test_the_admissible_n_s_ends_on_a_plateau(d: int, bias: float) -> None:
    """At the plateau the limit is what n_r real samples give; a tenth more or fewer lies on either side."""
    n_r, plateau = 10**9, most_admissible(d, bias)
    real = first_order_w2_of_fit(n_r, d)

    def excess(n_s: float) -> float:
        return fresh_limit_w2(d, n_r, round(n_s), bias) / real - 1

    assert excess(0.9 * plateau) < 0 < excess(1.1 * plateau)
    # In units of what synthetic data saves at most, which is of the order of r.
    assert abs(excess(plateau)) < 0.05 * abs(excess(0.5 * plateau))


def test_unbiased_samples_never_hurt() -> None:
    assert most_admissible(100, 1.0) == math.inf
    assert all(fresh_limit_w2(100, 10**4, 10**k) < first_order_w2_of_fit(10**4, 100) for k in range(2, 8))


def test_the_plateau_is_about_d_over_the_square_of_what_is_missing() -> None:
    assert most_admissible(100, 0.7) == pytest.approx(100 / 0.09, rel=0.13)
    assert most_admissible(100, 0.85) == pytest.approx(100 / 0.0225, rel=0.13)
