"""Extractors keep rows apart; identity is the samples themselves."""

import numpy as np

from mad_ray.metrics.features import Identity
from mad_ray.steady import in_batches


def test_identity_flattens_and_scales_images_only():
    images = np.array([[[[0, 51], [255, 102]]]], np.uint8)
    assert Identity()(images).tolist() == [[0.0, 0.2, 1.0, 0.4]]
    points = np.array([[3.0, -4.0]], np.float32)
    assert Identity()(points).tolist() == [[3.0, -4.0]]
    assert Identity()(points).dtype == np.float64


def test_batches_have_one_size_and_rows_come_back_in_order():
    sizes = []

    def double(batch):
        sizes.append(len(batch))
        return 2 * batch

    x = np.arange(21).reshape(7, 3)
    assert np.array_equal(in_batches(double, x, 3), 2 * x)
    assert sizes == [3, 3, 3]


def test_no_rows_give_no_rows_of_the_right_width():
    assert in_batches(lambda batch: batch[:, :2], np.zeros((0, 3)), 4).shape == (0, 2)
