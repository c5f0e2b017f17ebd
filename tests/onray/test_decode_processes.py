"""Images decoded by many processes are those decoded by one; what they refuse is told as by one."""

import os
from pathlib import Path

import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.data import Images
from mad_ray.engine.dataset import decode_here, prepare
from mad_ray.ledger.open import open_store
from mad_ray.onray.cluster import ray_session
from mad_ray.onray.decode import decode_with_data
from mad_ray.onray.resources import Execution
from tests.data.pictures import made_up, write_folder


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MAD_RAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(os.environ, "RAY_AUTH_MODE", "disabled")
    monkeypatch.delitem(os.environ, "RAY_ADDRESS", raising=False)


def test_through_ray_data_as_in_one_process(tmp_path: Path) -> None:
    """700 images in four parts; then the same with two that cannot be read, in different parts."""
    files = made_up(700)
    data = Images(str(write_folder(tmp_path / "good", files)), size=160)
    bad = Images(str(write_folder(tmp_path / "bad", files | {"cat/000.png": b"", "owl/698.png": b""})), size=160)
    here, there = (open_store(str(tmp_path / name)) for name in ("here", "there"))
    prepare(here, [data], decode_here, lambda line: None)
    with ray_session(Execution(), 1, 4):
        prepare(there, [data], decode_with_data, lambda line: None)
        with pytest.raises(InvalidInput, match=r"cat/000.png cannot be read .* it is the first of 2"):
            prepare(there, [bad], decode_with_data, lambda line: None)
        (tmp_path / "bad").rename(tmp_path / "gone")
        with pytest.raises(InvalidInput, match=r"there is no|cannot be read"):
            prepare(there, [bad], decode_with_data, lambda line: None)
    keys = [[entry.key for entry in store.list("datasets/") if data.dataset in entry.key] for store in (here, there)]
    assert len(keys[0]) == 5, "four parts and what names them: more than are decoded without a pipeline"
    assert keys[0] == keys[1]
    assert all(here.get(key) == there.get(key) for key in keys[0])
