"""Inception: clean-fid's own features, from weights given by path or URL; clear lines where they are not the weights.

A small TorchScript network with the signature of clean-fid's stands in for the 90 MB file: no test needs the network.
"""

import functools
import hashlib
import http.server
import threading

import numpy as np
import pytest
import torch
from cleanfid.fid import get_folder_features
from cleanfid.inception_torchscript import InceptionV3W
from PIL import Image

from mad_ray.core.errors import InvalidInput
from mad_ray.downloads import cache_folder
from mad_ray.metrics.inception import WEIGHTS_NAME, Inception


class _Layers(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.adaptive_avg_pool2d(x, (16, 128)).mean(1).flatten(1)


class _Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = _Layers()

    def forward(self, x, return_features: bool = False):
        return self.layers(x)


class _Narrow(_Network):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Flatten()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / WEIGHTS_NAME
    torch.jit.script(_Network()).save(str(path))
    return path


def images(n, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, channels, 20, 24), dtype=np.uint8)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def server(weights):
    """(address of the weights on a local server, the requests it got)."""
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            requests.append(self.path)

    handler = functools.partial(Handler, directory=str(weights.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/{WEIGHTS_NAME}", requests
        running.shutdown()


def test_equals_clean_fid_on_a_folder_of_images(weights, tmp_path):
    x = images(5)
    folder = tmp_path / "images"
    folder.mkdir()
    for i, image in enumerate(x):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{i}.png")
    model = InceptionV3W(str(weights.parent), download=False)
    theirs = get_folder_features(
        str(folder), model=model, num_workers=0, device=torch.device("cpu"), mode="clean", verbose=False
    )
    assert np.allclose(Inception(str(weights))(x), theirs, rtol=0, atol=1e-6)


def test_a_row_is_the_same_bytes_in_any_company(weights):
    x = images(40)
    extractor = Inception(str(weights))
    together = extractor(x)
    assert together.shape == (40, 2048)
    assert np.array_equal(extractor(x[33:35]), together[33:35])


def test_grey_images_become_three_equal_channels(weights):
    grey = images(3, channels=1)
    extractor = Inception(str(weights))
    assert np.array_equal(extractor(grey), extractor(np.repeat(grey, 3, axis=1)))


def test_weights_from_any_file_name_with_their_digest(weights, tmp_path):
    copy = tmp_path / "network.bin"
    copy.write_bytes(weights.read_bytes())
    assert Inception(str(copy), digest(weights).upper())(images(1)).shape == (1, 2048)


def test_a_url_is_loaded_once(server, weights):
    url, requests = server
    for _ in range(2):
        assert Inception(url, digest(weights))(images(1)).shape == (1, 2048)
    assert len(requests) == 1
    assert len(list(cache_folder().iterdir())) == 1


def test_a_file_url(weights):
    assert Inception(weights.as_uri())(images(1)).shape == (1, 2048)


def test_the_cache_is_where_weights_are_looked_for_by_default(weights):
    cache_folder().mkdir(parents=True)
    (cache_folder() / WEIGHTS_NAME).write_bytes(weights.read_bytes())
    assert Inception()(images(1)).shape == (1, 2048)


def test_no_weights():
    with pytest.raises(
        InvalidInput, match=r"needs clean-fid's Inception weights .* found none at .*cache.*set metrics"
    ):
        Inception()


def test_another_digest_is_refused_and_nothing_is_cached(server, weights):
    url, _ = server
    for source in (url, str(weights)):
        with pytest.raises(InvalidInput, match=f"has SHA-256 {digest(weights)}, expected 0000"):
            Inception(source, "0" * 64)
    assert list(cache_folder().iterdir()) == []


def test_a_url_that_fails(server):
    url, _ = server
    with pytest.raises(InvalidInput, match=r"missing cannot be downloaded \(HTTP Error 404"):
        Inception(url + "-missing")
    with pytest.raises(InvalidInput, match="cannot be downloaded"):
        Inception("http://127.0.0.1:9/none.pt")
    assert list(cache_folder().iterdir()) == []


def test_what_is_not_the_network_is_refused(weights, tmp_path):
    broken, narrow, other = tmp_path / "broken.pt", tmp_path / "narrow.pt", tmp_path / "other.pt"
    broken.write_bytes(weights.read_bytes()[:2000])
    torch.jit.script(_Narrow()).save(str(narrow))
    torch.jit.script(torch.nn.Flatten()).save(str(other))
    for path in (broken, narrow, other):
        with pytest.raises(InvalidInput, match=f"{path.name} is not clean-fid's Inception network") as caught:
            Inception(str(path))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("x", [np.zeros((2, 2, 9, 9), np.uint8), np.zeros((2, 3, 9, 9)), np.zeros((2, 5))])
def test_only_uint8_images_of_one_or_three_channels(weights, x):
    with pytest.raises(InvalidInput, match="needs uint8 images"):
        Inception(str(weights))(x)
