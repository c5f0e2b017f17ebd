"""Model families, by the name a config gives them."""

from mad_ray.families.categorical import Categorical
from mad_ray.families.ddpm import DDPM
from mad_ray.families.family import Family
from mad_ray.families.flow import Flow
from mad_ray.families.flow_matching import DiT, FlowMatching
from mad_ray.families.functions import Functions
from mad_ray.families.gaussian import Gaussian
from mad_ray.families.gmm import Gmm
from mad_ray.families.kde import Kde
from mad_ray.families.lm import LanguageModel
from mad_ray.families.pipeline import Pipeline
from mad_ray.families.stylegan2 import StyleGAN2
from mad_ray.families.vae import Vae
from mad_ray.families.wgan_gp import WganGp

FAMILIES: dict[str, type] = {
    family.name: family
    for family in (
        Gaussian,
        DDPM,
        Gmm,
        Kde,
        Categorical,
        Flow,
        LanguageModel,
        FlowMatching,
        DiT,
        Functions,
        Pipeline,
        Vae,
        WganGp,
        StyleGAN2,
    )
}

__all__ = [
    "DDPM",
    "FAMILIES",
    "Categorical",
    "DiT",
    "Family",
    "Flow",
    "FlowMatching",
    "Functions",
    "Gaussian",
    "Gmm",
    "Kde",
    "LanguageModel",
    "Pipeline",
    "StyleGAN2",
    "Vae",
    "WganGp",
]
