"""What docs/CLUSTER.md tells users to type exists."""

import re
import shlex
from pathlib import Path

import click
import pytest
from ray.scripts.scripts import cli as ray

from mad_ray.cli import build_parser
from mad_ray.config.model import RunSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "CLUSTER.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)


def lines(program: str) -> list[str]:
    """The page's commands of a program: those in blocks, those in quotes inside them, and those in running text."""
    whole = [line.strip() for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
    running = re.findall(r"`([^`\n]+ [^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
    found = [*whole, *running, *(part for line in whole for part in re.findall(r"'([^']*)'", line))]
    parts = [part.strip() for line in found for part in re.split(r"&& (?![^']*'$)", line)]
    return sorted({part for part in parts if part.startswith(f"{program} ")})


@pytest.mark.parametrize("line", lines("mad-ray"))
def test_a_mad_ray_command_parses(line):
    assert build_parser().parse_args(shlex.split(line)[1:]).command


@pytest.mark.parametrize("line", lines("ray"))
def test_a_ray_command_exists_with_its_options(line):
    words = shlex.split(line.partition(">")[0])[1:]
    command = ray.commands[words[0]]
    options = {name for of in command.params if isinstance(of, click.Option) for name in of.opts}
    assert {word for word in words[1:] if word.startswith("-")} <= options


def test_they_were_found():
    expected = {"doctor", "gc", "plan", "report", "status", "submit", "verify"}
    assert {line.split()[1] for line in lines("mad-ray")} >= expected
    assert {line.split()[1] for line in lines("ray")} >= {"up", "down", "exec", "dashboard", "get-auth-token"}


def test_every_file_that_it_names_exists():
    named = set(re.findall(r"(?<![\w/])(?:cluster|configs|docs|tests)/[\w./*-]*[\w*]", PAGE))
    assert len(named) > 12
    for name in named:
        assert list(ROOT.glob(name)), name
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


def test_every_setting_that_it_names_exists():
    named = set(re.findall(r"\brun\.(\w+)", PAGE))
    assert {"store", "max_cpus", "checkpoint_s"} <= named <= RunSettings.model_fields.keys()


def test_the_ways_are_complete():
    for heading in ("Create", "Submit", "Watch", "Survive", "Fetch the report", "Tear down", "What it costs"):
        assert f"\n## {heading}\n" in PAGE
