"""WGAN-GP: z ~ N(0, lambda I)."""

from mad_ray.core.samples import Event
from mad_ray.data import Digits
from mad_ray.families import WganGp
from tests.contracts.family_case import Case

CASE = Case(
    WganGp(channels=(4, 8), n_latent=4, n_steps=4, batch_size=8, chunk=4),
    Digits(),
    (Event((3,), "float64"), Event((1, 8, 8), "float32", 10), Event((8, 8), "uint8", 10), Event((1, 4, 4), "uint8")),
    trained=WganGp(channels=(16, 32), patch=1),
)
