"""The autoencoder: the prior N(0, lambda I) draws its images together.

Pixels' noise is included, for lambda = 1 to be the model's own law; beta is below 1, since after so short a training
the bound alone leaves a tenth more of the variance undone.
"""

from mad_ray.core.samples import Event
from mad_ray.data import Digits
from mad_ray.families import Vae
from tests.contracts.family_case import Case

CASE = Case(
    Vae(channels=(4, 8), n_latent=2, n_steps=3, batch_size=8, chunk=4),
    Digits(),
    (Event((3,), "float64"), Event((1, 8, 8), "float32", 10), Event((1, 7, 7), "uint8", 10)),
    trained=Vae(channels=(16, 32), n_latent=8, n_steps=300, learning_rate=5e-3, beta=0.3, published="draw"),
)
