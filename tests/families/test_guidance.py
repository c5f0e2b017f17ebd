"""Laws of classes told and hidden: what guidance computes, none at lambda = 1, what dropout hides; padding."""

import pytest
import torch
from torch import Tensor, nn

from mad_ray.families import diffusion
from mad_ray.families.diffusion import diffusion_loss
from mad_ray.families.guidance import guidance_of, guided, hide_labels
from mad_ray.families.rectified import flow_loss
from mad_ray.families.unet import n_groups, pad, padded


class Recorder(nn.Module):
    """A network whose answer tells the label it was given; counts the rows of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []
        self.labels: list[Tensor] = []

    def forward(self, x: Tensor, t: int, label: Tensor, return_dict: bool) -> tuple[Tensor]:
        self.rows.append(len(x))
        self.labels.append(label)
        return (label.to(x.dtype).view(-1, 1, 1, 1).expand_as(x),)


def test_unbiased_sampling_asks_for_the_condition_alone():
    net, x, label = Recorder(), torch.zeros(3, 1, 2, 2), torch.tensor([1, 2, 3])
    said = guided(net, x, 5, label=label, n_classes=10, w=guidance_of(1.0))
    assert net.rows == [3]
    assert said[:, 0, 0, 0].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("bias", [0.8, 0.66, 0.5])
def test_bias_is_guidance(bias):
    """lambda = 1/(1 + w), and what is said is (1 + w) conditional - w unconditional."""
    w = guidance_of(bias)
    assert bias == pytest.approx(1 / (1 + w))
    net, label = Recorder(), torch.tensor([1, 2, 3])
    said = guided(net, torch.zeros(3, 1, 2, 2), 5, label=label, n_classes=10, w=w)
    assert net.rows == [6]
    torch.testing.assert_close(said[:, 0, 0, 0], (1 + w) * label - w * 10)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "sample", "velocity"])
def test_guidance_is_the_same_rule_for_whatever_is_predicted(prediction):
    """Guiding v, x_0 or the velocity of a flow, and guiding the noise, imply one and the same x_0, in float64."""
    w, a, time = 0.7, torch.tensor(0.3, dtype=torch.float64), 0.4
    x, *eps = (torch.randn(2, 1, 4, 4, dtype=torch.float64, generator=generator(k)) for k in range(3))

    def as_said(noise: Tensor) -> Tensor:
        if prediction == "velocity":
            return (x - noise) / time
        return diffusion.target(diffusion.to_x0(x, noise, a, "epsilon"), noise, a, prediction)

    class Two(nn.Module):
        """Says one thing of class 0, another of none (class 1)."""

        def forward(self, x: Tensor, t: int, label: Tensor, return_dict: bool) -> tuple[Tensor]:
            return (torch.cat([as_said(eps[0]), as_said(eps[1])]),)

    said = guided(Two(), x, 5, label=torch.zeros(2, dtype=torch.long), n_classes=1, w=w)
    noise = (1 + w) * eps[0] - w * eps[1]
    torch.testing.assert_close(said, as_said(noise), rtol=1e-12, atol=1e-12)


def generator(k: int) -> torch.Generator:
    return torch.Generator().manual_seed(k)


def test_condition_dropout_hides_its_share_of_labels():
    label = torch.where(torch.arange(20_000) % 10 == 9, -1, torch.arange(20_000) % 10)
    told = hide_labels(label, 10, 0.1, generator(0))
    hidden = told == 10
    assert hidden[label < 0].all()
    # 4 standard deviations of a binomial share.
    assert float(hidden[label >= 0].float().mean()) == pytest.approx(0.1, abs=4 * (0.09 / 18_000) ** 0.5)
    assert torch.equal(told[~hidden], label[~hidden])
    assert torch.equal(hide_labels(label, 10, 0.0, generator(0))[label >= 0], label[label >= 0])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_both_losses_hide_labels(dropout):
    x, label = torch.zeros(2000, 1, 1, 1, dtype=torch.uint8), torch.arange(2000) % 4
    net = Recorder()
    abar = diffusion.abar_of("linear", 10)
    diffusion_loss(net, x, label, generator(0), abar=abar, n_classes=4, dropout=dropout)
    flow_loss(net, x, label, generator(0), n_classes=4, dropout=dropout)
    for told in net.labels:
        # 5 standard deviations.
        assert float((told == 4).float().mean()) == pytest.approx(dropout, abs=0.056 if dropout else 0.0)


def test_padding_repeats_the_edge_and_keeps_the_image():
    x = torch.arange(2 * 3 * 5).view(1, 2, 3, 5)
    wide = pad(x, 4)
    assert wide.shape == (1, 2, 4, 8)
    assert torch.equal(wide[:, :, :3, :5], x)
    assert torch.equal(wide[:, :, 3], wide[:, :, 2])
    assert torch.equal(pad(x, 1), x)
    assert [padded(size, 4) for size in (28, 8, 9)] == [28, 8, 12]


@pytest.mark.parametrize(
    ("channels", "expected"), [((32, 64), 8), ((16, 32), 8), ((8, 16), 4), ((6, 10), 1), ((20, 40), 2)]
)
def test_groups_divide_the_channels(channels, expected):
    assert n_groups(channels) == expected
