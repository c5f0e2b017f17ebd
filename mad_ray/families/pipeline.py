"""A diffusers pipeline as generation 1: G^1 is the model that lies in a folder, later ones are trained alike."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event
from mad_ray.core.settings import STRICT
from mad_ray.families.denoising import Diffusion
from mad_ray.families.family import Model
from mad_ray.families.network import event_to_arrays, require
from mad_ray.families.pipeline_files import PREDICTIONS, PipelineFiles, read_pipeline

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mad_ray.families.phase import Loss


@dataclass(frozen=True)
class Pipeline(Diffusion):
    """A DDPMPipeline or DDIMPipeline directory of diffusers. G^1 is loaded, not trained: D^1 stays unread.

    From G^2 on its architecture and its noise schedule are trained from scratch on D^t by the settings below. Every
    machine that trains or samples must see the folder. lambda = 1/(1 + w), as for ddpm.
    """

    __pydantic_config__ = STRICT
    name: ClassVar[str] = "pipeline"

    path: str = field(default="", metadata={"execution": True})
    """The folder: model_index.json, unet/ with config.json and safetensors weights, scheduler/."""
    sha256: str = ""
    """Digest of the folder's content; found by itself. Give it, and any other content is refused."""
    learning_rate: float = 1e-3
    """Peak of the one-cycle schedule, from G^2 on."""
    weight_decay: float = 1e-2
    """AdamW's weight decay."""
    sampler: Literal["ddim", "ancestral", "dpm_solver", "sde_dpm_solver"] = "ddim"
    """DDIM, DDPM's own ancestral sampling, DPM-Solver++ (2M) or its stochastic form; not the pipeline's own."""
    sampler_steps: int = 50
    """Network evaluations per sample, at most the scheduler's num_train_timesteps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            return
        # Workers have other working directories.
        object.__setattr__(self, "path", str(Path(self.path).expanduser().resolve()))
        object.__setattr__(self, "sha256", self.sha256.lower() or read_pipeline(self.path).sha256)
        T = self.files.T
        require(
            self.sampler_steps <= T,
            f"family.sampler_steps={self.sampler_steps} exceeds num_train_timesteps={T} of {self.path}; lower it",
        )

    @property
    def files(self) -> PipelineFiles:
        """What lies in the folder. InvalidInput if it is not what the settings were made for."""
        require(
            self.path != "", "family.path is missing: pipeline needs the folder that diffusers' save_pretrained wrote"
        )
        files = read_pipeline(self.path)
        require(
            files.sha256 == self.sha256,
            f"family.path={self.path}: content digest {files.sha256} where family.sha256 expects {self.sha256}; "
            "bring the old files back, or start a study of its own with the new ones",
        )
        return files

    @property
    def is_conditional(self) -> bool:  # type: ignore[override]
        """Whether its network knows classes."""
        return self.files.n_class_embeds > 0

    def n_classes(self, event: Event) -> int:
        """Those of the data, if the network knows classes."""
        return event.n_classes if self.is_conditional else 0

    def multiple(self) -> int:
        """A pixel of the lowest level."""
        return self.files.multiple

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """InvalidInput unless the data are images of the pipeline's size and classes."""
        super().check(event, loop, workers)
        files, found = self.files, "x".join(map(str, event.shape))
        expected = files.shape or (files.unet["in_channels"], *event.shape[1:])
        require(
            tuple(event.shape) == expected,
            f"family=pipeline: the data are {found} (channels, height, width), {self.path} makes "
            f"{'x'.join(map(str, expected))}; take data of that size",
        )
        require(
            files.n_class_embeds in (0, event.n_classes + 1),
            f"family=pipeline: unet/config.json of {self.path} has num_class_embeds={files.n_class_embeds}; data of "
            f"{event.n_classes} classes need {event.n_classes + 1} (the last one means none), or null",
        )

    def first_model(self, event: Event) -> Model | None:
        """G^1: the weights that lie in the folder."""
        from mad_ray.families.neural import module_to_arrays
        from mad_ray.families.pretrained import pretrained

        return {**module_to_arrays(pretrained(self.path, self.files)), **event_to_arrays(event)}

    def build(self, event: Event) -> "nn.Module":
        """A new network of the pipeline's architecture."""
        from mad_ray.families.pretrained import untrained

        return untrained(self.files)

    def loss(self, event: Event) -> "Loss":
        """Of what the pipeline's network predicts, under its own noise schedule."""
        from mad_ray.families.diffusion import diffusion_loss
        from mad_ray.families.pretrained import abar_of_scheduler

        return partial(
            diffusion_loss,
            abar=abar_of_scheduler(self.files),
            n_classes=self.n_classes(event),
            dropout=self.condition_dropout,
            prediction=self._prediction,
        )

    def solve(self, said: "Callable[[Tensor, Any], Tensor]", noise: "Callable[[], Tensor]") -> "Tensor":
        """As for ddpm."""
        from mad_ray.families.diffusion import denoise
        from mad_ray.families.pretrained import abar_of_scheduler

        return denoise(
            said,
            noise,
            abar=abar_of_scheduler(self.files),
            prediction=self._prediction,
            sampler=self.sampler,
            n_steps=self.sampler_steps,
        )

    @property
    def _prediction(self) -> Any:
        return PREDICTIONS[self.files.scheduler.get("prediction_type", "epsilon")]
