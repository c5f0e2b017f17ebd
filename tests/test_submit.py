"""`mad-ray submit` before it reaches a cluster: what it refuses, what it sends, and what it keeps to itself."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mad_ray.commands.package import CONFIG, START, sign_package, write_package
from mad_ray.commands.reach import require_reach, secrets_of, settings_of
from mad_ray.commands.session import Session, session_of
from mad_ray.config import load_config, parse_config
from mad_ray.config.dump import dump_config
from mad_ray.config.load import parse_yaml
from mad_ray.core.errors import InvalidInput
from tests.command_line import refused

ROOT = Path(__file__).parents[1]
STUDY = {
    "study": {
        "name": "small",
        "data": {"name": "gaussian", "d": 2},
        "family": "gaussian",
        "loop": {"n_initial": 50, "n_synthetic": 50},
        "metrics": {"n": 50},
    }
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    return path


def read(path: Path, *overrides: str) -> tuple[dict, Session]:
    raw = load_config(path, overrides)
    return raw, session_of(parse_config(raw))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("run.store=runs/store", "run.store=runs/store is a folder of this machine"),
        ("run.store=/mnt/all", "--shared"),
        ("run.store=memory://here", "ends with the process"),
        ("run.runtime=local", "set run.runtime=ray"),
        ("study.data={name: mnist, path: mnist}", "study.data.path=mnist is on this machine"),
    ],
)
def test_what_the_cluster_cannot_reach_is_refused_here(override, words, config):
    raw = load_config(config, [override])
    session = Session(parse_config(raw), [], [], None)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=words):
        require_reach(raw, session, shared=False)


def test_files_are_looked_for_in_cases_and_grids_too(config):
    raw = {"study": {"cases": {"a": {"data": {"path": "/here/a"}}}, "grid": {"metrics.weights": ["/here/w.pt"]}}}
    _, session = read(config, "run.store=s3://bucket/mad")
    with pytest.raises(InvalidInput, match=r"study\.cases\.a\.data\.path=/here/a is on this machine"):
        require_reach(raw, session, shared=False)
    del raw["study"]["cases"]
    with pytest.raises(InvalidInput, match=r"study\.grid\.metrics\.weights=/here/w\.pt"):
        require_reach(raw, session, shared=False)
    raw["study"]["grid"] = {"metrics.weights": ["s3://bucket/w.pt"]}
    assert require_reach(raw, session, shared=False) == "s3://bucket/mad"


def test_what_is_shared_needs_its_whole_path(config):
    raw, session = read(config, "run.store=runs/store")
    assert require_reach(raw, session, shared=True) == str((Path.cwd() / "runs" / "store").resolve())
    raw["study"]["data"] = {"path": "relative"}
    with pytest.raises(InvalidInput, match="give the whole path"):
        require_reach(raw, session, shared=True)


def test_credentials_are_never_sent(config):
    raw, session = read(config, "run.store=s3://bucket/mad")
    raw["study"]["data"] = {"path": "https://me:secret@server/mnist"}
    with pytest.raises(InvalidInput, match=r"study\.data\.path holds credentials") as caught:
        require_reach(raw, session, shared=False)
    assert "secret" not in str(caught.value)
    mine = {"AWS_REGION": "here", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": "http://server:9000", "HOME": "/no"}
    assert settings_of(mine) == {"AWS_REGION": "here", "AWS_ENDPOINT_URL": "http://server:9000"}
    assert secrets_of(mine) == ["AWS_SECRET_ACCESS_KEY"]
    with pytest.raises(InvalidInput, match="AWS_ENDPOINT_URL holds credentials"):
        settings_of({"AWS_ENDPOINT_URL": "http://me:secret@server:9000"})


@pytest.mark.parametrize(
    "value", ["1e3", 1e3, 1e-05, "0x1f", "yes", "2020-01-01", "~", None, True, [1, "1"], {"a": [{"b": "é\n"}]}]
)
def test_a_config_reads_back_as_it_was(value):
    assert parse_yaml(dump_config({"study": {"x": value}}), "text") == {"study": {"x": value}}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_reads_back_as_it_was(path):
    raw = load_config(path)
    assert parse_yaml(dump_config(raw), "text") == raw


def pack(tmp_path: Path, source: Path, *overrides: str, ship: bool = False) -> tuple[Path, str]:
    raw, session = read(source, *overrides)
    folder = tmp_path / f"package {len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    return folder, write_package(raw, session, "s3://bucket/mad", folder, ship)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_package_holds_the_study_and_nothing_else(config, tmp_path):
    (config.parent / "child.yaml").write_text("extends: study.yaml\nrun: {output: /secret/place}\n")
    (config.parent / "runs").mkdir()
    (config.parent / "runs" / "large").write_text("not sent")
    folder, _ = pack(tmp_path, config.parent / "child.yaml", "study.seeds=3")
    assert files(folder) == {CONFIG, START}
    sent = load_config(folder / CONFIG)
    assert "extends" not in sent
    assert sent["study"] == {**STUDY["study"], "seeds": 3}
    assert sent["run"] == {"store": "s3://bucket/mad", "output": "runs/{study}"}


def test_modules_of_the_users_own_come_along_with_what_they_import(tmp_path):
    source = ROOT / "configs" / "families" / "own_family.yaml"
    folder, _ = pack(tmp_path, source)
    assert {"examples/my_family.py", "examples/two_functions.py", CONFIG, START} <= files(folder)
    assert not any(name.startswith(("mad_ray/", "tests/")) or "__pycache__" in name for name in files(folder))
    program = "import examples.my_family, examples.two_functions; print(examples.my_family.__file__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(folder))


def test_the_digest_tells_settings_and_code_apart(config, tmp_path):
    digests = [pack(tmp_path, config, *sets)[1] for sets in ((), (), ("study.seeds=2",), ("run.retries=9",))]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_too_much_is_refused(config, tmp_path, monkeypatch):
    monkeypatch.setattr("mad_ray.commands.package.MAX_BYTES", 1000)
    with pytest.raises(InvalidInput, match="the largest file is mad_ray/"):
        pack(tmp_path, config, ship=True)


def start(folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    """As a node of the cluster would."""
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "HOME": str(folder)}
    return subprocess.run([sys.executable, "-S", START], cwd=folder, env=env, capture_output=True, text=True)


def test_a_node_without_mad_ray_says_so_in_one_line(config, tmp_path):
    folder, _ = pack(tmp_path, config)
    sign_package(folder, "mad-ray-small-1", ship=False)
    done = start(folder, "")
    assert done.returncode == 2
    assert "cannot import mad_ray" in done.stderr
    assert "--ship-source" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_node_with_another_mad_ray_says_so_in_one_line(config, tmp_path):
    folder, _ = pack(tmp_path, config)
    sign_package(folder, "mad-ray-small-1", ship=False)
    (tmp_path / "other" / "mad_ray").mkdir(parents=True)
    (tmp_path / "other" / "mad_ray" / "__init__.py").write_text("__version__ = '0.0.7'")
    (tmp_path / "other" / "mad_ray" / "cli.py").write_text("def main(argv): raise AssertionError")
    done = start(folder, str(tmp_path / "other"))
    assert done.returncode == 2
    assert "the cluster has mad_ray 0.0.7" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_shipped_source_is_the_one_that_runs(config, tmp_path):
    folder, _ = pack(tmp_path, config, ship=True)
    sign_package(folder, "mad-ray-small-1", ship=True)
    program = "import mad_ray.cli; print(mad_ray.cli.__file__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(folder))


def test_no_cluster_is_one_line(config, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    sets = ("--set", "run.store=s3://bucket/mad", "--address")
    assert "nothing answers there" in refused(capsys, "submit", str(config), *sets, f"http://127.0.0.1:{port}")
    assert "expected http://HOST:8265" in refused(capsys, "submit", str(config), *sets, "ray://127.0.0.1:10001")
    assert "secret" not in refused(capsys, "submit", str(config), *sets, "http://me:secret@127.0.0.1:1")


def test_which_cluster_must_be_said(config, capsys, monkeypatch):
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    assert "give --address" in refused(capsys, "submit", str(config))


def test_a_bad_config_is_refused_before_the_cluster_is_asked(config, capsys):
    address = ("--address", "http://127.0.0.1:1")
    assert "study.seeds" in refused(capsys, "submit", str(config), *address, "--set", "study.seeds=none")
    assert "is a folder of this machine" in refused(capsys, "submit", str(config), *address)
