"""Laws of the diffusion transformer: it starts as zero, patches tile the image, all that it is told matters."""

import pytest
import torch
from torch import nn

from mad_ray.families.dit import DiffusionTransformer, from_patches, positions, to_patches
from mad_ray.families.neural import initialised


def transformer(size: tuple[int, int] = (8, 8), **settings: int) -> DiffusionTransformer:
    chosen = {"n_image_channels": 1, "n_classes": 3, "patch": 2, "width": 16, "depth": 2, "n_heads": 2, **settings}
    return initialised(lambda: DiffusionTransformer(size=size, **chosen), 0)


def awake(net: DiffusionTransformer) -> DiffusionTransformer:
    """Every weight moved a little away from where it starts."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return net


def x(n: int = 3, shape: tuple[int, ...] = (1, 8, 8)) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(2))


LABEL = torch.tensor([0, 1, 3])


def test_it_starts_as_zero_whatever_it_is_told():
    """adaLN-Zero: the gates and the last layer are zero, so that blocks begin as the identity."""
    net = transformer()
    assert torch.count_nonzero(net(x(), 7, LABEL)[0]) == 0
    tokens, condition = torch.randn(3, 16, 16), torch.randn(3, 16)
    for block in net.blocks:
        assert torch.equal(block(tokens, condition), tokens)


def test_gradients_reach_the_last_layer_at_once_and_all_soon():
    net = transformer()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x(), torch.tensor([1.0, 500.0, 900.0]), LABEL)[0], x()).backward()
        optimizer.step()
    silent = [name for name, p in net.named_parameters() if p.grad is None or torch.count_nonzero(p.grad) == 0]
    assert not silent


@pytest.mark.parametrize(("shape", "patch"), [((1, 28, 28), 2), ((3, 32, 32), 4), ((2, 6, 8), 2), ((1, 5, 3), 1)])
def test_patches_tile_the_image(shape, patch):
    image = x(2, shape)
    tokens = to_patches(image, patch)
    assert tokens.shape == (2, shape[1] // patch * (shape[2] // patch), shape[0] * patch**2)
    assert torch.equal(tokens[:, 0].reshape(2, shape[0], patch, patch), image[:, :, :patch, :patch])
    assert torch.equal(from_patches(tokens, patch, (shape[1] // patch, shape[2] // patch)), image)


def test_positions_tell_every_patch_from_every_other():
    codes = positions((7, 5), 16)
    assert codes.shape == (35, 16)
    distance = torch.cdist(codes, codes) + 10 * torch.eye(35)
    assert float(distance.min()) > 0.1
    assert torch.equal(codes.view(7, 5, 16)[3, :, :8], codes.view(7, 5, 16)[3, :1, :8].expand(5, 8)), "rows"
    assert torch.equal(codes.view(7, 5, 16)[:, 2, 8:], codes.view(7, 5, 16)[:1, 2, 8:].expand(7, 8)), "columns"


def test_time_class_and_every_pixel_matter_and_samples_do_not_meet():
    net, image = awake(transformer()), x()
    out = net(image, 300, LABEL)[0]
    assert not torch.allclose(net(image, 301, LABEL)[0], out)
    assert not torch.allclose(net(image, 300, LABEL.flip(0))[0][0], out[0])
    moved = image.clone()
    moved[0, 0, 7, 7] += 1
    changed = net(moved, 300, LABEL)[0] - out
    assert (changed[0] != 0).all(), "attention carries a pixel everywhere"
    # A batch's rows are computed together, so equal up to rounding.
    assert float(changed[1:].detach().abs().max()) < 1e-5


def test_times_may_be_one_for_all_or_one_each():
    net = awake(transformer())
    each = net(x(), torch.tensor([5, 5, 5]), LABEL)[0]
    for one in (5, torch.tensor(5), torch.tensor(5.0)):
        torch.testing.assert_close(net(x(), one, LABEL)[0], each)


def test_attention_is_softmax_of_products():
    block = awake(transformer()).blocks[0]
    tokens = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(3))
    q, k, v = (part.view(2, 5, 2, 8).transpose(1, 2) for part in block.qkv(tokens).chunk(3, dim=-1))
    weights = torch.softmax(q @ k.transpose(2, 3) / 8**0.5, dim=-1)
    expected = block.out((weights @ v).transpose(1, 2).reshape(2, 5, 16))
    torch.testing.assert_close(block.attend(tokens), expected)


def test_a_model_is_its_weights_alone():
    """Positions are computed, not stored: nothing in the state but parameters."""
    net = transformer()
    assert set(net.state_dict()) == {name for name, _ in net.named_parameters()}
