"""Metrics that need labels, and embeddings: one clear line where they cannot be had."""

from typing import Any

import pytest

from mad_ray.config import expand, parse_config
from mad_ray.core.errors import InvalidInput
from mad_ray.engine.dynamics import dynamics_of
from mad_ray.metrics.measure import DYNAMICS_NAMES

LOOP = {"kind": "fully_synthetic", "n_initial": 20}
GAUSSIAN = {"name": "a", "data": {"name": "gaussian", "d": 2}, "family": "gaussian", "loop": LOOP}
DIGITS = {"name": "a", "loop": LOOP}


def expanded(study: dict[str, Any], **metrics: Any) -> list:
    return expand(parse_config({"study": {**study, "metrics": {"n": 100, **metrics}}}))


def refused(study: dict[str, Any], **metrics: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        expanded(study, **metrics)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "asked", [{"names": ["accuracy_published"]}, {"names": ["class_recall"]}, {"downstream": True}]
)
def test_labels_asked_for_where_there_are_none(asked: dict) -> None:
    line = refused(GAUSSIAN, **asked)
    assert "needs labelled data, and gaussian has no labels" in line
    unconditional = {**DIGITS, "family": {"name": "ddpm", "conditional": False}}
    assert "family=ddpm as set draws none" in refused(unconditional, **asked)


def test_copies_need_no_labels() -> None:
    assert dynamics_of(expanded(GAUSSIAN, names=["copying", "authenticity"])[0]) == ("copying", "authenticity")


def test_unasked_they_are_measured_of_labelled_images_only() -> None:
    assert dynamics_of(expanded(DIGITS)[0]) == DYNAMICS_NAMES
    assert dynamics_of(expanded({**DIGITS, "family": {"name": "ddpm", "conditional": False}})[0]) == ()
    assert dynamics_of(expanded(GAUSSIAN)[0]) == ()


def test_an_embedding_of_more_samples_than_are_measured() -> None:
    assert "metrics.embedding=101: give 10 to 100" in refused(DIGITS, embedding=101)
    assert "metrics.embedding=5" in refused(DIGITS, embedding=5)
    assert "metrics.embedding_seeds=0: give 1" in refused(DIGITS, embedding_seeds=0)
    assert expanded(DIGITS, embedding=100)[0].identity() == expanded(DIGITS)[0].identity()
