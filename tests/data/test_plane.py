"""What endless data in the plane share: row i is row i, whoever asks for which others beside it."""

import numpy as np
import pytest

from mad_ray.core.keys import Keys
from mad_ray.data import Modes, Rosenbrock

KEYS = Keys((0, 1)).at("real")


@pytest.mark.parametrize("data", [Modes(), Rosenbrock()], ids=["modes", "rosenbrock"])
def test_rows_are_addressed(data: Modes | Rosenbrock) -> None:
    whole = data.rows(0, 5000, KEYS).x
    assert whole.shape == (2, 5000, 2)
    assert whole.dtype == data.event.dtype == "float64"
    assert data.event.shape == (2,)
    for start, stop in ((1000, 3000), (0, 1), (2048, 2049), (7, 7)):
        assert data.rows(start, stop, KEYS).x.tobytes() == whole[:, start:stop].tobytes()
        assert data.rows(start, stop, KEYS.row(1)).x.tobytes() == whole[1:, start:stop].tobytes()
    assert not np.array_equal(whole[0], whole[1])
    assert np.isfinite(data.rows(10**9, 10**9 + 3, KEYS).x).all()
