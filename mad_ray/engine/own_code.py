"""The user's own modules in a study: where other processes find them, and what they were."""

from collections.abc import Iterable
from pathlib import Path

from mad_ray.core.trajectory import Trajectory
from mad_ray.families.own import own_code, own_folders
from mad_ray.families.own_files import own_files


def code_of(head: Trajectory) -> dict[str, str]:
    """Module -> SHA-256 of its source file, of a family of the user's own; empty for those that mad_ray brings."""
    return own_code(head.family)


def folders_of(heads: Iterable[Trajectory]) -> tuple[str, ...]:
    """The folders that the processes of a study must look for modules in."""
    return own_folders(head.family for head in heads)


def files_of(heads: Iterable[Trajectory]) -> dict[str, Path]:
    """Name -> file, of all that another machine needs to import the user's own modules."""
    return own_files(head.family for head in heads)
