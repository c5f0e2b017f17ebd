"""Studies on a user's own images, through the command line."""

from pathlib import Path

import pytest

from mad_ray.data import images, source
from mad_ray.engine import reference
from tests.command_line import call, refused
from tests.data.pictures import encoded, made_up, picture, write_folder, write_zip

ROOT = Path(__file__).parents[1]
STUDY = """
study:
  name: own
  n_generations: 2
  data: {{name: images, path: {path}, size: 8}}
  family: {{name: ddpm, n_steps: 5, sampler_steps: 2, channels: [8, 8]}}
  metrics: {{features: identity, n: 5, k: 2, names: [frechet]}}
  loop: {{kind: fully_synthetic, n_initial: 19}}
run: {{runtime: local, store: {folder}/store, output: "{folder}/out"}}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "cache"))


def study(folder: Path, path: Path | str) -> str:
    """A new command: what an earlier one in this process knew is forgotten."""
    for known in (images._catalogue, images._content, source._load_once):
        known.cache_clear()
    reference._references.clear()
    (folder / "own.yaml").write_text(STUDY.format(folder=folder, path=path))
    return str(folder / "own.yaml")


def test_a_study_of_a_folder_goes_on_when_the_folder_moved_and_not_when_its_images_changed(tmp_path, capsys) -> None:
    folder = write_folder(tmp_path / "pictures", made_up())
    code, out, err = call(capsys, "run", study(tmp_path, folder))
    assert (code, err) == (0, "")
    assert "decoding 24 images, once; they are kept in the store" in out
    moved = folder.rename(tmp_path / "moved")
    code, out, _ = call(capsys, "run", study(tmp_path, moved))
    assert code == 0
    assert "1 of 1 ledgers are complete already" in out
    assert "decoding" not in out
    assert call(capsys, "verify", study(tmp_path, moved))[0] == 0
    (moved / "cat/000.png").write_bytes(encoded(picture(99)))
    assert "study.content=" in refused(capsys, "run", study(tmp_path, moved))


def test_a_plan_looks_at_files_and_decodes_none(tmp_path, capsys) -> None:
    files = made_up() | {"cat/000.png": b"no image"}
    code, out, _ = call(capsys, "plan", study(tmp_path, write_zip(tmp_path / "a.zip", files)))
    assert code == 0
    assert "real rows used: 19 of 19" in out
    assert not (tmp_path / "cache" / "datasets").exists()


@pytest.mark.parametrize(
    ("files", "sets", "line"),
    [
        ({"cat/000.png": b""}, (), "data.path={}: cat/000.png cannot be read as an image"),
        ({"cat/000.png": encoded(picture(1, 9, 8))}, ("study.data.resize=none",), "cat/000.png has 9x8 pixels where"),
        ({"x.png": b""}, (), "data.path={}: x.png lies in no class folder"),
        ({}, ("study.data.limit=2",), "data: 2 images leave 2 to train on and 0 held out"),
        ({}, ("study.data.part=train",), "data.part=train: data.path={} has no such part"),
        ({}, ("study.data.path=/nowhere",), "study.data.path=/nowhere: there is no /nowhere"),
        ({}, ("study.data.path=''",), "data.path is missing"),
        ({}, ("study.data.resize=corp",), "did you mean crop?"),
        ({}, ("study.data.sise=3",), "did you mean size?"),
        ({}, ("study.data.channels=4",), "study.data.channels=4"),
        ({}, ("run.memory=0",), "run.memory=0"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, capsys, files, sets, line: str) -> None:
    path = write_folder(tmp_path / "pictures", made_up() | files)
    message = refused(capsys, "run", study(tmp_path, path), *(part for one in sets for part in ("--set", one)))
    assert line.format(path) in message


def test_the_shipped_example_is_planned_on_a_folder_of_that_shape(tmp_path, capsys) -> None:
    folder = write_folder(tmp_path / "pictures", made_up(800, width=40, height=36))
    sets = [f"study.data.path={folder}", f"run.store={tmp_path}/store"]
    config = str(ROOT / "configs" / "families" / "own_images.yaml")
    code, out, err = call(capsys, "plan", config, *(p for one in sets for p in ("--set", one)))
    assert (code, err) == (0, "")
    assert "on images" in out
