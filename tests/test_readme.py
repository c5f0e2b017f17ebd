"""What the README tells users to type is what the program takes."""

import re
import shlex
from pathlib import Path

import pytest

from mad_ray.cli import build_parser
from mad_ray.config import expand, parse_config
from mad_ray.config.load import parse_yaml
from mad_ray.config.phase import Phase

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line.partition("#")[0] for _, block in BLOCKS for line in block.splitlines()]
    return [line[line.index("mad-ray ") :].split(">")[0].strip() for line in lines if "mad-ray " in line]


def test_the_studies_of_the_readme_are_valid():
    curves, a_map, guarded = [parse_config(parse_yaml(text, "README.md")) for kind, text in BLOCKS if kind == "yaml"]
    assert len(expand(curves)) == 10
    assert [one.name for one in expand(guarded)[0].interventions] == ["watermark", "mark_detector"]
    assert len(Phase(a_map).points) == 200
    assert all(Phase(a_map).trajectories(point) for point in Phase(a_map).corners())


@pytest.mark.parametrize("command", commands())
def test_the_commands_of_the_readme_parse(command):
    args = build_parser().parse_args(shlex.split(command)[1:])
    assert args.command


def test_the_make_targets_of_the_readme_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    named = set(re.findall(r"\bmake ([a-z-]+)", README)) & set(targets)
    assert {"demo", "test", "bench", "lint"} <= named


def test_every_file_that_the_readme_shows_exists():
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (ROOT / target).is_file(), target
