"""The autoencoder: both terms of the ELBO exact, the bound a bound, and lambda on the prior alone."""

import json
import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import fully_synthetic
from mad_ray.core.samples import Event, Samples
from mad_ray.data import Digits
from mad_ray.families import Vae
from mad_ray.families import vae_net as v
from mad_ray.families.diffusion import to_unit
from mad_ray.families.family import Model
from mad_ray.families.kept import kept_module
from mad_ray.families.network import arrays_to_event
from mad_ray.families.neural import initialised
from mad_ray.families.progress import Progress
from tests.contracts.fitting import Rows

KEYS = Keys((3,))
TRAINED = Vae(channels=[16, 32], n_latent=8, n_steps=200, learning_rate=5e-3, chunk=64)


def fit(family: Vae, x: np.ndarray) -> Model:
    return family.fit(Rows(Samples.of(x[None]), Event(x.shape[1:], "uint8")), KEYS.at("fit", 1), Progress())


def draw(family: Vae, model: Model, n: int, bias: float = 1.0) -> np.ndarray:
    return family.sample(model, 0, n, bias, KEYS.at("sample", 1)).x[0]


def net_of(family: Vae, model: Model) -> v.VaeNet:
    return kept_module(model, family, lambda: family.build(arrays_to_event(model)))


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return Digits().rows(0, 400, KEYS).x[0]


@pytest.fixture(scope="module")
def trained(digits: np.ndarray) -> Model:
    return fit(TRAINED, digits)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_divergence_is_that_of_its_definition() -> None:
    """E[log q - log N(0, I)] over 10^5 draws from q, to 5 standard errors."""
    mean, log_variance = normal(4, 3, seed=1), normal(4, 3, seed=2)
    z = mean + (0.5 * log_variance).exp() * normal(100_000, 4, 3)
    log_q = torch.distributions.Normal(mean, (0.5 * log_variance).exp()).log_prob(z).sum(dim=2)
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(dim=2)
    draws = log_q - log_p
    assert ((draws.mean(dim=0) - v.kl_to_prior(mean, log_variance)).abs() < 5 * draws.std(dim=0) / 100_000**0.5).all()
    assert torch.equal(v.kl_to_prior(torch.zeros(2, 3), torch.zeros(2, 3)), torch.zeros(2))


def test_gaussian_pixels_have_the_density_of_a_gaussian() -> None:
    x, mean, variance = normal(5, 2, 3, 4), normal(5, 2, 3, 4, seed=1), torch.tensor(0.3, dtype=torch.float64)
    expected = torch.distributions.Normal(mean, variance.sqrt()).log_prob(x).flatten(1).sum(dim=1)
    torch.testing.assert_close(v.gaussian_log_likelihood(x, mean, variance), expected)


def test_bernoulli_pixels_take_grey_for_a_share_of_black_and_white_images() -> None:
    """Over all 2^4 black and white images of 4 pixels: probabilities add up to 1, and the likelihood of a grey image is
    their mean log-likelihood, each weighted by the probability that the greys give it."""
    logits, grey = normal(1, 1, 2, 2), torch.rand(1, 1, 2, 2, generator=torch.Generator().manual_seed(1)).double()
    images = torch.tensor(list(product([0.0, 1.0], repeat=4)), dtype=torch.float64).view(16, 1, 2, 2)
    logs = v.bernoulli_log_likelihood(images, logits.expand(16, -1, -1, -1))
    assert float(logs.exp().sum()) == pytest.approx(1)
    weights = torch.where(images > 0, grey, 1 - grey).flatten(1).prod(dim=1)
    assert float(weights @ logs) == pytest.approx(float(v.bernoulli_log_likelihood(grey, logits)))


@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("widen", [1.0, 2.0])
def test_the_bound_is_below_the_likelihood_and_reaches_it_at_the_posterior(shift: float, widen: float) -> None:
    """A linear decoder x = W z + noise with orthogonal columns: log p(x) and the posterior are known in closed form,
    and the ELBO falls short of the one by KL(q || the other). 2 x 10^5 draws of z, to 5 standard errors."""
    w = torch.linalg.qr(normal(5, 2))[0] * torch.tensor([2.0, 0.5], dtype=torch.float64)
    variance, x = torch.tensor(0.2, dtype=torch.float64), normal(1, 5, seed=3)
    eye = torch.eye(5, dtype=torch.float64)
    log_p = torch.distributions.MultivariateNormal(torch.zeros(5).double(), w @ w.T + variance * eye).log_prob(x)
    precision = 1 + (w**2).sum(dim=0) / variance
    posterior = (x @ w / variance / precision, -precision.log()[None])
    mean, log_variance = posterior[0] + shift, posterior[1] + math.log(widen)
    z = mean + (0.5 * log_variance).exp() * normal(200_000, 2, seed=4)
    fits = v.gaussian_log_likelihood(x.expand(len(z), -1), z @ w.T, variance)
    elbo = fits.mean() - v.kl_to_prior(mean, log_variance)[0]
    q, p = (torch.distributions.Normal(m, (0.5 * s).exp()) for m, s in ((mean, log_variance), posterior))
    gap = torch.distributions.kl_divergence(q, p).sum()
    assert (gap > 0.1) == (shift > 0 or widen > 1)
    assert abs(float(log_p - gap - elbo)) < 5 * float(fits.std()) / len(z) ** 0.5


@pytest.mark.parametrize("pixels", ["gaussian", "bernoulli"])
def test_the_loss_is_less_the_elbo_a_pixel(pixels: v.Pixels, digits: np.ndarray) -> None:
    net = initialised(lambda: v.VaeNet((1, 8, 8), (4, 8), 3), 0)
    net.variance.fill_(0.5)
    x, label = torch.from_numpy(digits[:6]), torch.zeros(6)

    def loss(beta: float) -> tuple[torch.Tensor, torch.Tensor]:
        return v.elbo_loss(net, x, label, torch.Generator().manual_seed(1), pixels=pixels, beta=beta)

    with torch.no_grad():
        mean, log_variance = net.encode(to_unit(x))
        eps = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
        raw = net.decode(mean + (0.5 * log_variance).exp() * eps)
        kl = v.kl_to_prior(mean, log_variance)
        if pixels == "gaussian":
            shown, fits = raw, v.gaussian_log_likelihood(to_unit(x), raw, torch.tensor(0.5))
        else:
            shown, fits = 2 * torch.sigmoid(raw) - 1, v.bernoulli_log_likelihood(x / 255, raw)
        torch.testing.assert_close(loss(1.0)[0], (kl - fits).mean() / 64)
        torch.testing.assert_close(loss(3.0)[0] - loss(1.0)[0], 2 * kl.mean() / 64, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(loss(1.0)[1], ((to_unit(x) - shown) ** 2).mean()[None])


def test_the_pixels_variance_follows_the_error_where_the_likelihood_is_greatest() -> None:
    net = initialised(lambda: v.VaeNet((1, 8, 8), (4, 8), 3), 0)
    for _ in range(400):
        net.follow(torch.tensor([0.04]))
    assert float(net.variance) == pytest.approx(0.04, rel=1e-4)
    x, mean = torch.full((1, 64), 0.2), torch.zeros(1, 64)
    at = [float(v.gaussian_log_likelihood(x, mean, net.variance * factor)) for factor in (0.9, 1.0, 1.1)]
    assert max(at) == at[1]
    for _ in range(1000):
        net.follow(torch.tensor([0.0]))
    assert float(net.variance) == pytest.approx(v.MIN_VARIANCE)


def test_training_lowers_the_bound_and_learns_the_variance(trained: Model, digits: np.ndarray) -> None:
    """Against the best that ignores z: Gaussian pixels about the mean image."""
    x = to_unit(torch.from_numpy(digits))
    net = net_of(TRAINED, trained)
    with torch.no_grad():
        loss, error = v.elbo_loss(
            net, torch.from_numpy(digits), torch.zeros(400), torch.Generator(), pixels="gaussian", beta=1.0
        )
    spread = (x - x.mean(dim=0)).square().mean()
    assert float(loss) < 0.5 * (math.log(2 * math.pi * float(spread)) + 1)
    assert float(error) < 0.5 * float(spread)
    assert float(trained["net.variance"]) == pytest.approx(float(error), rel=0.25)


def test_lambda_0_gives_the_image_at_the_mode(trained: Model) -> None:
    x = draw(TRAINED, trained, 5, 0.0)
    assert (x == x[0]).all()
    with torch.no_grad():
        expected = v.publish(net_of(TRAINED, trained), torch.zeros(1, 8), "gaussian", None).numpy()
    assert np.abs(x[:1].astype(int) - expected).max() <= 1, "chunks of another size round differently"


def test_a_draw_is_the_mean_and_the_pixels_noise(trained: Model) -> None:
    """Of the same z, whatever lambda; the noise is as wide as the decoder says, where bytes do not clip it."""
    noisy, spread = replace(TRAINED, published="draw"), 0.03
    model = trained | {"net.variance": np.array(spread**2, np.float32)}
    for bias in (1.0, 0.25):
        mean, drawn = (draw(family, model, 512, bias).astype(float) / 127.5 - 1 for family in (TRAINED, noisy))
        inside = np.abs(mean) < 1 - 4 * spread
        off = (drawn - mean)[inside]
        assert inside.sum() > 1000
        assert abs(off.mean()) < 5 * spread / math.sqrt(len(off))
        # Both images were rounded to bytes, which adds a variance of 2 x MIN_VARIANCE: 1 % of this spread.
        expected = math.sqrt(spread**2 + 2 * v.MIN_VARIANCE)
        assert off.std() == pytest.approx(expected, rel=5 / math.sqrt(2 * len(off)) + 0.002)


def test_bernoulli_draws_are_black_and_white_with_the_probability_of_the_mean() -> None:
    net = initialised(lambda: v.VaeNet((1, 8, 8), (4, 8), 3), 0)
    z = torch.randn(1, 3, generator=torch.Generator().manual_seed(0)).expand(4000, -1)
    with torch.no_grad():
        share = torch.sigmoid(net.decode(z[:1]))[0]
        eps = torch.randn(4000, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        drawn = v.publish(net, z, "bernoulli", eps)
        mean = v.publish(net, z[:1], "bernoulli", None)[0]
    assert set(drawn.unique().tolist()) == {0, 255}
    assert ((drawn.float().mean(dim=0) / 255 - share).abs() < 5 * (share * (1 - share) / 4000).sqrt()).all()
    torch.testing.assert_close(mean.float(), 255 * share, rtol=0, atol=0.51)


@pytest.mark.parametrize("pixels", ["gaussian", "bernoulli"])
@pytest.mark.parametrize(
    ("shape", "channels"), [((1, 8, 8), [4, 8]), ((3, 9, 13), [4]), ((1, 28, 28), [4, 8]), ((3, 32, 32), [4, 4, 8])]
)
def test_any_image_size(shape: tuple[int, ...], channels: list[int], pixels: str) -> None:
    x = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    for published in ("mean", "draw"):
        family = Vae(
            channels=channels, n_latent=3, n_steps=2, batch_size=8, chunk=4, pixels=pixels, published=published
        )
        family.check(Event(shape, "uint8"), fully_synthetic(n_initial=10), 0)
        drawn = draw(family, fit(family, x), 5)
        assert drawn.shape == (5, *shape)
        assert drawn.dtype == np.uint8
        assert not (drawn == drawn[0]).all()


@pytest.mark.parametrize("pixels", ["gaussian", "bernoulli"])
def test_images_that_are_all_the_same_give_that_image(pixels: str) -> None:
    x = np.zeros((20, 1, 8, 8), np.uint8)
    x[:, :, 2:5] = 255
    family = Vae(channels=[8, 16], n_latent=2, n_steps=300, learning_rate=1e-2, batch_size=16, chunk=8, pixels=pixels)
    drawn = draw(family, fit(family, x), 8)
    assert np.abs(drawn.astype(int) - x[:8]).mean() < 16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": [3]}, r"family\.channels=\[3\]"),
        ({"channels": []}, r"family\.channels=\[\]"),
        ({"n_latent": 0}, r"family\.n_latent=0"),
        ({"beta": -1.0}, r"family\.beta=-1\.0"),
        ({"beta": math.nan}, r"family\.beta=nan"),
        ({"n_steps": 0}, r"family\.n_steps=0"),
    ],
)
def test_settings_are_checked_at_once(settings: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Vae(**settings)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Event((2,), "float64"), "family=vae needs images"),
        (Event((1, 8, 8), "float32"), "family=vae needs images"),
        (Event((1, 28, 7), "uint8"), "family=vae: 2 levels .* 28x7 below 2x2; drop levels from family.channels"),
    ],
)
def test_what_cannot_be_is_refused(event: Event, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Vae().check(event, fully_synthetic(n_initial=10), 0)


def test_settings_read_from_yaml_values() -> None:
    parsed = TypeAdapter(Vae).validate_json(json.dumps({"channels": [8, 16], "pixels": "bernoulli"}))
    assert parsed == Vae(channels=(8, 16), pixels="bernoulli")
    for wrong in ({"latent": 8}, {"pixels": "poisson"}):
        with pytest.raises(ValidationError):
            TypeAdapter(Vae).validate_json(json.dumps(wrong))
