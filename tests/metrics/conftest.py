"""The digits, as images: 1,797 of 8x8 grey pixels in 10 classes."""

import numpy as np
import pytest

from mad_ray.shims import mend_torchvision

# Before any test module imports clean-fid, which imports torchvision.
mend_torchvision()


@pytest.fixture(scope="session")
def digits():
    """(x [1797, 1, 8, 8] uint8, label [1797]), in a fixed random order: the data set's own follows its writers."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    x = np.round(bunch.images * 255 / 16).astype(np.uint8)[:, None]
    return x[order], bunch.target[order]
