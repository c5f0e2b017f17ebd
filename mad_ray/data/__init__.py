"""Real data P_r, by the name a config gives it."""

from mad_ray.data.analytic import GaussianData
from mad_ray.data.digits import Digits
from mad_ray.data.images import Images
from mad_ray.data.language import Language
from mad_ray.data.mnist import Mnist
from mad_ray.data.modes import Modes
from mad_ray.data.rosenbrock import Rosenbrock
from mad_ray.data.source import Source
from mad_ray.data.text import Text
from mad_ray.data.zipf import Zipf

SOURCES: dict[str, type] = {
    source.name: source for source in (Digits, Mnist, GaussianData, Modes, Rosenbrock, Zipf, Language, Text, Images)
}

__all__ = [
    "SOURCES",
    "Digits",
    "GaussianData",
    "Images",
    "Language",
    "Mnist",
    "Modes",
    "Rosenbrock",
    "Source",
    "Text",
    "Zipf",
]
