"""Model families, by the name a config gives them."""

from mad_ray.families.categorical import Categorical
from mad_ray.families.ddpm import DDPM
from mad_ray.families.family import Family
from mad_ray.families.gaussian import Gaussian
from mad_ray.families.gmm import Gmm
from mad_ray.families.kde import Kde

FAMILIES: dict[str, type] = {family.name: family for family in (Gaussian, DDPM, Gmm, Kde, Categorical)}

__all__ = ["DDPM", "FAMILIES", "Categorical", "Family", "Gaussian", "Gmm", "Kde"]
