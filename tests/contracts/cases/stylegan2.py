"""StyleGAN2: lambda truncates styles towards their mean."""

from mad_ray.core.samples import Event
from mad_ray.data import Digits
from mad_ray.families import StyleGAN2
from tests.contracts.family_case import Case

CASE = Case(
    # 17 steps: each phase runs at least twice, R1 too. Two parts, so that two workers can share a step.
    StyleGAN2(
        n_steps=17, batch_size=8, micro_batches=2, channel_base=64, channel_max=4, style_size=8, mean_styles=64, chunk=4
    ),
    Digits(),
    (Event((3,), "float64"), Event((1, 8, 8), "float32", 10), Event((8, 8), "uint8", 10), Event((1, 512, 8), "uint8")),
    # Small and fast: 600 steps are too few for the path-length penalty's calm, and for augmentation to begin.
    trained=StyleGAN2(
        n_steps=600, learning_rate=1e-2, channel_max=16, style_size=16, style_mixing=0.5, path_weight=0.0, augment=()
    ),
)
