"""Studies on Ray, one after another, while their processes and nodes are killed at random moments."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from mad_ray.core.errors import Corrupt, Missing
from mad_ray.ledger.local import LocalStore
from mad_ray.ledger.tensors import decode_tensors
from tests.chaos.cloud import DRAIN_S, Cloud, raylet_of
from tests.chaos.evidence import Evidence, evidence_of, manifests_in
from tests.chaos.judge import Hit, judged
from tests.chaos.outcome import Outcome
from tests.onray.processes import Driver, Study

PROCESSES = {"trial": "ray::ImplicitFunc", "sampler": "ray::MapBatches(", "train worker": "ray::RayTrainWorker"}
NODES = ("raylet", "node", "drained node", "driver and head")
# Many faults a run: trials may be restarted as often as they are killed.
SETS = ("run.retries=10000",)
PATIENCE_S = 400.0
PAUSE_S = 3.0
SEAL = 32


@dataclass
class Campaign:
    """Settings of a study, where it runs, and the dice."""

    settings: dict[str, Any]
    folder: Path
    seed: int
    sets: tuple[str, ...] = ()
    cloud: Cloud | None = None

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.n_studies = 0

    def undisturbed(self) -> Evidence:
        """What the study comes to in one process that nobody kills."""
        study = Study(self.folder / "undisturbed", self.settings, sets=("run.runtime=local",))
        done = study.run()
        assert done.returncode == 0, done.stdout + done.stderr
        return evidence_of(LocalStore(study.store))

    def run(self, plan: Sequence[str]) -> Iterator[Outcome]:
        """One fault after another, as planned, over as many studies as that takes; outcomes as studies end."""
        expected, left = self.undisturbed(), list(plan)
        while left:
            self.n_studies += 1
            yield from self._one_study(expected, left)

    def _one_study(self, expected: Evidence, left: list[str]) -> Iterator[Outcome]:
        study = self._study()
        hits: list[Hit] = []
        driver, code = study.start(), None
        try:
            while code is None:
                hit = self._inflict(left[0], study, driver) if left else None
                if hit is None:
                    code = driver.wait()
                    break
                left.pop(0)
                hits.append(hit)
                if driver.process.poll() is not None:
                    # The same command, at once: what the dead one left behind may still be at work.
                    driver = self._study(study).start()
                self._await_recovery(study, driver, hit)
        finally:
            driver.stop()
        yield from judged(study, hits, expected, code, self.seed)

    def _study(self, same: Study | None = None) -> Study:
        folder = self.folder / f"study{self.n_studies}" if same is None else same.folder
        env = {} if self.cloud is None else {"RAY_ADDRESS": self.cloud.address}
        return Study(folder, self.settings, sets=(*SETS, *self.sets), env=env)

    def _inflict(self, kind: str, study: Study, driver: Driver) -> Hit | None:
        """Wait for a random moment, then do it; None if the command ended before."""
        if not self._until(driver, lambda: self._processes(driver, PROCESSES["trial"])):
            return None
        time.sleep(self.rng.uniform(0, PAUSE_S))
        title, store = PROCESSES.get(kind), LocalStore(study.store)
        while True:
            if title and not self._until(driver, lambda: self._processes(driver, title)):
                return None
            before, progress = manifests_in(store), checkpoints_in(store)
            victims = self._processes(driver, title) if title else []
            if victims or not title:
                break
        if driver.process.poll() is not None:
            return None
        now = time.time()
        if title:
            _kill(self.rng.choice(victims))
        elif kind == "driver":
            _kill_driver(driver)
        else:
            self._take_node(kind, driver)
        print(f"{time.strftime('%H:%M:%S')} {study.folder.name}: {kind}, {len(before)} commits so far", flush=True)
        return Hit(kind, now, now + DRAIN_S * (kind == "drained node"), before, progress)

    def _take_node(self, kind: str, driver: Driver) -> None:
        assert self.cloud is not None
        if kind == "driver and head":
            _kill_driver(driver)
            self.cloud.crash()
            self.cloud.start()
            return
        # Where a trial is: taking an idle node away would be no fault.
        busy = [node for node in self.cloud.nodes if node.processes(PROCESSES["trial"])]
        node = self.rng.choice(busy or self.cloud.nodes)
        if kind == "raylet":
            raylet = raylet_of(node)
            if raylet is not None:
                _kill(raylet)
            # What the raylet leaves behind is not helped to die.
            time.sleep(2.0)
        if kind == "drained node":
            self.cloud.drain(node)
            time.sleep(DRAIN_S)
        self.cloud.lose(node)

    def _processes(self, driver: Driver, title: str) -> list[psutil.Process]:
        """Those of that title, wherever they run."""
        if self.cloud is None:
            return driver.descendants(title)
        return [process for process in self.cloud.processes if title in _title(process)]

    def _until(self, driver: Driver, holds: Any) -> bool:
        """Wait until it holds; False if the command ended before. TimeoutError if nothing happens at all."""
        deadline = time.monotonic() + PATIENCE_S
        while driver.process.poll() is None:
            if holds():
                return True
            if time.monotonic() > deadline:
                raise TimeoutError(f"{PATIENCE_S:.0f} s: {driver.study.screen}")
            time.sleep(0.05)
        return False

    def _await_recovery(self, study: Study, driver: Driver, hit: Hit) -> None:
        """Until every trajectory has committed since, or the command has ended."""
        store = LocalStore(study.store)

        def recovered() -> bool:
            if time.time() < hit.gone_s:
                return False
            since = {key.split("/")[1] for key in manifests_in(store) if key not in hit.before}
            return len(since) >= n_unfinished(hit.before, self.settings)

        self._until(driver, recovered)


def n_unfinished(manifests: dict[str, bytes], settings: dict[str, Any]) -> int:
    """Trajectories that are still to commit, where each generation is a commit of its own."""
    n_commits: dict[str, int] = {}
    for key in manifests:
        n_commits[key.split("/")[1]] = n_commits.get(key.split("/")[1], 0) + 1
    return settings["seeds"] - sum(n == settings["n_generations"] for n in n_commits.values())


def checkpoints_in(store: LocalStore) -> dict[str, tuple[int, int]]:
    """Cohort -> (generation, steps) of the newest checkpoint of a fit in flight."""
    found = {}
    for entry in list(store.list("cohorts/")):
        if "/progress/" in entry.key:
            _, cohort, _, name = entry.key.split("/")
            with suppress(Missing, Corrupt):
                found[cohort] = (int(name[:6]), int(decode_tensors(store.get(entry.key)[SEAL:])["n_done"]))
    return found


def _kill_driver(driver: Driver) -> None:
    driver.process.kill()
    driver.wait()


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def _title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
