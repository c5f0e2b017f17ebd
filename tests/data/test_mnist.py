"""MNIST's four idx files: whole, named, as published; from folders, and from a real HTTP server."""

import gzip
import hashlib
import os
import struct
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.samples import Event
from mad_ray.data import Mnist
from mad_ray.data.mnist import FILES, parse_idx

KEYS = Keys((0,)).at("real")
REAL = Path(os.environ.get("MAD_RAY_MNIST", Path(__file__).parents[3] / "shared" / "data" / "mnist"))


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def made_up(n: int = 30, n_held_out: int = 12) -> dict[str, bytes]:
    """Images whose every pixel is 10 times their label."""
    files = {}
    for part, size in (("train", n), ("t10k", n_held_out)):
        label = np.arange(size) % 10
        x = np.broadcast_to((10 * label)[:, None, None], (size, 28, 28))
        files |= {f"{part}-images-idx3-ubyte": idx(x), f"{part}-labels-idx1-ubyte": idx(label)}
    return files


def content_digest(files: dict[str, bytes]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(files[name]).digest() for name in FILES)).hexdigest()


def write(folder: Path, files: dict[str, bytes], *, packed: bool) -> None:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}.gz" if packed else folder / name).write_bytes(gzip.compress(data) if packed else data)


@pytest.fixture
def made(tmp_path: Path) -> Mnist:
    files = made_up()
    write(tmp_path / "mnist", files, packed=True)
    return Mnist(str(tmp_path / "mnist"), content_digest(files))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """(URL, the folder it serves, the paths asked for so far)."""
    folder, asked = tmp_path / "served", []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path.startswith("/broken/"):
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"short")
                return
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    folder.mkdir()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", folder, asked
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder(tmp_path: Path, packed: bool) -> None:
    files = made_up()
    write(tmp_path / "mnist", files, packed=packed)
    data = Mnist(str(tmp_path / "mnist"), content_digest(files))
    assert (data.n_rows, data.n_held_out) == (30, 12)
    assert data.event.shape == (1, 28, 28)
    assert (data.event.dtype, data.event.n_classes) == ("uint8", 10)
    rows = data.rows(0, 30, KEYS)
    np.testing.assert_array_equal(rows.x[0, :, 0, 5, 5], 10 * rows.label[0])
    np.testing.assert_array_equal(data.held_out(12).label[0], np.arange(12) % 10)


def test_a_relative_folder_is_the_same_wherever_a_worker_stands(made: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(made.path)
    monkeypatch.chdir(folder.parent)
    data = Mnist(folder.name, made.sha256)
    monkeypatch.chdir("/")
    assert data == made
    assert data.n_rows == 30
    assert Mnist("file:///x").path == "file:///x"


def test_without_a_path_it_says_what_it_needs() -> None:
    with pytest.raises(InvalidInput, match=r"data.path is missing"):
        _ = Mnist().n_rows


def test_other_content_is_refused_with_both_digests(tmp_path: Path) -> None:
    files = made_up()
    write(tmp_path / "mnist", files, packed=True)
    with pytest.raises(InvalidInput, match=content_digest(files)) as caught:
        _ = Mnist(str(tmp_path / "mnist")).n_rows
    assert Mnist().sha256 in str(caught.value)


def test_the_digest_does_not_depend_on_packing_or_case(made: Mnist, tmp_path: Path) -> None:
    write(tmp_path / "plain", made_up(), packed=False)
    assert Mnist(str(tmp_path / "plain"), made.sha256.upper()).n_rows == 30


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(made: Mnist, name: str) -> None:
    (Path(made.path) / f"{name}.gz").unlink()
    with pytest.raises(InvalidInput, match=f"no {name}.gz there"):
        _ = made.n_rows


@pytest.mark.parametrize("keep", [3, 100, 0])
def test_a_cut_gzip_file_is_named(made: Mnist, keep: int) -> None:
    path = Path(made.path) / f"{FILES[0]}.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InvalidInput, match=f"{FILES[0]}.gz: damaged|content digest"):
        _ = made.n_rows


def test_a_folder_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read anything")
    write(tmp_path / "mnist", made_up(), packed=False)
    (tmp_path / "mnist" / FILES[1]).chmod(0)
    with pytest.raises(InvalidInput, match=f"{FILES[1]} cannot be read"):
        _ = Mnist(str(tmp_path / "mnist")).n_rows


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        idx(np.zeros((2, 3)))[:-1],
        idx(np.zeros((2, 3))) + b"\0",
        b"\0\1" + idx(np.zeros(3))[2:],
        b"\0\0\x0d" + idx(np.zeros(3))[3:],
        b"\0\0\x08\xff" + bytes(40),
        struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1),
    ],
)
def test_what_is_no_idx_file_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="some-file: not a"):
        parse_idx(data, "some-file")


def test_idx_round_trip() -> None:
    for shape in ((3,), (2, 3), (2, 3, 4)):
        x = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        np.testing.assert_array_equal(parse_idx(idx(x), "x"), x)


def test_images_without_their_labels_are_refused(tmp_path: Path) -> None:
    files = made_up()
    files[FILES[1]] = idx(np.zeros(29))
    write(tmp_path / "mnist", files, packed=True)
    with pytest.raises(InvalidInput, match="as many labels"):
        _ = Mnist(str(tmp_path / "mnist"), content_digest(files)).n_rows


def test_a_url_is_fetched_once(server, cache: Path) -> None:
    url, folder, asked = server
    files = made_up()
    write(folder, files, packed=True)
    assert Mnist(url, content_digest(files)).n_rows == 30
    assert sorted(asked) == sorted(f"/{name}.gz" for name in FILES)
    # Another spelling is another source, read anew: from the cache.
    assert Mnist(url, content_digest(files).upper()).n_rows == 30
    assert len(asked) == 4
    assert len(list(cache.iterdir())) == 4


def test_what_is_wrong_is_not_kept_in_the_cache(server, cache: Path) -> None:
    url, folder, _ = server
    write(folder, made_up(31), packed=True)
    good = made_up(33)
    with pytest.raises(InvalidInput, match="content digest"):
        _ = Mnist(url, content_digest(good)).n_rows
    write(folder, good, packed=True)
    assert Mnist(url, content_digest(good)).n_rows == 33


def test_what_is_damaged_is_not_kept_in_the_cache(server) -> None:
    url, folder, _ = server
    good = made_up(34)
    write(folder, good, packed=True)
    path = folder / f"{FILES[0]}.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    with pytest.raises(InvalidInput, match="damaged"):
        _ = Mnist(url, content_digest(good)).n_rows
    path.write_bytes(whole)
    assert Mnist(url, content_digest(good)).n_rows == 34


@pytest.mark.parametrize("place", ["/nowhere", "/broken"])
def test_an_answer_that_is_none_is_one_line(server, place: str) -> None:
    url = server[0] + place
    with pytest.raises(InvalidInput, match=f"{url}/{FILES[0]}.gz cannot be downloaded") as caught:
        _ = Mnist(url).held_out(1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://a b/c", "nonsense://x", "http://[::1"])
def test_a_url_that_cannot_be_is_one_line(url: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be downloaded"):
        _ = Mnist(url).held_out(1)


def test_a_cache_that_cannot_be_written_is_one_line(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder, _ = server
    write(folder, made_up(), packed=True)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "file"))
    with pytest.raises(InvalidInput, match="MAD_RAY_CACHE"):
        _ = Mnist(url).held_out(1)


def test_the_published_files_at_a_url_are_known_before_they_are_there(tmp_path: Path) -> None:
    """So that a study on them can be planned without a network; a folder is looked at, whatever is expected of it."""
    data = Mnist("http://127.0.0.1:1/mnist")
    assert (data.event, data.n_rows, data.n_held_out) == (Event((1, 28, 28), "uint8", 10), 60_000, 10_000)
    with pytest.raises(InvalidInput, match="no train-images"):
        _ = Mnist(str(tmp_path)).event


@pytest.mark.skipif(not REAL.is_dir(), reason="MAD_RAY_MNIST names no folder with the real files")
def test_the_real_files() -> None:
    data = Mnist(str(REAL))
    assert (data.n_rows, data.n_held_out) == (60_000, 10_000)
    rows = data.rows(0, 60_000, KEYS)
    assert np.bincount(rows.label[0]).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert rows.x.mean() == pytest.approx(255 * 0.1307, rel=1e-3)  # the mean that everyone normalises by
