"""A study whose store lies on a small disk of its own, which runs full, gets room, and is read: run by its test.

unshare --map-root-user --mount python full_disk.py FOLDER SIZE SETS...   prints one JSON document
"""

import json
import subprocess
import sys
from pathlib import Path

from mad_ray.core.errors import MadError
from mad_ray.ledger.ledger import Chain
from mad_ray.ledger.open import open_store
from mad_ray.ledger.verify import verify_cohort
from tests.onray.processes import Study

SETTINGS = {
    "name": "full",
    "n_generations": 4,
    "seeds": 2,
    "data": {"name": "gaussian", "d": 2},
    "family": {"name": "lab"},
    "loop": {"n_initial": 600, "n_synthetic": 600},
    "metrics": {"n": 600, "names": ["frechet"]},
}


def main(folder: Path, size: str, sets: tuple[str, ...]) -> None:
    disk = folder / "disk"
    disk.mkdir(parents=True)
    mount("tmpfs", "-t", "tmpfs", "-o", f"size={size}", str(disk))
    study = Study(folder / "study", SETTINGS, store=str(disk / "store"), sets=sets)
    full = study.run()
    found = {"code": full.returncode, "out": full.stdout, "err": full.stderr, **look(disk / "store")}
    mount("-o", "remount,size=64m", str(disk))
    again = study.run()
    found |= {"code_again": again.returncode, "err_again": again.stderr, "after": look(disk / "store")}
    print(json.dumps({**found, "digests": study.digests()}))


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def look(store: Path) -> dict:
    """What a reader sees there: generations, findings of `verify`, and what writers left behind."""
    reader = open_store(str(store))
    ids = sorted({entry.key.split("/")[1] for entry in reader.list("cohorts/")})
    problems = [finding.problem for cohort in ids for finding in verify_cohort(reader, cohort)]
    try:
        generations = [Chain(reader, cohort).last for cohort in ids]
    except MadError as error:
        generations, problems = [], [*problems, str(error)]
    temporary = [path.name for path in (store / ".tmp").iterdir()] if (store / ".tmp").exists() else []
    return {"generations": generations, "problems": problems, "temporary": temporary}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], tuple(sys.argv[3:]))
