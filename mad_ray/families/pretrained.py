"""The network and the noise schedule of a diffusers pipeline directory. Imports torch."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mad_ray.core.errors import InvalidInput
from mad_ray.families.pipeline_files import PipelineFiles
from mad_ray.shims import mend_torchvision


class WithoutLabels(nn.Module):
    """An unconditional UNet2DModel, which takes no label, under the head of one that does."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, t: Tensor | int, label: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        """f(x, t), whatever the label."""
        return self.net(x, t, return_dict=return_dict)


def untrained(files: PipelineFiles) -> nn.Module:
    """A new network of the pipeline's architecture. InvalidInput if diffusers cannot build it."""
    mend_torchvision()
    from diffusers import UNet2DModel

    try:
        net: Any = UNet2DModel.from_config(files.unet)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"family.path: diffusers cannot build unet/config.json ({_line(error)})") from error
    return net if files.n_class_embeds else WithoutLabels(net)


def pretrained(path: str, files: PipelineFiles) -> nn.Module:
    """The network with the weights that lie there, float32. InvalidInput unless they are exactly its own."""
    mend_torchvision()
    import torch
    from diffusers import UNet2DModel

    try:
        net, told = UNet2DModel.from_pretrained(
            str(Path(path) / "unet"),
            torch_dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    # safetensors' own error is an Exception and nothing narrower.
    except Exception as error:
        raise InvalidInput(f"family.path={path}: the weights do not fit unet/config.json ({_line(error)})") from error
    wrong = [*told["missing_keys"], *told["unexpected_keys"]]
    if wrong:
        raise InvalidInput(
            f"family.path={path}: the weights do not fit unet/config.json: {wrong[0]} and {len(wrong) - 1} others are "
            "missing or not expected; save the pipeline again"
        )
    return net if files.n_class_embeds else WithoutLabels(net)


def abar_of_scheduler(files: PipelineFiles) -> Tensor:
    """abar [T] of the pipeline's scheduler, float32."""
    mend_torchvision()
    from diffusers import DDPMScheduler

    names = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
    scheduler: Any = DDPMScheduler(**{name: files.scheduler[name] for name in names if name in files.scheduler})
    return scheduler.alphas_cumprod


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
