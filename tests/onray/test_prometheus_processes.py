"""A real Prometheus scrapes a running study; what it knows at the end is what the ledger says."""

import json
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from mad_ray.core.values import decode_rows
from mad_ray.ledger.open import open_store
from mad_ray.onray.metrics import NAMES
from tests.onray.cluster import Cluster, own_cluster
from tests.onray.processes import Driver, Study

ROOT = Path(__file__).parents[2]
PROMETHEUS = shutil.which("prometheus")
STUDY: dict[str, Any] = {
    "name": "scraped",
    "n_generations": 3,
    "seeds": 2,
    "data": {"name": "gaussian", "d": 2},
    "family": {"name": "lab", "fit_s": 1.0},
    "loop": {"n_initial": 100, "n_synthetic": 100},
    "metrics": {"n": 200, "names": ["frechet", "precision", "recall"]},
    "cases": {"works": {}, "fails": {"seeds": 1, "family": {"fails": "fit"}}},
}
OFTEN = {"RAY_metrics_report_interval_ms": "500"}


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str

    def ask(self, query: str) -> dict[str, float]:
        """cohort -> value, of an instant query."""
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}") as answer:
            found = json.load(answer)["data"]["result"]
        return {of["metric"]["cohort"]: float(of["value"][1]) for of in found}


@contextmanager
def prometheus(cluster: Cluster, folder: Path) -> Iterator[Prometheus]:
    """As users are told to configure it, but for how often it looks and where Ray's file is."""
    config = yaml.safe_load((ROOT / "cluster" / "prometheus.yml").read_text())
    config["global"]["scrape_interval"] = "1s"
    (discovery,) = config["scrape_configs"][0]["file_sd_configs"]
    discovery |= {"files": [str(cluster.folder / Path(discovery["files"][0]).name)], "refresh_interval": "1s"}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [str(PROMETHEUS), f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address={address}"]
    with open(folder / "prometheus.log", "w") as log:
        process = subprocess.Popen([*command, f"--storage.tsdb.path={folder / 'tsdb'}"], stdout=log, stderr=log)
    try:
        yield Prometheus(f"http://{address}")
    finally:
        process.terminate()
        process.wait(timeout=60)


def trials(cluster: Cluster) -> list[psutil.Process]:
    """Processes of the cluster that run a trial now."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "ray::ImplicitFunc.train" in " ".join(process.info["cmdline"] or []):
            lines = [" ".join(parent.cmdline()) for parent in process.parents()]
            found += [process] if any(str(cluster.folder) in line for line in lines) else []
    return found


def kill_a_trial_after_a_commit(driver: Driver, cluster: Cluster) -> None:
    def working() -> list[psutil.Process]:
        return trials(cluster) if driver.study.keys("/ledger/000001.json") else []

    driver.until("a trial to kill", working)[0].kill()


def ledger_says(study: Study) -> dict[str, dict[str, float]]:
    """What each metric must come to."""
    store = open_store(study.store)
    found: dict[str, dict[str, float]] = {}

    def add(name: str, value: float, cohort: str) -> None:
        of = found.setdefault(name, {})
        of[cohort] = of.get(cohort, 0) + value

    for cohort, manifests in study.manifests().items():
        last = manifests[-1]
        blob = f"cohorts/{cohort}/attempts/{last.first:06d}-{last.attempt}/{last.metrics.name}"
        for row in decode_rows(store.get(blob)):
            if row["generation"] == last.last:
                add(f"mad_ray_{row['metric']}", row["value"], cohort)
        add("mad_ray_generation", last.last, cohort)
        for manifest in manifests:
            add("mad_ray_generations_total", 1, cohort)
            add("mad_ray_written_bytes_total", manifest.provenance["n_bytes"], cohort)
            for stage, seconds in manifest.provenance["seconds"].items():
                add(f"mad_ray_{stage}_seconds_total", seconds, cohort)
    return found


@pytest.mark.skipif(PROMETHEUS is None, reason="no prometheus here: apt-get install --no-install-recommends prometheus")
def test_prometheus_knows_what_the_ledger_knows(tmp_path):
    with own_cluster(4, **OFTEN) as cluster, prometheus(cluster, tmp_path) as server:
        study = Study(tmp_path, STUDY, env={"RAY_ADDRESS": cluster.address, **OFTEN})
        driver = study.start()
        kill_a_trial_after_a_commit(driver, cluster)
        assert driver.wait() == 1, study.screen
        expected = ledger_says(study)
        last = {name: server.ask(f'last_over_time(ray_{name}{{study="scraped"}}[1h])') for name in NAMES}
    for name, values in expected.items():
        known = {key: value for key, value in last[name].items() if value}
        assert known == pytest.approx({key: value for key, value in values.items() if value}, rel=1e-6), name
    assert list(last["mad_ray_generations_wanted"].values()) == [3, 3, 3], "the failed trajectory among them"
    assert sum(last["mad_ray_failures_total"].values()) == 1
    assert sum(last["mad_ray_retries_total"].values()) >= 1
