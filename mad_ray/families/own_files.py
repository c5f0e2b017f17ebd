"""The files of the user's own code: all that another machine needs to import the same modules."""

import ast
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mad_ray.families.own import own_modules, root_of

LEFT_OUT = {"__pycache__", "runs", "data", "venv", "node_modules"}
"""Folders inside a package that hold no code; hidden ones are left out too."""


def own_files(families: Iterable[Any]) -> dict[str, Path]:
    """Name below its folder -> file, of the user's own modules and of all that they import from the same folder.

    A package comes whole, without folders of data and results. Installed packages are nobody's own.
    """
    modules = {name for family in families for name in own_modules(family)}
    todo = {(root_of(name), name.partition(".")[0]) for name in modules if not _is_installed(root_of(name))}
    found: dict[str, Path] = {}
    # The cluster has a mad_ray of its own.
    seen = {(folder, "mad_ray") for folder, _ in todo}
    while todo:
        folder, name = todo.pop()
        seen.add((folder, name))
        for file in _files_of(folder, name):
            found[file.relative_to(folder).as_posix()] = file
            todo |= {(folder, other) for other in _imports(file)} - seen
    return found


def _is_installed(folder: Path) -> bool:
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")}
    return any(folder.is_relative_to(place) for place in installed)


def _files_of(folder: Path, name: str) -> Iterator[Path]:
    """Of a top-level module or package; nothing if the folder has none of that name."""
    if (folder / f"{name}.py").is_file():
        yield folder / f"{name}.py"
    for file in sorted((folder / name).rglob("*")):
        inside = file.relative_to(folder).parts[1:]
        if file.is_file() and not any(part in LEFT_OUT or part.startswith(".") for part in inside):
            yield file


def _imports(file: Path) -> Iterator[str]:
    """The top-level names of what a module imports, at its top or within a function."""
    if file.suffix != ".py":
        return
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]
