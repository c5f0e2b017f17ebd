"""Studies of text as a user runs them: measured, judged, shown as they are written; bad combinations in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mad_ray.analysis.table import read_result
from mad_ray.cli import main
from mad_ray.config import expand, parse_config
from mad_ray.core.errors import InvalidInput
from mad_ray.data import Language, Text
from mad_ray.ledger.open import open_store
from tests.conftest import S3
from tests.report.checker import Checker

STUDY = """
study:
  name: tiny
  n_generations: 2
  data: {data}
  family: {{name: lm, layers: 1, width: 16, heads: 2, n_steps: 2, batch_size: 8, chunk: 16}}
  metrics: {{features: ngrams, n: 20, names: [{names}]}}
  loop: {{kind: fully_synthetic, n_initial: 24, bias: 0.9}}
run: {{runtime: local, store: {folder}/store, output: "{folder}"}}
"""
NAMES = ("frechet", "recall", "distinct_1", "distinct_2", "distinct_3", "tail_recall", "perplexity")
OF_LANGUAGE = (*NAMES, "rule_error", "kl_per_token")
LANGUAGE = Language(n_words=30, n_rules=4, length=8)
STUDIED: dict[str, Any] = {
    "name": "a",
    "data": "language",
    "family": "lm",
    "loop": {"kind": "fully_synthetic", "n_initial": 20},
    "metrics": {"features": "ngrams", "n": 50},
}


def finished(folder: Path, data: str, names: tuple[str, ...]):
    path = folder / "study.yaml"
    path.write_text(STUDY.format(folder=folder, data=data, names=", ".join(names)))
    assert main(["run", str(path)]) == 0
    return read_result(open_store(str(folder / "store")), "tiny")


def refused(**over: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        expand(parse_config({"study": {**STUDIED, **over}}))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_language_is_measured_and_shown_word_by_word(tmp_path: Path) -> None:
    result = finished(tmp_path, "{name: language, n_words: 30, n_rules: 4, length: 8}", OF_LANGUAGE)
    assert set(result.table.metric) == set(OF_LANGUAGE)
    assert len(result.table) == 2 * len(OF_LANGUAGE)
    assert set(result.floors.metric) == set(OF_LANGUAGE) - {"perplexity", "kl_per_token"}
    floors = result.floors.set_index("metric").value
    assert floors["rule_error"] == 0
    (case,) = result.cases
    held = LANGUAGE.held_out(3).x[0]
    assert case.real_texts == [LANGUAGE.spelling().text(row) for row in held]
    words = {piece.decode().strip() for piece in LANGUAGE.spelling().pieces}
    assert case.texts.keys() == {0}
    assert case.texts[0].keys() == {1, 2}
    assert all(len(text.split()) == 8 and set(text.split()) <= words for text in case.texts[0][2])
    page = Checker.of(tmp_path / "report" / "index.html")
    assert case.texts[0][2][0].strip() in page.text
    assert case.real_texts[0].strip() in page.text
    assert "rare pairs alive" in page.text


@pytest.mark.parametrize("tokens", ["bytes", "bpe"])
def test_a_text_file_is_measured_and_shown_character_by_character(tmp_path: Path, tokens: str) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("".join(f"Line {i} says: <b>caf\u00e9</b> & tea.\n" for i in range(300)), encoding="utf-8")
    data = f"{{name: text, path: {path}, tokens: {tokens}, vocabulary: 300, length: 12, held_out_share: 0.3}}"
    result = finished(tmp_path, data, NAMES)
    assert np.isfinite(result.table.value).all()
    assert set(result.table.metric) == set(NAMES)
    (case,) = result.cases
    whole = path.read_text(encoding="utf-8")
    assert all(text.strip("\ufffd") in whole for text in case.real_texts)
    html = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<b>caf" not in html


def test_a_text_lies_in_s3_as_on_a_disk(s3: S3, tmp_path: Path) -> None:
    import boto3

    content = "all work and no play " * 100
    (tmp_path / "here.txt").write_text(content)
    client = boto3.client("s3", endpoint_url=s3.endpoint, region_name="us-east-1")
    client.put_object(Bucket=s3.bucket, Key="texts/there.txt", Body=content.encode())
    here = Text(path=str(tmp_path / "here.txt"), length=8)
    there = Text(path=f"s3://{s3.bucket}/texts/there.txt", length=8)
    assert there.content == here.content
    assert there.held_out(9).x.tobytes() == here.held_out(9).x.tobytes()
    with pytest.raises(InvalidInput, match=r"nowhere\.txt"):
        Text(path=f"s3://{s3.bucket}/texts/nowhere.txt")


def test_text_and_its_metrics_go_together() -> None:
    assert "would take the numbers of tokens for quantities; use ngrams" in refused(metrics={"n": 50})
    digits: dict[str, Any] = {"data": "digits", "family": "ddpm"}
    assert "features=ngrams counts tokens, and digits is no text" in refused(**digits)
    of_text = {"n": 50, "names": ["frechet", "distinct_2"]}
    assert "distinct_2 needs text, and digits is none" in refused(**digits, metrics=of_text)
    snapshots = {"features": "ngrams", "n": 50, "snapshots": [1]}
    assert "snapshots are for vectors" in refused(metrics=snapshots)
    assert "family=gaussian needs vectors; data gives sequences of 32 tokens" in refused(family="gaussian")
    unknown = {"features": "ngrams", "n": 50, "names": ["w2_squared"]}
    assert "family=lm does not measure w2_squared; it knows perplexity, kl_per_token" in refused(metrics=unknown)


@pytest.mark.parametrize(("name", "fact"), [("rule_error", "rules"), ("kl_per_token", "probabilities")])
def test_what_only_a_known_language_tells_is_refused_for_a_text(tmp_path: Path, name: str, fact: str) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("so it goes on and on. " * 400)
    data = {"name": "text", "path": str(path), "length": 8}
    message = refused(data=data, metrics={"features": "ngrams", "n": 50, "names": [name]})
    assert f"{name} needs data of known {fact}, and those of text are not known; leave {name} out" in message
