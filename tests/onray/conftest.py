"""The undisturbed run that all others are compared with, and an environment that should not matter."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.onray.processes import Study


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/onray/" in item.path.as_posix() and "_processes" in item.path.name:
            item.add_marker(pytest.mark.ray)
            # Starting processes takes seconds on an idle machine, and minutes on a busy one.
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], dict[str, list[str]]]:
    """Settings -> the digests of a run in one process that nobody disturbs."""
    known: dict[str, dict[str, list[str]]] = {}

    def digests(settings: dict[str, Any]) -> dict[str, list[str]]:
        name = settings["name"]
        if name not in known:
            folder = tmp_path_factory.mktemp(f"uninterrupted-{name}")
            study = Study(folder, settings, sets=("run.runtime=local",))
            done = study.run()
            assert done.returncode == 0, done.stdout + done.stderr
            known[name] = study.digests()
            assert [len(of) for of in known[name].values()] == [settings["n_generations"]] * settings["seeds"]
        return known[name]

    return digests


@pytest.fixture(autouse=True)
def _few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results must not depend on what is inherited: what is inherited here is wrong."""
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "2")
