"""How long `status` and a resume of a large study take, and how many requests of a store; beside the plain way.

Builds the ledgers of 1,000 trajectories x 20 generations with real commits (some minutes), then times, each in a
process of its own, `mad-ray status` and `mad-ray run` of the finished study, which skips it all and writes the report.
The plain way follows every manifest of every ledger.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from mad_ray.commands.driver import Driver
from mad_ray.commands.session import Session, open_session
from mad_ray.commands.status import status
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.plan import progress_of
from mad_ray.engine.trajectory import run_cohort
from mad_ray.ledger.gc import collect
from mad_ray.ledger.index import index_key
from mad_ray.ledger.store import Entry, Store
from mad_ray.ledger.studies import register_study

HERE = Path(__file__).parent
STUDY = """
study:
  name: large
  n_generations: {generations}
  seeds: {trajectories}
  data: {{name: gaussian, d: 2}}
  family: "one_by_one:OneByOne"
  metrics: {{n: 10, names: [w2_squared]}}
  loop: {{kind: fully_synthetic, n_initial: 100}}
run: {{runtime: local, store: {folder}/store, output: "{folder}/{{study}}"}}
"""


class Counting:
    """A store that counts requests, as S3 does: a listing is one for each thousand objects."""

    def __init__(self, store: Store) -> None:
        self.store, self.url, self.n = store, store.url, Counter[str]()

    def get(self, key: str) -> bytes:
        self.n["get"] += 1
        return self.store.get(key)

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        self.n["put"] += 1
        return self.store.put(key, data, if_absent=if_absent)

    def list(self, prefix: str) -> Iterator[Entry]:
        found = list(self.store.list(prefix))
        self.n["list"] += max(1, -(-len(found) // 1000))
        return iter(found)

    def delete(self, key: str) -> None:
        self.n["delete"] += 1
        self.store.delete(key)


def build(session: Session) -> None:
    register_study(session.store, session.name, session.document)
    driver, started = Driver(session.store, session.name), time.perf_counter()
    for i, cohort in enumerate(session.cohorts, 1):
        for _ in run_cohort(cohort, session.store, LocalRuntime()):
            pass
        if i % 100 == 0:
            spent = time.perf_counter() - started
            print(f"built {i} of {len(session.cohorts)} ledgers, {spent:.0f} s", flush=True)
    driver.progress(session.cohorts)
    driver.keep_index()


def seconds_of(*arguments: str) -> float:
    """Wall seconds of a command in a process of its own, the start of Python included."""
    program = [sys.executable, "-m", "mad_ray", *arguments]
    env = {**os.environ, "PYTHONPATH": str(HERE)}
    started = time.perf_counter()
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL, env=env)
    return time.perf_counter() - started


def requests_of(store: Store, call: Callable[[Counting], object]) -> tuple[float, str]:
    """(seconds, requests by kind) of a call in this process."""
    counting = Counting(store)
    started = time.perf_counter()
    with open(os.devnull, "w") as nowhere:
        out, sys.stdout = sys.stdout, nowhere
        try:
            call(counting)
        finally:
            sys.stdout = out
    spent = time.perf_counter() - started
    return spent, f"{sum(counting.n.values()):,} ({', '.join(f'{n:,} {kind}' for kind, n in counting.n.items())})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=int, default=1000)
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--folder", help="keep the study there, and use it again (default: a temporary folder)")
    args = parser.parse_args()
    sys.path.append(str(HERE))
    with tempfile.TemporaryDirectory(prefix="mad-ray-status-") as temporary:
        folder = Path(args.folder or temporary)
        config = folder / "study.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        config.write_text(STUDY.format(folder=folder, trajectories=args.trajectories, generations=args.generations))
        session = open_session(config)
        build(session)
        measure(session, str(config))


def measure(session: Session, config: str) -> None:
    store, ids = session.store, [cohort.id for cohort in session.cohorts]
    by_name = ("--store", store.url, "--study", session.name)
    print(f"mad-ray status                    {seconds_of('status', *by_name):8.2f} s")
    print(f"mad-ray run, all of it done       {seconds_of('run', config):8.2f} s, of which")
    report_s = seconds_of("report", *by_name)
    print(f"  mad-ray report                  {report_s:8.2f} s")
    ways: dict[str, Callable[[Counting], object]] = {
        "status": lambda found: status(found, session.name),
        "skipping, at the start of a run": lambda found: Driver(found, session.name).unfinished(session.cohorts),
        "gc": lambda found: collect(found, ids, 86_400.0),
        "plain: every manifest": lambda found: [progress_of(cohort, found) for cohort in session.cohorts],
    }
    seconds = {}
    for name, call in ways.items():
        seconds[name], told = requests_of(store, call)
        print(f"{name:32}  {seconds[name]:8.2f} s, requests: {told}")
    index = store.get(index_key(session.name))
    plain = seconds["plain: every manifest"]
    print(f"the index: {len(index):,} bytes; without it:")
    store.delete(index_key(session.name))
    print(f"status, no index                  {requests_of(store, ways['status'])[0]:8.2f} s")
    store.put(index_key(session.name), index)
    skipping = seconds["skipping, at the start of a run"]
    print(f"plain / status: {plain / seconds['status']:.0f}; plain / skipping: {plain / skipping:.1f}")


if __name__ == "__main__":
    main()
