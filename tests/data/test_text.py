"""A text of the user's own: its parts never meet, its tokens give it back, and a bad file is named."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import identity
from mad_ray.core.keys import Keys
from mad_ray.core.pairs import counted_pairs, pair_codes
from mad_ray.data.bpe import learn_bpe
from mad_ray.data.text import Text, _split

LICENSE = Path(__file__).parents[2] / "LICENSE"
KEYS = Keys((0, 1)).at("real")


def text(**settings) -> Text:
    return Text(**{"path": str(LICENSE), "length": 16, "held_out_share": 0.2, **settings})


def written(data: Text, tokens: np.ndarray) -> list[bytes]:
    pieces = data.spelling().pieces
    return [b"".join(pieces[token] for token in row) for row in tokens]


@pytest.mark.parametrize("settings", [{"tokens": "bytes"}, {"tokens": "bpe", "vocabulary": 400}])
def test_sequences_are_pieces_of_their_own_part_of_the_text(settings: dict) -> None:
    data, whole = text(**settings), LICENSE.read_bytes()
    training, held_out = _split(whole, 0.2)
    assert b"".join(part for pair in zip(training, held_out, strict=True) for part in pair) == whole
    assert sum(map(len, held_out)) == pytest.approx(0.2 * len(whole), abs=10)
    rows, held = data.rows(0, data.n_rows, KEYS), data.held_out(data.n_held_out)
    for x, parts in ((rows.x[0], training), (held.x[0], held_out)):
        assert all(any(piece in part for part in parts) for piece in written(data, x))
        assert x.shape[1:] == data.event.shape
        assert x.dtype == data.event.dtype
        assert x.max() < data.event.n_symbols
        # At most a sequence is left over at the end of each of the ten parts.
        missing = sum(map(len, parts)) - sum(map(len, written(data, x)))
        assert 0 <= missing < 10 * 16 * max(map(len, data.spelling().pieces))


def test_each_seed_reads_the_same_sequences_in_its_own_order() -> None:
    data = text()
    rows = data.rows(0, data.n_rows, KEYS).x
    assert not np.array_equal(rows[0], rows[1])
    assert sorted(map(bytes, rows[0])) == sorted(map(bytes, rows[1]))
    np.testing.assert_array_equal(data.rows(5, 9, KEYS).x, rows[:, 5:9])


def test_bpe_spells_any_text_and_shortens_its_own() -> None:
    training = _split(LICENSE.read_bytes(), 0.2)[0]
    bpe = learn_bpe(training, 400)
    assert len(bpe.pieces) == 400
    assert set(bpe.pieces[:256]) == {bytes([i]) for i in range(256)}
    for strange in ("Ünïcödé 猫\t\n".encode(), bytes(range(256)), training[0]):
        assert b"".join(bpe.pieces[token] for token in bpe.encode(strange)) == strange
    assert len(bpe.encode(training[0])) < 0.6 * len(training[0])


def test_bpe_is_the_same_in_every_process() -> None:
    program = (
        "import hashlib; from mad_ray.data.text import Text;"
        f"data = Text(path={str(LICENSE)!r}, length=16, tokens='bpe', vocabulary=600);"
        "print(hashlib.sha256(data.held_out(50).x.tobytes() + b''.join(data.spelling().pieces)).hexdigest())"
    )
    found = set()
    for threads, seed in (("1", "1"), ("4", "2")):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
        )
        found.add(done.stdout.strip())
    assert len(found) == 1
    assert len(found.pop()) == 64


def test_bpe_stops_where_nothing_is_left_to_merge(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("abcdefghij " * 2 + "xyz" * 10)
    data = Text(path=str(path), tokens="bpe", vocabulary=5000, length=2, held_out_share=0.5)
    assert 256 <= data.event.n_symbols < 300


def test_the_content_is_the_identity_and_the_path_is_not(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.txt"
    copy.write_bytes(LICENSE.read_bytes())
    assert identity(text(path=str(copy))) == identity(text())
    copy.write_bytes(LICENSE.read_bytes() + b"!")
    assert identity(text(path=str(copy))) != identity(text())


def test_rare_pairs_are_those_of_the_held_out_text() -> None:
    data = text()
    law, (pairs, counts) = data.law(), counted_pairs(data.held_out(data.n_held_out).x[0])
    is_rare = np.isin(pair_codes(pairs), pair_codes(law["rare"]))
    assert counts[is_rare].max() < counts[~is_rare].min()
    assert counts[is_rare].sum() >= 0.1 * counts.sum()
    assert law["tokens"].tobytes() == data.held_out(512).x[0].tobytes()


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (None, {}, r"data\.path=.*there is no"),
        (b"abc" * 100 + b"\xff\xfe", {}, r"not UTF-8: byte 0xff at position 300; convert it"),
        (b"short", {}, r"0 training and 0 held-out sequences of length=64; give a longer text, or lower data\.length"),
        (b"", {}, r"0 training and 0 held-out"),
        (b"long" * 1000, {"content": "0" * 32}, r"content [0-9a-f]{32} where data\.content=0{32} is expected"),
    ],
)
def test_bad_files_are_named_with_a_remedy(tmp_path: Path, content, settings: dict, message: str) -> None:
    path = tmp_path / "file.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=message) as caught:
        _ = Text(path=str(path), **settings).n_rows
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 1}, "data.length=1"),
        ({"vocabulary": 256}, "data.vocabulary=256"),
        ({"held_out_share": 0.0}, "data.held_out_share=0"),
        ({"held_out_share": 1.0}, "data.held_out_share=1"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Text(**settings)


def test_without_a_path_it_says_what_to_give() -> None:
    with pytest.raises(InvalidInput, match=r"data\.path is missing"):
        _ = Text().n_rows
