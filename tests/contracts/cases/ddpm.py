"""Denoising diffusion: lambda = 1/(1 + w) by classifier-free guidance, which draws each class together."""

from mad_ray.core.samples import Event
from mad_ray.data import Digits
from mad_ray.families import DDPM
from tests.contracts.family_case import Case, within_class_variance

CASE = Case(
    DDPM(T=20, schedule="squaredcos_cap_v2", n_steps=3, channels=(8, 16), batch_size=8, sampler_steps=3, chunk=4),
    Digits(),
    (Event((3,), "float64"), Event((1, 8, 8), "float32", 10), Event((8, 8), "uint8", 10)),
    trained=DDPM(n_steps=150),
    spread=within_class_variance,
)
