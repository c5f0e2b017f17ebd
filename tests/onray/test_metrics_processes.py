"""Metrics of a thousand trajectories and more: what is exported stays bounded, and stays."""

import json
import re
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from mad_ray.core.loop import Loop
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.engine.trajectory import Commit
from tests.onray.cluster import Cluster, own_cluster
from tests.onray.processes import PATIENCE_S

N_COHORTS = 1200
VALUES = {"frechet": 1.5, "precision": 0.5, "recall": 0.5, "coverage": 0.5}
SECONDS = {"fit": 2.0, "sample": 1.0}


@dataclass(frozen=True)
class Settings:
    name: str = "any"


class Silent:
    def stage(self, *_: Any) -> None: ...

    committed = failed = stage


def cohort(seed: int) -> Cohort:
    loop = Loop(n_initial=10, n_synthetic=10)
    return Cohort((Trajectory(Settings(), Settings(), loop, Settings(), 9, seed),))


def scraped(cluster: Cluster) -> Counter[str]:
    """Name -> series, over all that Ray tells Prometheus to ask."""
    found: Counter[str] = Counter()
    for of in json.loads((cluster.folder / "prom_metrics_service_discovery.json").read_text()):
        for target in of["targets"]:
            with urllib.request.urlopen(f"http://{target}/metrics", timeout=60) as answer:
                lines = answer.read().decode().splitlines()
            found.update(match[0] for line in lines if (match := re.match(r"ray_mad_ray_\w+", line)))
    return found


@pytest.mark.slow
def test_more_trajectories_than_have_series_of_their_own(monkeypatch):
    import ray

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with own_cluster(2) as cluster:
        ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
        try:
            from mad_ray.onray.metrics import MAX_COHORTS, exported

            cohorts = [cohort(seed) for seed in range(N_COHORTS)]
            commit = Commit(1, 9, 1.0, VALUES, True, SECONDS, 1000, 0)
            with exported("large", Silent(), lambda: cohorts, {}) as metrics:
                for one in cohorts:
                    metrics.committed(one.id, commit)
                gauges = {f"ray_mad_ray_{name}": MAX_COHORTS for name in (*VALUES, "generation", "generations_wanted")}
                # And one for all the others.
                counters = ("generations", "fit_seconds", "sample_seconds", "written_bytes")
                expected = gauges | {f"ray_mad_ray_{name}_total": MAX_COHORTS + 1 for name in counters}
                deadline = time.monotonic() + PATIENCE_S
                while scraped(cluster) != expected:
                    assert time.monotonic() < deadline, scraped(cluster)
                    time.sleep(1)
                # Ray forgets gauges that nobody sets for 20 s.
                time.sleep(30)
                assert scraped(cluster) == expected
        finally:
            ray.shutdown()
