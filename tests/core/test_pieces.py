"""Pieces: what is drawn as a whole is never cut differently by another training set."""

from itertools import pairwise

import pytest

from mad_ray.core.loop import Loop, Slice, compose, fresh_data, fully_synthetic, pieces, reaches_back

LOOPS = {
    "fully synthetic": fully_synthetic(n_initial=10),
    "fixed": Loop(n_initial=9, n_fixed=4, n_fresh=3, n_synthetic=5),
    "all fixed": Loop(n_initial=9, n_fixed=9, n_synthetic=5),
    "memory 2": fresh_data(n_fresh=4, n_synthetic=7, memory=2),
    "memory 5": fresh_data(n_fresh=4, n_synthetic=60, memory=5),
    "memory beyond samples": fresh_data(n_fresh=4, n_synthetic=3, memory=6),
    "accumulate": Loop(n_initial=5, n_fixed=5, n_synthetic=6, accumulate=True),
    "no synthetic": Loop(n_initial=5, n_fresh=3),
}


@pytest.mark.parametrize("name", LOOPS)
def test_pieces_make_up_the_slice(name: str) -> None:
    for t in range(1, 16):
        for part in compose(LOOPS[name], t):
            cut = pieces(LOOPS[name], part)
            assert (cut[0].start, cut[-1].stop) == (part.start, part.stop)
            assert all(one.stop == other.start for one, other in pairwise(cut))
            assert all(piece.n > 0 and piece.generation == part.generation for piece in cut)


@pytest.mark.parametrize("name", LOOPS)
def test_two_pieces_are_equal_or_disjoint(name: str) -> None:
    found: set[Slice] = {
        piece for t in range(1, 25) for part in compose(LOOPS[name], t) for piece in pieces(LOOPS[name], part)
    }
    for g in {piece.generation for piece in found}:
        of = sorted((piece for piece in found if piece.generation == g), key=lambda piece: piece.start)
        assert all(one.stop <= other.start for one, other in pairwise(of)), "else one draw would be used as two"


@pytest.mark.parametrize("name", LOOPS)
def test_once_k_models_exist_a_share_is_one_piece(name: str) -> None:
    """Without this, memory K would pay for more draws than it has models."""
    loop = LOOPS[name]
    for t in range(2 * loop.memory + 2, 25):
        assert all(len(pieces(loop, part)) == 1 for part in compose(loop, t) if not part.is_real)


@pytest.mark.parametrize("name", LOOPS)
def test_reaches_back_is_the_oldest_generation_still_needed(name: str) -> None:
    loop = LOOPS[name]
    for t in range(1, 15):
        later = [part.generation for u in range(t + 1, 30) for part in compose(loop, u) if not part.is_real]
        old = [g for g in later if g <= t]
        assert reaches_back(loop, t) <= min(old, default=t + 1)
        if loop.n_synthetic >= loop.memory:
            assert reaches_back(loop, t) == min(old, default=t + 1)
