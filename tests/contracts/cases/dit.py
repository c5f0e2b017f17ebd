"""A diffusion transformer trained as a flow: lambda = 1/(1 + w) by guidance, which draws each class together."""

from mad_ray.core.samples import Event
from mad_ray.data import Digits
from mad_ray.families import DiT
from tests.contracts.family_case import Case, within_class_variance

CASE = Case(
    DiT(n_steps=20, width=16, depth=1, n_heads=2, batch_size=8, sampler_steps=2, chunk=4),
    Digits(),
    (Event((3,), "float64"), Event((1, 8, 8), "float32", 10), Event((8, 8), "uint8", 10)),
    trained=DiT(n_steps=400, depth=2),
    spread=within_class_variance,
)
