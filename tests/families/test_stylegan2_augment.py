"""Laws of adaptive augmentation: nothing at p = 0, exact moves, colours about grey, p that follows D's signs."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mad_ray.families.stylegan2.augment import augment, colour_matrix, coloured, moved, placement_matrix
from mad_ray.families.stylegan2.family import KINDS, Kind
from tests.families.stylegan2_parts import chance, game, normal

ONE = torch.ones(1, dtype=torch.float64)


def move(
    x: Tensor,
    *,
    turned: bool = False,
    sign: tuple[int, int] = (1, 1),
    shift: tuple[int, int] = (0, 0),
    zoom: float = 1.0,
) -> Tensor:
    """Every row alike."""
    n = len(x)
    return moved(
        x,
        torch.full((n,), turned),
        torch.tensor(sign, dtype=x.dtype).expand(n, 2),
        torch.tensor(shift, dtype=x.dtype).expand(n, 2),
        torch.full((n,), zoom, dtype=x.dtype),
    )


@pytest.mark.parametrize("n_channels", [1, 3])
def test_at_p_0_every_byte_stays(n_channels: int) -> None:
    x = torch.randn(8, n_channels, 16, 16, generator=chance())
    assert augment(x, torch.tensor(0.0), KINDS, chance()).numpy().tobytes() == x.numpy().tobytes()
    assert augment(x, torch.tensor(1.0), (), chance()) is x


@pytest.mark.parametrize("size", [8, 16, 64])
@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_shapes_stay_and_rows_are_their_own(n_channels: int, size: int) -> None:
    x = torch.randn(6, n_channels, size, size, generator=chance())
    found = augment(x, torch.tensor(1.0), KINDS, chance())
    assert (found.shape, found.dtype) == (x.shape, x.dtype)
    assert torch.isfinite(found).all()
    assert (found != x).flatten(1).any(dim=1).all()
    changed = x.clone()
    changed[0] += 1
    assert torch.equal(augment(changed, torch.tensor(1.0), KINDS, chance())[1:], found[1:])


def test_flips_and_turns_are_numpys() -> None:
    x = normal(2, 3, 8, 8)
    assert torch.equal(move(x, sign=(1, -1)), x.flip(3))
    assert torch.equal(move(x, turned=True, sign=(-1, 1)), x.rot90(1, (2, 3)))
    assert torch.equal(move(x, sign=(-1, -1)), x.rot90(2, (2, 3)))
    assert torch.equal(move(x, turned=True, sign=(1, -1)), x.rot90(3, (2, 3)))


@pytest.mark.parametrize("shift", [(2, 0), (0, -1), (-2, 1)])
def test_shifts_are_whole_pixels_and_mirror_at_the_edge(shift: tuple[int, int]) -> None:
    x = normal(2, 1, 16, 16)
    wide = np.pad(x.numpy(), ((0, 0), (0, 0), (16, 16), (16, 16)), mode="symmetric")
    y, z = (16 - by for by in shift)
    assert np.array_equal(move(x, shift=shift).numpy(), wide[:, :, y : y + 16, z : z + 16])


@pytest.mark.parametrize("zoom", [0.66, 0.9, 1.0, 1.3, 1.5])
def test_places_are_weighted_means(zoom: float) -> None:
    """So moved images stay within the range of the image, and constants stay."""
    x = normal(1, 1, 32, 32)
    weights = placement_matrix(x, -ONE, 4 * ONE, zoom * ONE)
    assert weights.min() >= 0
    assert torch.allclose(weights.sum(dim=2), ONE)
    found = move(x, sign=(-1, 1), shift=(4, -4), zoom=zoom)
    assert x.min() <= found.min()
    assert found.max() <= x.max()


def test_zoom_enlarges_about_the_centre() -> None:
    ramp = torch.linspace(-1, 1, 32, dtype=torch.float64).expand(1, 1, 32, 32)
    assert torch.allclose(move(ramp, zoom=2.0)[..., 1:-1], ramp[..., 1:-1] / 2, atol=1e-12)


def test_brightness_and_contrast() -> None:
    for n_channels in (1, 3):
        x = normal(1, n_channels, 4, 4)
        assert torch.allclose(coloured(x, 0.3 * ONE, 2 * ONE, ONE, 0 * ONE), 2 * x + 0.3)


def test_hue_turns_about_the_grey_axis_and_saturation_shrinks_towards_it() -> None:
    turn = colour_matrix(ONE, ONE, 0.7 * ONE)[0]
    grey = torch.ones(3, dtype=torch.float64)
    assert torch.allclose(turn @ grey, grey)
    assert torch.allclose(turn @ turn.T, torch.eye(3, dtype=torch.float64))
    assert float(torch.linalg.det(turn)) == pytest.approx(1)
    assert float(turn.trace()) == pytest.approx(1 + 2 * math.cos(0.7))
    back = colour_matrix(ONE, ONE, -0.7 * ONE)[0]
    assert torch.allclose(back @ turn, torch.eye(3, dtype=torch.float64))
    assert torch.allclose(colour_matrix(ONE, 0 * ONE, ONE)[0], torch.full((3, 3), 1 / 3, dtype=torch.float64))


@pytest.mark.parametrize(("kind", "share"), [("flip", 1 / 2), ("rotate", 3 / 4), ("scale", 1.0), ("colour", None)])
def test_each_kind_comes_as_often_as_p_says(kind: Kind, share: float | None) -> None:
    """A flip is real half of the time, a turn three times of four; colour is brightness or contrast, each with p. So at
    p < 1 the unchanged image stays the most frequent, which is why nothing leaks (section 2 of the paper)."""
    p, n = 0.4, 4000
    x = torch.randn(1, 1, 8, 8, generator=chance()).expand(n, -1, -1, -1)
    found = augment(x, torch.tensor(p), (kind,), chance(1))
    n_changed = int((found != x).flatten(1).any(dim=1).sum())
    expected = 1 - (1 - p) ** 2 if share is None else p * share
    assert abs(n_changed - n * expected) < 4 * math.sqrt(n * expected * (1 - expected))


def test_gradients_flow_through_every_kind() -> None:
    x = normal(2, 3, 4, 4).requires_grad_()
    p = torch.tensor(1.0)
    assert torch.autograd.gradcheck(lambda x: augment(x, p, KINDS, chance()), x)


def test_p_rises_while_d_is_sure_of_real_images_and_falls_otherwise() -> None:
    one = game(augment_images=80, augment_max=0.5)
    seen = []
    for told in [1.0] * 8 + [-1.0] * 8:
        one.adapt(torch.tensor([told]))
        seen.append(float(one.discriminator.p))
    up = [min(0.1 * i, 0.5) for i in range(1, 9)]
    down = [max(0.5 - 0.1 * i, 0.0) for i in range(1, 9)]
    assert seen == pytest.approx(up + down, abs=1e-6)


def test_p_rests_at_the_target_and_without_kinds() -> None:
    one = game(augment_target=0.25)
    one.adapt(torch.tensor([0.25]))
    assert float(one.discriminator.p) == 0
    without = game(augment=())
    without.adapt(torch.tensor([1.0]))
    assert float(without.discriminator.p) == 0


def test_the_discriminator_tells_the_mean_sign_of_real_images() -> None:
    one, x = game(), torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    with torch.no_grad():
        one.discriminator.logit.weight.zero_()
        for bias, sign in ((2.0, 1.0), (-2.0, -1.0)):
            one.discriminator.logit.bias.fill_(bias)
            _, told = one.discriminate(one.discriminator, x, torch.zeros(4), chance())
            assert told.tolist() == [sign]
