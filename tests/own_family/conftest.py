"""Modules that only one test has, where Python finds them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Writes a module that only this test has, where modules are found; returns its name."""
    monkeypatch.syspath_prepend(tmp_path)
    # Python keeps modules by name: each test's have their own.
    stem = "own_" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]

    def module(text: str) -> str:
        (tmp_path / f"{stem}.py").write_text(text)
        return stem

    return module
