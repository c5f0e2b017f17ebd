"""Only on a disk: what a crash leaves, what a full or forbidden disk says."""

import os
import pickle
import shutil
import subprocess
import sys
import time

import pytest

from mad_ray.core.errors import InvalidInput, StoreError, StoreFull, Transient
from mad_ray.ledger.local import STALE_S, LocalStore

FILL = """
from mad_ray.core.errors import StoreFull
from mad_ray.ledger.local import LocalStore
store = LocalStore("/mnt/store")
store.put("old", b"1")
try:
    store.put("new", bytes(1 << 20), if_absent=True)
except StoreFull as error:
    print(error, [entry.key for entry in store.list("")], store.put("small", b"1"))
"""


def files(root) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_full_disk_is_a_clear_line(tmp_path, monkeypatch) -> None:
    store = LocalStore(str(tmp_path))
    store.put("old", b"1")
    for code, words in ((28, "no space is left"), (122, "quota is used up")):

        def fail(_: int, code: int = code) -> None:
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(StoreFull, match=words) as caught:
                store.put("new", b"2", if_absent=True)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert files(tmp_path) == {"old"}


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare to mount a small file system")
def test_a_really_full_disk() -> None:
    mount = "mount -t tmpfs -o size=256k none /mnt && exec"
    python = [sys.executable, "-c", FILL]
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", f'{mount} "$@"', "sh", *python], capture_output=True, text=True, check=False
    )
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this machine lets no user mount a small file system")
    assert "no space is left on its disk" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("['old'] True")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_forbidden_directory_is_a_clear_line(tmp_path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="right to read and write"):
        LocalStore(str(tmp_path / "store")).put("a", b"")
    tmp_path.chmod(0o700)


def test_a_file_in_the_way_is_a_clear_line(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = LocalStore(str(tmp_path / "file" / "store"))
    for call in (lambda: store.put("a", b""), lambda: store.get("a"), lambda: list(store.list(""))):
        with pytest.raises(StoreError, match="a file stands where a directory is needed"):
            call()


def test_an_object_in_the_way_of_a_folder(tmp_path) -> None:
    store = LocalStore(str(tmp_path))
    store.put("a", b"1")
    with pytest.raises(StoreError, match="a file stands"):
        store.put("a/b", b"2")
    store.put("c/d", b"1")
    with pytest.raises(StoreError, match="a directory stands"):
        store.put("c", b"2")
    assert files(tmp_path) == {"a", "c/d"}


def test_a_stale_network_file_system_is_transient(tmp_path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(Transient, match="Stale"):
        LocalStore(str(tmp_path)).put("a", b"", if_absent=True)


def test_a_killed_writer_leaves_nothing_visible(tmp_path) -> None:
    """Killed after the bytes are written and before they have their name."""
    program = (
        "import os, signal\nfrom mad_ray.ledger.local import LocalStore\n"
        "os.link = os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"LocalStore({str(tmp_path)!r}).put('a/b', b'1234', if_absent={{}})"
    )
    for condition in (True, False):
        assert subprocess.run([sys.executable, "-c", program.format(condition)], check=False).returncode == -9
    store = LocalStore(str(tmp_path))
    left = list((tmp_path / ".tmp").iterdir())
    assert len(left) == 2
    assert list(store.list("")) == list(store.list(".t")) == []
    os.utime(left[0], (0, time.time() - 2 * STALE_S))
    store.put("a/b", b"12")
    assert files(tmp_path) == {"a/b", f".tmp/{left[1].name}"}


def test_new_files_are_readable_as_the_umask_says(tmp_path) -> None:
    before = os.umask(0o022)
    try:
        LocalStore(str(tmp_path)).put("a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_relative_paths_survive_a_change_of_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = LocalStore("store")
    store.put("a", b"1")
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(store)).get("a") == b"1"
    assert store.url == str(tmp_path / "store")


def test_file_urls(tmp_path) -> None:
    assert LocalStore("file:///a%20b/c/").root.as_posix() == "/a b/c"
    assert LocalStore("file://localhost/a").root.as_posix() == "/a"
    for url in ("file://host/a", "file:a"):
        with pytest.raises(InvalidInput, match="three slashes"):
            LocalStore(url)
