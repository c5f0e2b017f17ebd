"""What a running study shows of itself: nothing listens to the network, and credentials are written nowhere."""

import tempfile
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest

from mad_ray.ledger.open import open_store
from tests.onray.processes import Driver, Study

STUDY: dict[str, Any] = {
    "name": "discreet",
    "n_generations": 2,
    "seeds": 2,
    "data": {"name": "gaussian", "d": 2},
    "family": {"name": "lab", "fit_s": 0.5, "shard_s": 0.2},
    "loop": {"n_initial": 100, "n_synthetic": 100},
    "metrics": {"n": 200, "names": ["frechet"]},
    "cases": {"works": {}, "fails": {"seeds": 1, "family": {"fails": "fit"}}},
}
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAQWERTYUIOPASDFGH",
    "AWS_SECRET_ACCESS_KEY": "zxcvbnmSecretAccessKeyasdfghjkl",
    "AWS_SESSION_TOKEN": "qwertyuiopSessionTokenzxcvbnm",
    "RAY_AUTH_TOKEN": "fedcba9876543210" * 4,
}


class Seen:
    """What a driver and its descendants showed, looked at again and again while they ran."""

    def __init__(self) -> None:
        self.listening: set[tuple[str, str]] = set()
        self.command_lines: set[str] = set()

    def look(self, driver: Driver) -> None:
        for process in [psutil.Process(driver.process.pid), *driver.descendants()]:
            try:
                self.command_lines.add(" ".join(process.cmdline()))
                for connection in process.net_connections("inet"):
                    if connection.status == psutil.CONN_LISTEN:
                        self.listening.add((process.name(), connection.laddr.ip))
            except psutil.Error:
                continue

    def beyond_loopback(self) -> list[tuple[str, str]]:
        return [(name, ip) for name, ip in sorted(self.listening) if not is_loopback(ip)]


def is_loopback(ip: str) -> bool:
    return ip_address(ip.removeprefix("::ffff:")).is_loopback


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Short, since Ray puts sockets below it."""
    with tempfile.TemporaryDirectory(prefix="mr", dir="/tmp") as folder:
        yield Path(folder)


def written(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()


def around(data: bytes, secret: str) -> str:
    """The text before it: what wrote it?"""
    at = data.index(secret.encode())
    return data[max(0, at - 300) : at].decode(errors="replace")


def test_a_study_listens_on_loopback_only_and_tells_no_secret(s3, ray_folder, tmp_path):
    """S3, a failing trajectory and Ray's own logs included; token authentication is on."""
    env = {**SECRETS, "RAY_AUTH_MODE": "token", "RAY_TMPDIR": str(ray_folder)}
    study = Study(tmp_path, STUDY, store=s3.url, env=env)
    driver, seen = study.start(), Seen()
    while driver.process.poll() is None:
        seen.look(driver)
    assert driver.wait() == 1, study.screen
    assert {"raylet", "gcs_server"} <= {name for name, _ in seen.listening}, "they were looked at"
    assert not seen.beyond_loopback()

    store = open_store(s3.url)
    entries = [entry for top in ("cohorts/", "studies/", "references/") for entry in store.list(top)]
    objects = [(Path(entry.key), store.get(entry.key)) for entry in entries]
    files = [*written(tmp_path, ray_folder), *objects]
    assert any("raylet" in path.name for path, _ in files), "Ray's logs are among them"
    assert any(path.name == "index.html" for path, _ in files)
    assert any("failures" in str(path) for path, _ in objects)
    for name, secret in SECRETS.items():
        assert not [(path, around(data, secret)) for path, data in files if secret.encode() in data], name
        assert not [line for line in seen.command_lines if secret in line], name


def test_it_would_be_seen(tmp_path):
    (tmp_path / "log").write_text(f"key {SECRETS['AWS_ACCESS_KEY_ID']} refused")
    assert [path for path, data in written(tmp_path) if SECRETS["AWS_ACCESS_KEY_ID"].encode() in data]
    assert not is_loopback("::")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("192.0.2.2")
    assert is_loopback("::ffff:127.0.0.1")
