"""LeNet: it classifies the digits, is the same bytes every time, and touches nobody's random numbers."""

import numpy as np
import pytest
import torch

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.metrics.lenet import LeNet, classify, lenet_accuracy, train_lenet


@pytest.fixture(scope="module")
def trained(digits):
    x, label = digits
    return train_lenet(x[:1200], label[:1200], 10, Keys((7,)))


def test_held_out_digits_are_classified(digits, trained):
    x, label = digits
    assert lenet_accuracy(trained, x[1200:], label[1200:]) > 0.97


def test_probabilities(digits, trained):
    x, label = digits
    share = classify(trained, x[1200:])
    assert share.shape == (597, 10)
    assert np.allclose(share.sum(axis=1), 1, atol=1e-6)
    assert (share.argmax(axis=1) == label[1200:]).mean() == lenet_accuracy(trained, x[1200:], label[1200:])


def test_features_tell_classes_apart_better_than_pixels(digits, trained):
    """The mean distance within a class, over that between classes: what features are for."""
    x, label = digits[0][1200:], digits[1][1200:]

    def ratio(features):
        centres = np.stack([features[label == c].mean(axis=0) for c in range(10)])
        within = np.mean([((features[label == c] - centres[c]) ** 2).sum(axis=1).mean() for c in range(10)])
        return within / ((centres - centres.mean(axis=0)) ** 2).sum(axis=1).mean()

    assert ratio(LeNet(trained)(x)) < 0.5 * ratio(x.reshape(len(x), -1).astype(float))


def test_a_row_is_the_same_bytes_in_any_company(digits, trained):
    x = digits[0][:600]
    extractor = LeNet(trained)
    together = extractor(x)
    assert together.shape == (600, 84)
    assert together.dtype == np.float32
    assert np.array_equal(extractor(x[300:304]), together[300:304])
    order = np.random.default_rng(0).permutation(600)
    assert np.array_equal(extractor(x[order]), together[order])


def test_the_number_of_threads_changes_nothing_and_is_put_back(digits, trained):
    x = digits[0][:300]
    alone = LeNet(trained)(x)
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert np.array_equal(LeNet(trained)(x), alone)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)


def test_training_is_addressed_and_leaves_torch_alone(digits):
    x, label = digits[0][:200], digits[1][:200]
    before = torch.get_rng_state()
    first = train_lenet(x, label, 10, Keys((1,)), epochs=2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    again = train_lenet(x, label, 10, Keys((1,)), epochs=2)
    other = train_lenet(x, label, 10, Keys((2,)), epochs=2)
    torch.set_rng_state(before)
    assert first.keys() == again.keys()
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["logits.weight"], other["logits.weight"])


@pytest.mark.parametrize("image", [(1, 8, 8), (3, 9, 13), (1, 28, 28), (3, 64, 40)])
def test_any_image_of_8x8_and_more(image):
    x = np.random.default_rng(0).integers(0, 256, (12, *image), dtype=np.uint8)
    state = train_lenet(x, np.arange(12) % 3, 3, Keys((0,)), epochs=1)
    assert LeNet(state)(x).shape == (12, 84)
    assert classify(state, x).shape == (12, 3)


@pytest.mark.parametrize(
    ("x", "label", "message"),
    [
        (np.zeros((4, 1, 7, 9), np.uint8), np.zeros(4, int), "at least 8x8"),
        (np.zeros((4, 2)), np.zeros(4, int), "needs uint8 images"),
        (np.zeros((4, 1, 8, 8), np.uint8), np.full(4, -1), "one label in 0..9"),
        (np.zeros((4, 1, 8, 8), np.uint8), np.full(4, 10), "one label in 0..9"),
    ],
)
def test_what_it_cannot_learn_from_is_refused(x, label, message):
    with pytest.raises(InvalidInput, match=message):
        train_lenet(x, label, 10, Keys((0,)))


def test_images_of_another_shape_are_refused(trained):
    with pytest.raises(InvalidInput, match=r"reads uint8 images 1x8x8, found uint8 \[3, 8, 8\]"):
        LeNet(trained)(np.zeros((2, 3, 8, 8), np.uint8))
