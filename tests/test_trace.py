"""Every sample can be traced to its model and drawn again to the same bytes; whatever differs is told."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mad_ray.cli import main
from mad_ray.commands.session import session_of
from mad_ray.config import load_config, parse_config
from mad_ray.config.rebuild import cohort_of
from mad_ray.core.keys import Keys
from mad_ray.engine.past import Past
from mad_ray.engine.redraw import Redraw
from mad_ray.engine.runtime import FitJob, silent
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.open import open_store
from mad_ray.ledger.shards import Origin, decode_shard, encode_shard, origin_of
from mad_ray.ledger.studies import read_study
from tests.command_line import call, refused
from tests.config.test_shipped import ON_OWN_IMAGES, STUDIES, name_of

STUDY = """
study:
  name: traced
  n_generations: 3
  data: digits
  family: {{name: ddpm, n_steps: 4, sampler_steps: 2, channels: [8, 16], attention: false, chunk: 16}}
  metrics: {{features: identity, n: 40, names: [frechet]}}
  cases:
    images: {{loop: {{kind: synthetic_augmentation, n_initial: 40, n_synthetic: 40}}}}
    vectors:
      data: {{name: gaussian, d: 3}}
      family: gaussian
      n_generations: 20
      seeds: [4, 7]
      loop: {{kind: fully_synthetic, n_initial: 30, bias: 0.5}}
run: {{runtime: local, store: {folder}/store, output: "{folder}/{{study}}"}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traced")
    (folder / "study.yaml").write_text(STUDY.format(folder=folder))
    assert main(["run", str(folder / "study.yaml")]) == 0
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished / "store", tmp_path / "store")
    return tmp_path


def cohorts(folder: Path) -> dict[str, str]:
    document = read_study(open_store(str(folder / "store")), "traced")
    return {case["case"]: case["cohorts"][0]["id"] for case in document["cases"]}


def shards(folder: Path, generation: int) -> list[Path]:
    root = folder / "store" / "cohorts" / cohorts(folder)["images"]
    return sorted(root.glob(f"attempts/{generation:06d}-*/samples/*.parquet"))


def traced(capsys, folder: Path, sample: str, *more: str) -> tuple[int, str]:
    code, out, err = call(capsys, "trace", sample, "--store", str(folder / "store"), *more)
    assert err == ""
    return code, out


def test_an_image_is_told_and_drawn_again(finished: Path, tmp_path: Path, capsys) -> None:
    cohort, png = cohorts(finished)["images"], tmp_path / "sample.png"
    code, out = traced(capsys, finished, f"{cohort}:0:2:17", "--output", str(png))
    assert code == 0
    assert "drawn again: identical to the stored sample" in out
    assert "D^2:      real rows 0..39; samples of generation 1, 0..39" in out
    assert "family:   ddpm, " in out
    assert "n_steps=4" in out
    assert "attempt " in out
    samples, start = decode_shard(shards(finished, 2)[0].read_bytes())
    assert start == 0
    assert (np.asarray(Image.open(png).convert("L")) == samples.x[0, 17, 0]).all()


def test_a_row_of_a_copied_shard_is_enough(finished: Path, tmp_path: Path, capsys) -> None:
    file = tmp_path / "anything.parquet"
    shutil.copy(shards(finished, 3)[0], file)
    code, out = traced(capsys, finished, f"{file}:5")
    assert code == 0
    assert "sample:   5 of generation 3, seed 0" in out
    assert "identical to the stored sample and the file's sample" in out


def test_a_sample_that_was_tampered_with_differs(copy: Path, tmp_path: Path, capsys) -> None:
    """The file's own bytes are changed; the store's are not."""
    data = shards(copy, 3)[0].read_bytes()
    samples, start = decode_shard(data)
    origin, _ = origin_of(data, 0)
    x = samples.x.copy()
    x[0, 5] ^= 1
    forged = tmp_path / "forged.parquet"
    forged.write_bytes(encode_shard(replace(samples, x=x), start=start, origin=Origin(**vars(origin))))
    assert traced(capsys, copy, f"{forged}:4")[0] == 0
    code, out = traced(capsys, copy, f"{forged}:5")
    assert code == 1
    assert "NOT the same as the file's sample" in out


def test_another_model_draws_another_sample(finished: Path, capsys, monkeypatch) -> None:
    """That identical means drawn again, not read twice."""
    model = Redraw.model
    monkeypatch.setattr(
        Redraw, "model", lambda self, t: {k: v * 1.5 if v.size > 99 else v for k, v in model(self, t).items()}
    )
    code, out = traced(capsys, finished, f"{cohorts(finished)['images']}:0:2:17")
    assert code == 1
    assert "NOT the same as the stored sample (same versions, same kind of device)" in out


def test_a_retired_sample_is_drawn_again(copy: Path, capsys) -> None:
    store = ("--store", str(copy / "store"), "--study", "traced")
    code, out, _ = call(capsys, "gc", *store, "--keep-samples", "last", "--dry-run")
    assert code == 0
    assert "would delete 2 shards" in out
    code, out, _ = call(capsys, "gc", *store, "--keep-samples", "last")
    assert "deleted 2 shards" in out
    assert "of the samples of 2 generations" in out
    assert not shards(copy, 1)
    assert shards(copy, 3)
    assert "samples of 2 generations retired" in call(capsys, "status", *store)[1]
    assert call(capsys, "verify", *store)[0] == 0
    assert call(capsys, "report", *store, "--output", str(copy / "report"))[0] == 0
    code, out = traced(capsys, copy, f"{cohorts(copy)['images']}:0:1:3")
    assert code == 0
    assert "identical, as its whole retired shard is" in out


@pytest.mark.parametrize("generation", [1, 5, 16, 20])
def test_a_family_that_redraws_fits_again_what_was_not_kept(finished: Path, tmp_path: Path, capsys, generation) -> None:
    """Of a span only its last models are kept; both ways give the sample that the next generation was trained on."""
    file = tmp_path / "x.json"
    sample = f"{cohorts(finished)['vectors']}:7:{generation}:11"
    code, out = traced(capsys, finished, sample, "--output", str(file))
    assert code == 0
    assert "drawn again: from the model as committed" in out
    found = json.loads(file.read_text())["x"]
    assert len(found) == 3
    # Of one and the same chain of models, in process, without a ledger.
    config = parse_config(load_config(finished / "study.yaml"))
    cohort = next(c for c in session_of(config).cohorts if c.case == "vectors")
    past = Past(cohort, Ledger(MemoryStore("nothing"), cohort), [])
    for t in range(1, generation + 1):
        model = FitJob(cohort, t, past.training_set(t), "x").run(silent).model
        past.keep(t, model)
    drawn = cohort.head.family.sample(model, 11, 12, 0.5, Keys((4, 7)).at("sample", generation))
    assert drawn.x[1, 0].tolist() == found


def test_what_cannot_be_is_one_line(finished: Path, tmp_path: Path, capsys) -> None:
    images, vectors = cohorts(finished)["images"], cohorts(finished)["vectors"]
    store = ("--store", str(finished / "store"))
    (tmp_path / "no.parquet").write_bytes(b"nothing")
    shard = shards(finished, 1)[0]
    for sample, words in {
        "": "expected COHORT:SEED:GENERATION:INDEX",
        "a:b": "expected COHORT",
        f"{images}:0:1": "expected COHORT",
        f"{images}:0:-1:1": "expected COHORT",
        f"{images}:0:1:²": "expected COHORT",
        f"{'0' * 16}:0:1:1": "has nothing in",
        f"{images}:0:4:1": "generation 4 is not committed; .* has 1..3",
        f"{images}:0:0:1": "generation 0 is not committed",
        f"{images}:9:1:1": "seed 9 is not in cohort .*; its seeds are 0",
        f"{vectors}:5:1:1": "its seeds are 4, 7",
        f"{images}:0:1:40": r"index 40 is not published; generation 1 has 0..39",
        f"{tmp_path / 'no.parquet'}:0": "not a shard of samples",
        f"{tmp_path / 'missing.parquet'}:0": "No such file",
        f"{tmp_path}/a\0b.parquet:0": "embedded null byte|expected COHORT",
        f"{shard}:40": r"row 40 is not in the file; it has 0..39",
    }.items():
        message = refused(capsys, "trace", sample, *store)
        assert re.search(words, message), message
    assert "give --store" in refused(capsys, "trace", f"{images}:0:1:1")
    assert "--output=x.jpg" in refused(capsys, "trace", f"{images}:0:1:1", *store, "--output", "x.jpg")
    image = ("--output", str(tmp_path / "x.png"))
    assert "is no image" in refused(capsys, "trace", f"{vectors}:4:20:1", *store, *image)
    nowhere = ("--output", "/dev/null/x.npy")
    assert "cannot be written" in refused(capsys, "trace", f"{images}:0:1:1", *store, *nowhere)


OWN = [*ON_OWN_IMAGES]


@pytest.mark.parametrize("path", [path for path in STUDIES if path not in OWN], ids=name_of)
def test_cohorts_are_made_again_from_their_identity(path: Path) -> None:
    """As manifests hold it: the same id, hence the same keys, models and samples."""
    session = session_of(parse_config(load_config(path, ["run.store=memory://shipped"])))
    for cohort in session.cohorts[:40]:
        if not hasattr(cohort.head.data, "content"):
            assert cohort_of(json.loads(json.dumps(cohort.identity)), cohort.id, cohort.n_generations).id == cohort.id
