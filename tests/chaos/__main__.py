"""`make chaos`: inject faults, kind by kind, into a file of results; print their table and put it on the page.

    python -m tests.chaos [--kinds gaussian,ddpm,...] [--results FILE [--add]] [--share 1.0] [--seed N] [--page]

Kinds may be run one after another with --add: the table is made from all that the file holds.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos import outcome as results
from tests.chaos.forked import in_parts
from tests.chaos.outcome import Outcome
from tests.chaos.studies import DDPM, GAUSSIAN, LAB, SHARED, SHARED_STEPS
from tests.chaos.table import table_of, write_page

SEED = "MAD_RAY_CHAOS_SEED"
ENOUGH = 200
"""Faults without which the page keeps the table that it has."""
# How many of each; `--share` takes a part of them.
TWICE = 12
LAB_PLAN = {"driver": 8, "trial": 12, "sampler": 12}
SHARED_PLAN = {"train worker": 6, "trial": 2, "driver": 2}
NODES_PLAN = {"raylet": 5, "node": 5, "drained node": 5, "driver and head": 2}


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    share: float
    seed: int
    jobs: int
    folder: Path
    results: Path

    def some(self, n: int) -> int:
        """The share of n, one at least."""
        return max(1, round(n * self.share))

    def tell(self, found: Iterable[Outcome]) -> None:
        """Write each outcome down as it comes; say so on the screen when it is not good."""
        for outcome in found:
            results.append(self.results, outcome)
            if not outcome.is_good:
                print(f"{outcome.kind}, {outcome.at}: {outcome.differences} {outcome.lost}", flush=True)


def in_process(settings: dict[str, Any], kind: str, options: Options) -> None:
    """Every point of a run in one process (or a random share of them), then some twice."""
    from tests.chaos.enumerated import Bench, enumerate_kills, kill_twice

    bench = Bench.of(settings, options.folder)
    dooms = bench.dooms()
    if options.share < 1:
        dooms = random.Random(options.seed).sample(dooms, options.some(len(dooms)))

    def part(i: int) -> None:
        options.tell(enumerate_kills(bench, f"the process, {kind}", dooms[i :: options.jobs]))
        n, rng = options.some(TWICE) // options.jobs, random.Random(options.seed + i)
        options.tell(kill_twice(bench, f"and again while it recovers, {kind}", rng, options.seed, n))

    in_parts(part, options.jobs)


def on_ray(settings: dict[str, Any], name: str, plan: dict[str, int], options: Options, **more: Any) -> None:
    """Random kills of processes, or of nodes."""
    from tests.chaos.campaign import Campaign
    from tests.chaos.cloud import a_cloud

    kinds = [kind for kind, n in plan.items() for _ in range(options.some(n))]
    random.Random(options.seed).shuffle(kinds)
    with a_cloud() if more.pop("nodes", False) else nullcontext() as cloud:
        campaign = Campaign(settings, options.folder / name, options.seed, cloud=cloud, **more)
        for outcome in campaign.run(kinds):
            options.tell([outcome])


LAB_LONG, LAB_SHORT = {**LAB, "n_generations": 16}, {**LAB, "n_generations": 8}
WORKERS = ("run.workers=2", f"run.checkpoint_steps={SHARED_STEPS}", "run.checkpoint_s=0.0")
KINDS: dict[str, Callable[[Options], None]] = {
    "gaussian": partial(in_process, GAUSSIAN, "Gaussian pack"),
    "ddpm": partial(in_process, DDPM, "DDPM with checkpoints"),
    "lab": partial(on_ray, LAB_LONG, "lab", LAB_PLAN),
    "workers": partial(on_ray, SHARED, "workers", SHARED_PLAN, sets=WORKERS),
    "nodes": partial(on_ray, LAB_SHORT, "nodes", NODES_PLAN, nodes=True),
}


def main(arguments: Sequence[str]) -> int:
    """0 if every fault left nothing behind."""
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--kinds", default=",".join(KINDS), help="some of: %(default)s; none: the table alone")
    parser.add_argument("--results", type=Path, help="file of results, one line each")
    parser.add_argument("--add", action="store_true", help="keep the results that the file holds already")
    parser.add_argument("--share", type=float, default=1.0, help="of the faults of each kind")
    parser.add_argument("--seed", type=int, default=int(os.environ.get(SEED, time.time_ns() % 10**6)))
    parser.add_argument("--jobs", type=int, default=2, help="processes at once, where no Ray runs")
    parser.add_argument("--page", action="store_true", help="write the table into docs/RELIABILITY.md")
    asked = parser.parse_args(arguments)
    unknown = set(asked.kinds.split(",")) - {"", *KINDS}
    if unknown:
        parser.error(f"--kinds: no kind is called {', '.join(sorted(unknown))}; known are {', '.join(KINDS)}")
    print(f"seed {asked.seed} (repeat with {SEED}={asked.seed})", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="mad-ray-chaos-"))
    try:
        return _run(asked, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(asked: argparse.Namespace, folder: Path) -> int:
    file = asked.results or folder / "results.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not asked.add:
        file.unlink(missing_ok=True)
    options = Options(asked.share, asked.seed, asked.jobs, folder, file)
    for kind in filter(None, asked.kinds.split(",")):
        start = time.monotonic()
        KINDS[kind](options)
        n = sum(1 for _ in results.read(file))
        print(f"{kind}: {time.monotonic() - start:.0f} s, {n} outcomes so far", flush=True)
    found = list(results.read(file))
    print(table_of(found))
    if asked.page and sum(outcome.kills for outcome in found) >= ENOUGH:
        write_page(found, "make chaos")
    return 0 if all(outcome.is_good for outcome in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
