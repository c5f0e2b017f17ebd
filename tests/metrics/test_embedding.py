"""One map of many samples: the same bytes each time, and neighbours stay neighbours."""

import numpy as np
import pytest

from mad_ray.metrics.embedding import embed_jointly


def groups(d: int, n: int = 40) -> list[np.ndarray]:
    """Two sets of the same three far groups."""
    random = np.random.default_rng(0)
    centres = 50 * random.standard_normal((3, d))
    return [centres[np.arange(n) % 3] + random.standard_normal((n, d)) for _ in range(2)]


@pytest.mark.parametrize("d", [3, 60])
def test_the_same_bytes_twice_and_groups_stay_groups(d):
    parts = groups(d)
    first, second = embed_jointly(parts), embed_jointly(parts)
    assert [place.shape for place in first] == [(40, 2), (40, 2)]
    assert all(place.dtype == np.float32 for place in first)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))
    distance = np.linalg.norm(first[0][:, None] - first[1], axis=2)
    assert np.array_equal(distance.argmin(axis=1) % 3, np.arange(40) % 3)


def test_the_number_of_threads_changes_nothing():
    from threadpoolctl import threadpool_limits

    parts = groups(8)
    with threadpool_limits(2):
        first = embed_jointly(parts)
    with threadpool_limits(1):
        second = embed_jointly(parts)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def test_copies_of_one_point_have_a_place():
    assert np.isfinite(np.concatenate(embed_jointly([np.ones((20, 4)), np.ones((20, 4))]))).all()


def test_a_handful_shows_nothing():
    with pytest.raises(ValueError, match="give more"):
        embed_jointly([np.ones((4, 3))])
