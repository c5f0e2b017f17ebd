"""Real processes for tests of the Ray edge: a mad-ray command, its descendants, and how to kill them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from mad_ray.core.manifest import Manifest
from mad_ray.ledger.open import open_store

LAB = Path(__file__).parent / "lab"
PATIENCE_S = 400.0


def environment(**extra: str) -> dict[str, str]:
    """As the caller's, with the test family in reach of every worker, and no cluster to join."""
    env = {**os.environ, "PYTHONPATH": str(LAB), "PYTHONUNBUFFERED": "1", "RAY_AUTH_MODE": "disabled", **extra}
    if "RAY_ADDRESS" not in extra:
        env.pop("RAY_ADDRESS", None)
    return env


@dataclass
class Study:
    """A study of two trajectories in a folder of its own, and the commands that run it."""

    folder: Path
    settings: Mapping[str, Any]
    store: str = ""
    sets: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store = self.store or str(self.folder / "store")
        run = {"store": self.store, "output": str(self.folder / "output")}
        (self.folder / "study.yaml").write_text(yaml.safe_dump({"study": dict(self.settings), "run": run}))

    @property
    def command(self) -> list[str]:
        sets = [part for text in self.sets for part in ("--set", text)]
        return [sys.executable, str(LAB / "lab.py"), "run", str(self.folder / "study.yaml"), *sets]

    def reading(self, command: str) -> list[str]:
        """A command that reads the study's store."""
        return [sys.executable, str(LAB / "lab.py"), command, "--store", self.store, "--study", self.settings["name"]]

    def run(self) -> subprocess.CompletedProcess[str]:
        """To its end; what it printed is in .stdout, errors included."""
        return subprocess.run(
            self.command, env=environment(**self.env), capture_output=True, text=True, timeout=PATIENCE_S
        )

    def start(self) -> "Driver":
        """In the background."""
        with open(self.folder / "screen.txt", "a") as screen:
            process = subprocess.Popen(
                self.command, env=environment(**self.env), stdout=screen, stderr=screen, start_new_session=True
            )
        return Driver(self, process)

    def manifests(self) -> dict[str, list[Manifest]]:
        """cohort -> its manifests."""
        found: dict[str, list[Manifest]] = {}
        store = open_store(self.store)
        for key in self.keys("ledger/"):
            found.setdefault(key.split("/")[1], []).append(Manifest.from_json(store.get(key), key))
        return found

    def digests(self) -> dict[str, list[str]]:
        """What must be the same however the study was run: content of manifests, and with it hashes of all data."""
        return {cohort: [manifest.digest for manifest in of] for cohort, of in self.manifests().items()}

    def keys(self, part: str) -> list[str]:
        return [entry.key for entry in open_store(self.store).list("cohorts/") if part in entry.key]

    def n_attempts(self) -> dict[str, int]:
        """cohort -> attempts that left an object."""
        prefixes = {tuple(key.split("/")[1:4:2]) for key in self.keys("/attempts/")}
        return {cohort: sum(1 for of, _ in prefixes if of == cohort) for cohort, _ in prefixes}

    @property
    def screen(self) -> str:
        return (self.folder / "screen.txt").read_text()


@dataclass
class Driver:
    """A running mad-ray command."""

    study: Study
    process: subprocess.Popen

    def descendants(self, title: str = "") -> list[psutil.Process]:
        """Its processes whose title holds that text: "ray::" ones are Ray's workers, named by what they do."""
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [process for process in found if title in _title(process)]

    def until(self, what: str, holds: Callable[[], Any]) -> Any:
        """Wait for a moment of the run; AssertionError if the run ends before."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = holds()
            if found:
                return found
            assert self.process.poll() is None, f"ended before {what}: {self.study.screen}"
            time.sleep(0.02)
        raise AssertionError(f"waited {PATIENCE_S:.0f} s for {what}: {self.study.screen}")

    def kill_descendant(self, title: str) -> None:
        """SIGKILL one process of that title as soon as there is one."""
        self.until(title, lambda: self.descendants(title))[0].kill()

    def wait(self) -> int:
        """The exit code."""
        return self.process.wait(timeout=PATIENCE_S)

    def stop(self) -> None:
        """Whatever is left of it."""
        kill_all([*self.descendants(), psutil.Process(self.process.pid)] if self.process.poll() is None else [])


def kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def gone_within(processes: list[psutil.Process], seconds: float) -> list[str]:
    """Titles of those still alive after so long."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return [_title(process) for process in alive]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
