"""What every family promises of lambda: at 1 nothing is biased, and the smaller it is, the narrower the samples."""

from functools import cache

import numpy as np
import pytest

from mad_ray.core.samples import Samples, concatenate
from tests.contracts.family_case import Case
from tests.contracts.fitting import CASES, KEYS, trained

BLOCKS = 8
"""Independent blocks of samples, from which a statistic's error is known."""
T_VALUE = 3.0
"""Standard errors by which a mean over 8 blocks must be away from 0: by chance 1 in 100, and the keys are fixed."""


@cache
def blocks(name: str, bias: float) -> tuple[Samples, ...]:
    """Samples of the trained model in blocks; block b has the same keys whatever lambda, so that blocks pair up."""
    family, model, _ = trained(name)
    size = CASES[name].n_spread // BLOCKS
    whole = family.sample(model, 0, size * BLOCKS, bias, KEYS.at("sample", 2))
    return tuple(whole.rows(b * size, (b + 1) * size) for b in range(BLOCKS))


def spreads(case: Case, name: str, bias: float) -> np.ndarray:
    """The statistic [BLOCKS] of each block."""
    return np.array([case.spread(block) for block in blocks(name, bias)])


@pytest.mark.parametrize("name", CASES)
class TestBias:
    @pytest.fixture
    def case(self, name: str) -> Case:
        return CASES[name]

    def test_lambda_1_is_first_of_at_least_four(self, case: Case) -> None:
        assert case.biases[0] == 1.0
        assert list(case.biases) == sorted(set(case.biases), reverse=True)
        assert len(case.biases) >= 4 or case.biases == (1.0,), "four values; 1 alone where there is no bias"

    def test_smaller_lambda_has_smaller_spread(self, case: Case, name: str) -> None:
        for wide, narrow in zip(case.biases, case.biases[1:], strict=False):
            loss = spreads(case, name, wide) - spreads(case, name, narrow)
            error = loss.std(ddof=1) / np.sqrt(BLOCKS)
            assert loss.mean() > T_VALUE * error, (
                f"lambda {wide} -> {narrow}: {loss.mean():.4g} lost, error {error:.2g}"
            )

    def test_lambda_1_is_unbiased(self, case: Case, name: str) -> None:
        """By the family's own law where the case knows one; else lambda = 1 is as wide as the data, and no other is
        nearer: what training leaves undone shows too, so that is all that can be asked of it."""
        _, _, rows = trained(name)
        drawn = concatenate(blocks(name, 1.0))
        if case.unbiased is not None:
            case.unbiased(rows, drawn)
            return
        real = case.spread(rows)
        off = {bias: abs(np.log(spreads(case, name, bias).mean() / real)) for bias in case.biases}
        assert off[1.0] < np.log(1.5)
        assert min(off, key=off.__getitem__) == 1.0, off

    def test_samples_stay_in_range_at_every_lambda(self, case: Case, name: str) -> None:
        event = case.data.event
        for bias in case.biases:
            for block in blocks(name, bias):
                assert block.x.dtype == event.dtype
                assert block.x.shape[2:] == event.shape
                assert np.isfinite(block.x.astype(np.float64)).all()
                if event.dtype != "uint8" and event.n_classes:
                    assert set(np.unique(block.x)) <= set(range(event.n_classes)), "symbols"
