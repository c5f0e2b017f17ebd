"""StyleGAN2 (Karras et al. 2019, 2020), written afresh in plain PyTorch; torch itself loads with the first fit."""

from mad_ray.families.stylegan2.family import StyleGAN2

__all__ = ["StyleGAN2"]
