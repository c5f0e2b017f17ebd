"""Model families, by the name a config gives them."""

from mad_ray.families.ddpm import DDPM
from mad_ray.families.family import Family
from mad_ray.families.gaussian import Gaussian

FAMILIES: dict[str, type] = {family.name: family for family in (Gaussian, DDPM)}

__all__ = ["DDPM", "FAMILIES", "Family", "Gaussian"]
