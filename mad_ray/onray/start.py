"""What a submitted job runs: this file travels with the study, so it asks for mad_ray before it uses it."""

import json
import os
import runpy
import sys


def main() -> int:
    """The study's exit code; 2 if this Python has no mad_ray, or another one than the study was checked with."""
    folder = os.path.dirname(os.path.abspath(__file__))
    os.chdir(folder)
    with open("mad_ray_submission.json", encoding="utf-8") as file:
        expected = json.load(file)["mad_ray"]
    try:
        from mad_ray import __version__ as found
    except ImportError as error:
        return _refuse(f"{sys.executable} cannot import mad_ray ({error})", expected)
    if expected not in (None, found):
        return _refuse(f"the cluster has mad_ray {found}, the study was checked with {expected}", expected)
    sys.argv = ["mad-ray", "run", "mad_ray_study.yaml"]
    # As `python -m mad_ray` would, which exits with the study's code.
    runpy.run_module("mad_ray", run_name="__main__")
    return 0


def _refuse(what: str, expected: str | None) -> int:
    remedy = f"install mad-ray {expected} on its nodes, or submit with --ship-source" if expected else "install it"
    print(f"mad-ray: {what}; {remedy}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
