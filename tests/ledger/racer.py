"""Processes that a race needs: a driver of the small study, and a writer that wants one key. Run by test_races.py.

python racer.py drive URL [FILE]    runs the study; with FILE it stops itself (SIGSTOP) before its first commit, once
python racer.py want URL KEY NAME   waits for a line on stdin, then puts the key; prints whether it won
python racer.py read URL FILE       follows the manifests until FILE exists; prints what it saw
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mad_ray.core.errors import Corrupt
from mad_ray.core.trajectory import Cohort
from mad_ray.ledger.chain import Chain
from mad_ray.ledger.open import open_store
from mad_ray.ledger.store import Entry, Store
from tests.chaos.studies import DDPM

STUDY: dict[str, Any] = {
    "name": "raced",
    "n_generations": 3,
    "seeds": 2,
    "cases": {
        "network": {
            "data": "digits",
            "family": {**DDPM["family"], "n_steps": 4},
            "loop": {"n_initial": 32, "n_synthetic": 64},
            "metrics": {"n": 64, "names": ["frechet"]},
        },
        "drawn": {
            "data": {"name": "gaussian", "d": 2},
            "family": "gaussian",
            "n_generations": 40,
            "loop": {"n_initial": 50, "n_synthetic": 50},
            "metrics": {"n": 50},
        },
    },
}


class Stopping:
    """A store whose process is stopped right before a put that it was told of: as by a partition, with all it knows."""

    def __init__(self, store: Store, part: str, nth: int) -> None:
        self.store, self.url = store, store.url
        self._part, self._left = part, nth

    def get(self, key: str) -> bytes:
        return self.store.get(key)

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        if self._part in key:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
        return self.store.put(key, data, if_absent=if_absent)

    def list(self, prefix: str) -> Iterator[Entry]:
        return self.store.list(prefix)

    def delete(self, key: str) -> None:
        self.store.delete(key)


def cohorts() -> list[Cohort]:
    # Twenty writers need none of this.
    from mad_ray.commands.session import session_of
    from mad_ray.config import parse_config

    return session_of(parse_config({"study": STUDY, "run": {"store": "memory://none"}})).cohorts


def drive(store: Store) -> dict[str, list[str]]:
    """Cohort -> digests of what it found committed in the end."""
    from mad_ray.engine.checkpoints import CheckpointRule
    from mad_ray.engine.local import LocalRuntime
    from mad_ray.engine.trajectory import run_cohort

    runtime = LocalRuntime(CheckpointRule(0, 2))
    return {cohort.id: [manifest.digest for manifest, _ in run_cohort(cohort, store, runtime)] for cohort in cohorts()}


def follow(store: Store, end: Path) -> dict[str, Any]:
    """Read everything that manifests name, again and again; what was wrong, and how often a manifest had changed."""
    seen: dict[str, str] = {}
    problems: list[str] = []
    n_reads = 0
    is_last = False
    while not is_last:
        is_last = end.exists()
        for cohort in cohorts():
            chain = Chain(store, cohort.id)
            try:
                for manifest in chain.history():
                    key = f"{cohort.id}/{manifest.first}"
                    if seen.setdefault(key, manifest.to_json().hex()) != manifest.to_json().hex():
                        problems.append(f"{key} changed")
                    for blob in manifest.blobs():
                        chain.read_blob(manifest, blob)
                        n_reads += 1
            except Corrupt as error:
                problems.append(str(error))
    return {"problems": problems, "n_manifests": len(seen), "n_reads": n_reads}


def main(verb: str, url: str, *rest: str) -> None:
    store = open_store(url)
    if verb == "drive":
        part, nth = rest or ("", "0")
        print(json.dumps(drive(Stopping(store, part, int(nth)) if part else store)))
    elif verb == "want":
        key, name = rest
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(store.put(key, name.encode() * 1000, if_absent=True)))
    else:
        print(json.dumps(follow(store, Path(rest[0]))))


if __name__ == "__main__":
    main(*sys.argv[1:])
