"""Imports run one way, heavy packages stay at the edge; the house is what docs/ARCHITECTURE.md says."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "mad_ray"
MODULES = sorted(ROOT.rglob("*.py"))

# package (or top module) -> the packages of mad_ray it may import, itself aside.
MAY_IMPORT = {
    "core": set(),
    "shims": set(),
    "steady": set(),
    "downloads": {"core"},
    "ledger": {"core"},
    "data": {"core", "downloads"},
    "families": {"core", "shims"},
    "metrics": {"core", "shims", "steady", "downloads"},
    "interventions": {"core", "steady"},
    "engine": {"core", "ledger", "data", "families", "interventions", "metrics"},
    "onray": {"core", "ledger", "data", "families", "metrics", "engine"},
    "analysis": {"core", "ledger"},
    "report": {"core", "ledger", "analysis"},
    "config": {"core", "data", "families", "interventions", "metrics"},
    "commands": {"core", "ledger", "config", "engine", "onray", "analysis", "report", "shims"},
    "cli": {"core", "config", "commands"},
    "__main__": {"cli"},
    "__init__": set(),
}
# third-party package -> where alone it may be imported (paths below mad_ray/).
ONLY_IN = {
    # engine: threads are fixed, the device is named, Inception is put on a GPU; doctor asks about torch.
    "torch": (
        "families",
        "interventions",
        "metrics",
        "data",
        "onray",
        "shims.py",
        "steady.py",
        "engine/threads.py",
        "engine/provenance.py",
        "engine/reference.py",
        "commands/doctor.py",
    ),
    "ray": ("onray", "commands/doctor.py"),
    "boto3": ("ledger/s3.py", "ledger/s3_errors.py"),
    "botocore": ("ledger/s3.py", "ledger/s3_errors.py"),
    "pydantic": ("config",),
    "yaml": ("config",),
    # data: Parquet and Arrow files that users bring, and their files on S3.
    "pyarrow": (
        "ledger/shards.py",
        "data/s3_files.py",
        "data/tables.py",
        "data/parquet_tables.py",
        "data/arrow_tables.py",
    ),
    "PIL": ("data/decode.py",),
    "safetensors": ("ledger/tensors.py",),
    "pandas": ("analysis", "report"),
    "matplotlib": ("report",),
    "bokeh": ("report",),
    "diffusers": ("families", "commands/doctor.py"),
    "cleanfid": ("metrics", "commands/doctor.py"),
    "sklearn": ("data", "metrics", "interventions"),
    "transformers": ("families",),
    "tokenizers": ("data",),
    "accelerate": ("families", "onray"),
}
LIGHT = (
    "mad_ray",
    "mad_ray.cli",
    "mad_ray.config",
    "mad_ray.config.phase",
    "mad_ray.core.manifest",
    "mad_ray.data",
    "mad_ray.families",
    "mad_ray.interventions",
    "mad_ray.ledger.open",
)
HEAVY = (
    "torch", "ray", "boto3", "pandas", "matplotlib", "diffusers", "sklearn", "scipy", "moto",
    "transformers", "tokenizers",
)  # fmt: skip


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or within a function; those for type checkers only too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by the full name"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_package_has_a_rule() -> None:
    assert {package_of(path) for path in MODULES} == MAY_IMPORT.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    own = package_of(path)
    found = {name.split(".")[1] for name in imports_of(path) if name.startswith("mad_ray.")}
    assert found - {own, "__version__"} <= MAY_IMPORT[own]


@pytest.mark.parametrize("package", ONLY_IN)
def test_heavy_packages_stay_where_they_belong(package: str) -> None:
    users = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if any(name == package or name.startswith(f"{package}.") for name in imports_of(path))
    ]
    strays = [
        user for user in users if not any(user == place or user.startswith(f"{place}/") for place in ONLY_IN[package])
    ]
    assert not strays
    assert users, f"nobody imports {package}; drop its rule"


def test_the_rules_have_no_circle() -> None:
    left = dict(MAY_IMPORT)
    while left:
        free = [name for name, needs in left.items() if not needs & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_nothing_heavy(module: str) -> None:
    """In a process of its own: `mad-ray --help` and a bad config shall not wait for torch."""
    program = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_modules_say_what_they_are() -> None:
    silent = [path for path in MODULES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert not silent
