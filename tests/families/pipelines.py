"""Tiny pipeline folders, as diffusers itself writes them."""

from pathlib import Path
from typing import Any

import torch

from mad_ray.families.neural import initialised
from mad_ray.shims import mend_torchvision


def save_pipeline(
    folder: Path | str,
    *,
    n_class_embeds: int | None = None,
    seed: int = 0,
    safe: bool = True,
    scheduler: dict[str, Any] | None = None,
    kind: str = "DDPMPipeline",
    **unet: Any,
) -> str:
    """Save a small 8x8 grey pipeline with weights from the seed; returns the folder as text."""
    mend_torchvision()
    import diffusers

    blocks = {"down_block_types": ("DownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "UpBlock2D")}
    settings = {"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": (16, 32), **blocks, **unet}
    net = initialised(
        lambda: diffusers.UNet2DModel(
            layers_per_block=1, norm_num_groups=8, add_attention=False, num_class_embeds=n_class_embeds, **settings
        ),
        seed,
    )
    with torch.random.fork_rng(devices=[]):
        schedule = getattr(diffusers, kind.replace("Pipeline", "Scheduler"))(**(scheduler or {}))
        getattr(diffusers, kind)(net, schedule).save_pretrained(str(folder), safe_serialization=safe)
    return str(folder)
