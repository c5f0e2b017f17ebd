"""A diffusers pipeline directory as its files tell it: what network, what noise schedule, what content. No torch."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mad_ray.core.errors import InvalidInput
from mad_ray.families.network import require

INDEX, UNET, SCHEDULER = "model_index.json", "unet/config.json", "scheduler/scheduler_config.json"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
FILES = (INDEX, UNET, WEIGHTS, SCHEDULER)
"""All that is read, and so all that the digest covers."""

PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}
"""diffusers' prediction_type -> ours."""


@dataclass(frozen=True)
class PipelineFiles:
    """The two configs of a pipeline that was found fit, and the SHA-256 over names and content of its files."""

    unet: dict[str, Any]
    scheduler: dict[str, Any]
    sha256: str

    @property
    def T(self) -> int:
        """Diffusion steps."""
        return self.scheduler["num_train_timesteps"]

    @property
    def n_class_embeds(self) -> int:
        """Classes that the network knows, "none" among them; 0 if it is unconditional."""
        return self.unet.get("num_class_embeds") or 0

    @property
    def multiple(self) -> int:
        """Of how many pixels height and width must be multiples: each level but the last halves them."""
        return 2 ** (len(self.unet["down_block_types"]) - 1)

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Channels, height and width of its images; None where the config leaves their size open."""
        size = self.unet.get("sample_size")
        if size is None:
            return None
        height, width = (size, size) if isinstance(size, int) else size
        return self.unet["in_channels"], height, width


def read_pipeline(path: str) -> PipelineFiles:
    """The pipeline in the folder `path`. InvalidInput, in one line, if there is none that this family can train."""
    folder = Path(path)
    require(folder.is_dir(), f"family.path={path}: no such folder; give the folder that save_pretrained wrote")
    for name in FILES:
        require((folder / name).is_file(), f"family.path={path}: {name} is missing{_hint(folder, name)}")
    stats = [(folder / name).stat() for name in FILES]
    return _read(path, tuple((stat.st_size, stat.st_mtime_ns) for stat in stats))


def _hint(folder: Path, name: str) -> str:
    if name != WEIGHTS:
        return "; it must be a DDPMPipeline or DDIMPipeline as diffusers' save_pretrained writes it"
    if any((folder / "unet").glob("*.bin")):
        return ", and pickled weights (.bin) can run any code, so they are refused; save with safe_serialization=True"
    return "; save the pipeline with safe_serialization=True, in one file"


@lru_cache(maxsize=8)
def _read(path: str, stamps: tuple[tuple[int, int], ...]) -> PipelineFiles:
    """stamps: sizes and times of the files, so that a changed one is read again."""
    index, unet, scheduler = (_json(path, name) for name in (INDEX, UNET, SCHEDULER))
    try:
        _check_index(path, index)
        _check_unet(path, unet)
        _check_scheduler(path, scheduler)
    except (KeyError, TypeError) as error:
        raise InvalidInput(f"family.path={path}: a config lacks {error}; save the pipeline again") from error
    return PipelineFiles(unet, scheduler, _digest(path))


def _json(path: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads((Path(path) / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"family.path={path}: {name} cannot be read as JSON ({error})") from error
    require(isinstance(found, dict), f"family.path={path}: {name} is no JSON object; save the pipeline again")
    return found


def _digest(path: str) -> str:
    sha = hashlib.sha256()
    for name in FILES:
        with (Path(path) / name).open("rb") as file:
            sha.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return sha.hexdigest()


def _check_index(path: str, index: dict[str, Any]) -> None:
    expected = {
        "_class_name": (index.get("_class_name"), ("DDPMPipeline", "DDIMPipeline")),
        "unet": (index["unet"][1], ("UNet2DModel",)),
        "scheduler": (index["scheduler"][1], ("DDPMScheduler", "DDIMScheduler")),
    }
    for name, (found, known) in expected.items():
        require(found in known, f"family.path={path}: {INDEX}: {name} is {found}; expected {' or '.join(known)}")


def _check_unet(path: str, unet: dict[str, Any]) -> None:
    """What would make the loop another than it says: other outputs, embeddings of classes, unaddressed dropout."""
    where = f"family.path={path}: {UNET}"
    require(
        unet["in_channels"] == unet["out_channels"],
        f"{where}: out_channels={unet['out_channels']} with in_channels={unet['in_channels']}; a network that also "
        "predicts variances cannot be used",
    )
    require(
        not unet.get("dropout"),
        f"{where}: dropout={unet.get('dropout')} would draw from a generator that no key names; set it to 0",
    )
    require(
        unet.get("class_embed_type") is None,
        f"{where}: class_embed_type={unet.get('class_embed_type')}; expected null, with num_class_embeds",
    )
    kind = unet.get("time_embedding_type", "positional")
    require(kind in ("positional", "learned"), f"{where}: time_embedding_type={kind}; expected positional or learned")
    require(len(unet["down_block_types"]) > 0, f"{where}: down_block_types is empty")


def _check_scheduler(path: str, scheduler: dict[str, Any]) -> None:
    where = f"family.path={path}: {SCHEDULER}"
    kind = scheduler.get("prediction_type", "epsilon")
    require(kind in PREDICTIONS, f"{where}: prediction_type={kind}; expected one of {', '.join(PREDICTIONS)}")
    for name in ("thresholding", "rescale_betas_zero_snr"):
        require(not scheduler.get(name), f"{where}: {name}=true is not supported; set it to false if that will do")
    require(scheduler["num_train_timesteps"] >= 1, f"{where}: num_train_timesteps is below 1")
