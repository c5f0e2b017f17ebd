"""Laws of the pipeline family: G^1 is what diffusers saved, later ones its architecture anew; what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import identity
from mad_ray.core.keys import Keys
from mad_ray.core.loop import fully_synthetic
from mad_ray.core.samples import NO_LABEL, Event, Samples
from mad_ray.families import Pipeline
from mad_ray.families.denoising import next_normals
from mad_ray.families.diffusion import to_bytes
from mad_ray.families.progress import Progress
from tests.families.in_memory import InMemory
from tests.families.pipelines import save_pipeline

GREY, DIGITS = Event((1, 8, 8), "uint8", 0), Event((1, 8, 8), "uint8", 10)
KEYS = Keys((3,))
LOOP = fully_synthetic(n_initial=10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(save_pipeline(tmp_path_factory.mktemp("pipeline")))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """The folder, to be spoilt."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def family(folder: Path | str, **settings: object) -> Pipeline:
    chosen = {"n_steps": 2, "batch_size": 4, "sampler_steps": 4, "chunk": 4, **settings}
    return Pipeline(path=str(folder), **chosen)


def images(n: int = 8) -> InMemory:
    x = np.random.default_rng(0).integers(0, 256, (1, n, 1, 8, 8), np.uint8)
    stream = InMemory(Samples.of(x))
    stream.event = GREY
    return stream


def change(folder: Path, name: str, **entries: object) -> Path:
    config = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(config | entries))
    return folder


def test_the_first_model_is_the_one_that_lies_there(folder):
    """diffusers' own pipeline, from the same noise and by DDIM without noise, makes the same images."""
    from diffusers import DDIMScheduler, UNet2DModel

    ours = family(folder)
    model = ours.first_model(GREY)
    net = UNet2DModel.from_pretrained(str(folder / "unet"))
    theirs = {f"net.net.{name}": tensor.numpy() for name, tensor in net.state_dict().items()}
    assert {name for name in model if name.startswith("net.")} == theirs.keys()
    assert all(np.array_equal(model[name], theirs[name]) for name in theirs)

    scheduler = DDIMScheduler.from_pretrained(str(folder / "scheduler"), timestep_spacing="trailing")
    scheduler.set_timesteps(4)
    keys = KEYS.at("sample", 1)
    x = torch.from_numpy(next_normals([keys.generator(0, i) for i in range(4)], GREY.shape))
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(net(x, t).sample, t, x, use_clipped_model_output=True).prev_sample
    drawn = ours.sample(model, 0, 4, 1.0, keys)
    assert set(drawn.label[0]) == {NO_LABEL}
    # The last bits of float32 may round to the neighbouring byte.
    assert np.abs(drawn.x[0].astype(int) - to_bytes(x).numpy().astype(int)).max() <= 1


def test_later_generations_train_its_architecture_from_scratch(folder):
    ours = family(folder)
    first, fitted = ours.first_model(GREY), ours.fit(images(), KEYS.at("fit", 2), Progress())
    assert fitted.keys() == first.keys()
    assert all(fitted[name].shape == first[name].shape for name in first)
    assert any(not np.array_equal(fitted[name], first[name]) for name in first)
    other = ours.fit(images(), Keys((4,)).at("fit", 2), Progress())
    assert any(not np.array_equal(fitted[name], other[name]) for name in first), (
        "its start is its keys', not the folder's"
    )
    assert ours.sample(fitted, 0, 5, 1.0, KEYS).x.shape == (1, 5, 1, 8, 8)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("kind", ["DDPMPipeline", "DDIMPipeline"])
def test_schedulers_say_what_is_predicted(tmp_path, kind, prediction):
    settings = {"num_train_timesteps": 20, "beta_schedule": "squaredcos_cap_v2", "prediction_type": prediction}
    ours = family(save_pipeline(tmp_path, kind=kind, scheduler=settings))
    ours.check(GREY, LOOP, 0)
    assert ours.files.T == 20
    assert ours.sample(ours.fit(images(), KEYS, Progress()), 0, 2, 1.0, KEYS).x.shape == (1, 2, 1, 8, 8)


def test_classes_and_guidance_where_the_network_knows_none_too(tmp_path):
    ours = family(save_pipeline(tmp_path, n_class_embeds=11))
    ours.check(DIGITS, fully_synthetic(n_initial=10, bias=0.5), 0)
    model = ours.first_model(DIGITS)
    drawn = {bias: ours.sample(model, 0, 5, bias, KEYS) for bias in (1.0, 0.5)}
    assert drawn[1.0].label[0].tolist() == [0, 1, 2, 3, 4]
    assert not np.array_equal(drawn[1.0].x, drawn[0.5].x)


def test_identity_is_the_content_wherever_it_lies(folder, copy):
    assert identity(Pipeline(path=str(folder))) == identity(Pipeline(path=str(copy)))
    assert set(identity(Pipeline(path=str(folder)))) == {"name", "sha256"}
    before = Pipeline(path=str(copy)).sha256
    (copy / "README.md").write_text("what diffusers does not read")
    assert Pipeline(path=str(copy)).sha256 == before
    change(copy, "scheduler/scheduler_config.json", beta_end=0.03)
    assert Pipeline(path=str(copy)).sha256 != before
    assert identity(Pipeline()) == {"name": "pipeline"}


def test_content_that_changes_under_a_study_is_refused(copy):
    ours = family(copy)
    change(copy, "scheduler/scheduler_config.json", beta_end=0.03)
    with pytest.raises(InvalidInput, match=r"content digest .* where family\.sha256 expects"):
        ours.first_model(GREY)
    with pytest.raises(InvalidInput, match="content digest"):
        replace(family(copy), sha256="0" * 64).check(GREY, LOOP, 0)


def refused(message: str, folder: Path | str, event: Event = GREY, bias: float = 1.0) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        family(folder).check(event, fully_synthetic(n_initial=10, bias=bias), 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("event", "bias", "message"),
    [
        (Event((1, 28, 28), "uint8"), 1.0, "the data are 1x28x28 .* makes 1x8x8"),
        (Event((3, 8, 8), "uint8"), 1.0, "the data are 3x8x8 .* makes 1x8x8"),
        (Event((3,), "float64"), 1.0, "family=pipeline needs images"),
        (DIGITS, 0.5, r"loop\.bias=0\.5: family=pipeline .* told no class"),
    ],
)
def test_data_that_do_not_fit_are_refused(folder, event, bias, message):
    refused(message, folder, event, bias)


def test_labelled_data_may_train_an_unconditional_network(folder):
    family(folder).check(DIGITS, LOOP, 0)


def test_a_missing_folder_or_file_is_named(copy):
    with pytest.raises(InvalidInput, match=r"family\.path is missing"):
        Pipeline().check(GREY, LOOP, 0)
    refused("no such folder", copy / "nowhere")
    for name in ("scheduler/scheduler_config.json", "unet/config.json", "model_index.json"):
        (copy / name).unlink()
        refused(f"{name} is missing", copy)


def test_pickled_weights_are_refused(tmp_path):
    refused(r"pickled weights \(\.bin\) can run any code", save_pipeline(tmp_path, safe=False))


@pytest.mark.parametrize(
    ("name", "entries", "message"),
    [
        ("model_index.json", {"_class_name": "StableDiffusionPipeline"}, "_class_name is StableDiffusionPipeline"),
        ("model_index.json", {"unet": ["diffusers", "UNet2DConditionModel"]}, "unet is UNet2DConditionModel"),
        ("unet/config.json", {"dropout": 0.1}, "dropout=0.1 would draw"),
        ("unet/config.json", {"out_channels": 2}, "out_channels=2 with in_channels=1"),
        ("unet/config.json", {"class_embed_type": "timestep"}, "class_embed_type=timestep"),
        ("unet/config.json", {"time_embedding_type": "fourier"}, "time_embedding_type=fourier"),
        ("unet/config.json", {"num_class_embeds": 10}, "num_class_embeds=10; data of 0 classes need 1"),
        ("scheduler/scheduler_config.json", {"prediction_type": "flow"}, "prediction_type=flow; expected one of"),
        ("scheduler/scheduler_config.json", {"thresholding": True}, "thresholding=true is not supported"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 3}, "sampler_steps=4 exceeds"),
    ],
)
def test_what_cannot_be_trained_alike_is_refused(copy, name, entries, message):
    refused(message, change(copy, name, **entries))


def test_a_config_that_is_no_config_is_refused(copy):
    (copy / "unet/config.json").write_text("{")
    refused("cannot be read as JSON", copy)
    (copy / "unet/config.json").write_text("{}")
    refused("a config lacks 'in_channels'", copy)


def test_weights_of_another_network_are_refused(copy, tmp_path):
    change(copy, "unet/config.json", block_out_channels=[16, 64])
    with pytest.raises(InvalidInput, match="the weights do not fit") as caught:
        family(copy).first_model(GREY)
    assert "\n" not in str(caught.value)
    (copy / "unet/diffusion_pytorch_model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(InvalidInput, match="the weights do not fit"):
        family(copy).first_model(GREY)
