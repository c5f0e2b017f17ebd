"""`make soak`: one long study on a cluster under random faults, and how much the processes that outlive them take.

    python -m tests.chaos.soak [--minutes 30] [--pause 20] [--seed N]

The driver and the head of the cluster are never killed: their memory and file descriptors must be flat. Trials,
samplers and nodes are, and replaced; the largest trial at any time must not grow either. In the end the ledgers must be
those of an undisturbed run.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from mad_ray.ledger.local import LocalStore
from tests.chaos.campaign import PROCESSES, SETS
from tests.chaos.cloud import Cloud, a_cloud
from tests.chaos.evidence import evidence_of
from tests.chaos.flat import Sample, Trend, trend_of
from tests.chaos.studies import LAB
from tests.onray.processes import LAB as LAB_FOLDER
from tests.onray.processes import Driver, Study, environment

FOREVER = 1_000_000
SOAK: dict[str, Any] = {**LAB, "name": "soak", "n_generations": FOREVER, "family": {"name": "lab", "fit_s": 0.3}}
# The undisturbed run need not sleep: the numbers are the same.
AWAKE = f"""
import runpy, time
time.sleep = lambda s: None
runpy.run_path({str(LAB_FOLDER / "lab.py")!r}, run_name="__main__")
"""
# Ray's control store remembers up to 100,000 tasks, and as many dead actors, for its dashboard: a memory that fills for
# days before it is bounded. Bounded sooner, it shows whether anything else grows.
FORGETFUL = {"RAY_task_events_max_num_task_in_gcs": "500", "RAY_maximum_gcs_destroyed_actor_cached_count": "50"}
SAMPLE_S = 5.0
# How often each is chosen.
FAULTS = {"trial": 4, "sampler": 4, "node": 1}


@dataclass
class Watch:
    """Series of everything that lives long, by name."""

    series: dict[str, list[Sample]] = field(default_factory=dict)

    def look(self, name: str, *processes: psutil.Process) -> None:
        """One more sample, of the largest of them; processes that are gone add none."""
        found = []
        for process in processes:
            with suppress(psutil.Error):
                memory = process.memory_full_info()
                found.append(((memory.uss + memory.swap) / 2**20, process.num_fds()))
        if found:
            self.series.setdefault(name, []).append(Sample(round(time.monotonic(), 1), *max(found)))

    def trends(self) -> dict[str, Trend]:
        return {name: trend_of(of) for name, of in self.series.items() if len(of) >= 9}


def soak(minutes: float, pause_s: float, seed: int, folder: Path) -> tuple[Watch, dict[str, int], list[str]]:
    """(the series, kind -> faults, what is wrong)"""
    rng, watch, wrong = random.Random(seed), Watch(), []
    with a_cloud(**FORGETFUL) as cloud:
        study = Study(folder, SOAK, sets=SETS, env={"RAY_ADDRESS": cloud.address})
        driver = study.start()
        try:
            counts = _disturb(driver, cloud, watch, rng, minutes, pause_s)
            if driver.process.poll() is not None:
                wrong.append(f"the driver ended with {driver.process.returncode}: {study.screen[-2000:]}")
            driver.process.send_signal(signal.SIGTERM)
            driver.wait()
        finally:
            driver.stop()
    return watch, counts, wrong + _unlike_undisturbed(study, folder)


def _disturb(
    driver: Driver, cloud: Cloud, watch: Watch, rng: random.Random, minutes: float, pause_s: float
) -> dict[str, int]:
    """Until the time is over: a fault now and then, and a look at everything every few seconds."""
    counts = dict.fromkeys(FAULTS, 0)
    end_s = time.monotonic() + minutes * 60
    next_s, n_before = 0.0, 0
    while time.monotonic() < end_s and driver.process.poll() is None:
        _look(driver, cloud, watch)
        n = len(driver.study.keys("/ledger/"))
        # However slow the machine is: what is killed has got somewhere since the last time.
        if time.monotonic() > next_s and n > n_before:
            (kind,) = rng.choices(list(FAULTS), FAULTS.values())
            counts[kind] += _inflict(kind, cloud, rng)
            next_s, n_before = time.monotonic() + rng.uniform(0.5, 1.5) * pause_s, n
            print(f"{(end_s - time.monotonic()) / 60:5.1f} min left: {kind}, {n} commits; {_last(watch)}", flush=True)
        time.sleep(SAMPLE_S)
    return counts


def _look(driver: Driver, cloud: Cloud, watch: Watch) -> None:
    with suppress(psutil.NoSuchProcess):
        watch.look("driver", psutil.Process(driver.process.pid))
    watch.look("largest trial", *_titled(cloud, PROCESSES["trial"]))
    for process in cloud.head:
        with suppress(psutil.Error):
            name = {"raylet": "head's raylet", "gcs_server": "control store"}.get(process.name())
            if name:
                watch.look(name, process)


def _inflict(kind: str, cloud: Cloud, rng: random.Random) -> int:
    """How many were killed: none where none was there."""
    if kind == "node":
        cloud.lose(rng.choice(cloud.nodes))
        return 1
    found = _titled(cloud, PROCESSES[kind])
    if not found:
        return 0
    with suppress(psutil.NoSuchProcess):
        rng.choice(found).kill()
        return 1
    return 0


def _titled(cloud: Cloud, title: str) -> list[psutil.Process]:
    return [process for process in cloud.processes if title in " ".join(_command(process))]


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def _unlike_undisturbed(study: Study, folder: Path) -> list[str]:
    """Run as many generations as there are, alone; what is not the same, and what `verify` finds."""
    found = evidence_of(LocalStore(study.store))
    n = max((len(of) for of in study.manifests().values()), default=0)
    if n == 0:
        return ["nothing was committed"]
    alone = Study(folder / "undisturbed", {**SOAK, "n_generations": n}, sets=("run.runtime=local",))
    command = [sys.executable, "-c", AWAKE, *alone.command[2:]]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if done.returncode != 0:
        return [done.stdout[-2000:] + done.stderr[-2000:]]
    expected = evidence_of(LocalStore(alone.store))
    return [*found.findings, *(key for key, digest in found.digests.items() if expected.digests.get(key) != digest)]


def _last(watch: Watch) -> str:
    return ", ".join(f"{name} {of[-1].mib:.0f} MiB {of[-1].fds} fds" for name, of in watch.series.items())


def main(arguments: Sequence[str]) -> int:
    """0 if all series are flat and nothing came out different."""
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--pause", type=float, default=15.0, help="seconds between two faults, on average")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MAD_RAY_CHAOS_SEED", time.time_ns() % 10**6)))
    parser.add_argument("--series", type=Path, help="write every sample there, as JSON")
    asked = parser.parse_args(arguments)
    print(f"seed {asked.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="mad-ray-soak-"))
    try:
        watch, counts, wrong = soak(asked.minutes, asked.pause, asked.seed, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if asked.series:
        asked.series.write_text(json.dumps({name: [asdict(s) for s in of] for name, of in watch.series.items()}))
    return _tell(watch, counts, wrong)


def _tell(watch: Watch, counts: dict[str, int], wrong: list[str]) -> int:
    print(f"faults: {counts}; wrong: {wrong or 'nothing'}")
    print("| process | minutes | MiB, first third | last third | per hour | descriptors, first third | last third |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    trends = watch.trends()
    for name, t in trends.items():
        print(
            f"| {name} | {t.minutes:.0f} | {t.mib[0]:.1f} | {t.mib[1]:.1f} | {t.mib_per_hour:+.1f} | "
            f"{t.fds[0]:.0f} | {t.fds[1]:.0f} |"
        )
    return 0 if trends and not wrong and all(trend.is_flat for trend in trends.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
