"""Listing and reading of what a user names, on a disk and on an S3 server."""

import hashlib
import os
import socket
from pathlib import Path

import boto3
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.data import Images
from mad_ray.data import fingerprints as kept
from mad_ray.data.decoded import Cached
from mad_ray.data.files import content_of, list_files, open_files, read_file
from tests.data.pictures import made_up, table, write_folder, write_hugging_face, write_parquet, write_zip

FILES = {"b/2.txt": b"two", "a.txt": b"", "b/c/3.bin": bytes(range(256)), "z": b"last"}
HIDDEN = {".git/x": b"x", "b/.DS_Store": b"x", "__MACOSX/a.txt": b"x"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAD_RAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def upload(s3, prefix: str, folder: Path) -> str:
    """The files of a folder, as objects."""
    client = boto3.client("s3")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client.put_object(Bucket=s3.bucket, Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes())
    return f"s3://{s3.bucket}/{prefix}"


def line(path: str, field: str = "data.path") -> str:
    with pytest.raises(InvalidInput) as caught:
        list_files(path, field)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_is_listed_sorted_with_the_digest_of_each_file(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "files", FILES | HIDDEN)
    for path in (str(folder), f"{folder}/", f"file://{folder}"):
        found = list_files(path)
        assert [file.name for file in found] == sorted(FILES)
        for file in found:
            assert file.n_bytes == len(FILES[file.name])
            assert file.fingerprint == hashlib.md5(FILES[file.name]).hexdigest()


def test_one_file_is_listed_by_its_name_and_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "files", FILES)
    assert [tuple(file) for file in list_files(str(folder / "z"))] == [("z", 4, hashlib.md5(b"last").hexdigest())]
    assert read_file(str(folder / "b/2.txt")) == b"two"
    with pytest.raises(InvalidInput, match=r"family.file=.* is a folder where a file is needed"):
        read_file(str(folder), "family.file")


def test_an_s3_prefix_is_what_the_folder_is(tmp_path: Path, s3) -> None:
    folder = write_folder(tmp_path / "files", FILES | HIDDEN)
    url = upload(s3, "some/prefix", folder)
    boto3.client("s3").put_object(Bucket=s3.bucket, Key="some/prefix/mark/", Body=b"")
    for path in (url, f"{url}/", f"{url}?endpoint_url={s3.endpoint}&region=us-east-1"):
        assert list_files(path) == list_files(str(folder))
    assert read_file(f"{url}/b/c/3.bin") == FILES["b/c/3.bin"]
    assert [file.name for file in list_files(f"{url}/z")] == ["z"]
    content = content_of(list_files(str(folder)), is_file=False)
    assert content_of(list_files(url), is_file=False) == content


def test_an_archive_is_read_in_few_requests(tmp_path: Path, s3, monkeypatch) -> None:
    """Any place of an object can be read, and bits of bytes come from one buffer."""
    path = write_zip(tmp_path / "a.zip", made_up())
    boto3.client("s3").put_object(Bucket=s3.bucket, Key="a.zip", Body=path.read_bytes())
    with open_files(f"s3://{s3.bucket}/a.zip").open("a.zip") as file:
        file.seek(-10, os.SEEK_END)
        assert file.read() == path.read_bytes()[-10:]
        file.seek(3)
        assert file.read(4) == path.read_bytes()[3:7]


@pytest.mark.parametrize("form", ["folder", "zip", "Parquet", "Hugging Face"])
def test_images_from_s3_are_those_of_the_disk(tmp_path: Path, s3, form: str) -> None:
    files, here = made_up(), tmp_path / "data"
    name = {"zip": "a.zip", "Parquet": "a.parquet"}.get(form, "")
    {
        "folder": lambda: write_folder(here, files),
        "zip": lambda: (here.mkdir(), write_zip(here / name, files)),
        "Parquet": lambda: write_parquet(here / name, table(files)),
        "Hugging Face": lambda: write_hugging_face(here, table(files, label="features")),
    }[form]()
    url = upload(s3, "images", here)
    there, local = Images(f"{url}/{name}".rstrip("/"), size=8), Images(str(here / name), size=8)
    assert there.content == local.content, "the same study"
    keys = Keys((0,)).at("real")
    from_disk = local.rows(0, 19, keys)
    Cached(local).folder.rename(tmp_path / "away")
    from_s3 = there.rows(0, 19, keys)
    assert Cached(there).is_there, "decoded anew, from S3"
    assert from_s3.x.tobytes() == from_disk.x.tobytes()
    assert from_s3.label.tobytes() == from_disk.label.tobytes()


def test_unchanged_files_are_not_read_again(tmp_path: Path, monkeypatch) -> None:
    folder = write_folder(tmp_path / "files", FILES)
    for path in folder.rglob("*"):
        os.utime(path, (1e9, 1e9))
    first = list_files(str(folder))
    read: list[str] = []
    whole = kept.with_fingerprints

    def watched(files, stats):
        original = files.fingerprint
        files.fingerprint = lambda name: (read.append(name), original(name))[1]
        return whole(files, stats)

    monkeypatch.setattr("mad_ray.data.files.with_fingerprints", watched)
    assert list_files(str(folder)) == first
    assert read == []
    (folder / "z").write_bytes(b"LAST")
    os.utime(folder / "z", (1e9 + 1, 1e9 + 1))
    assert list_files(str(folder))[-1].fingerprint == hashlib.md5(b"LAST").hexdigest()
    assert read == ["z"]


def test_what_changed_just_now_is_read_again(tmp_path: Path) -> None:
    """The clock of a file system ticks slowly: a second change within a tick would not show."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    status = path.stat()
    list_files(str(path))
    path.write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert list_files(str(path))[0].fingerprint == hashlib.md5(b"two").hexdigest()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"z": 3}', b'{"z": ["a", 4, 1000000000000000000]}'])
def test_a_damaged_cache_costs_time_only(tmp_path: Path, cache: Path, damage: bytes) -> None:
    folder = write_folder(tmp_path / "files", FILES)
    for path in folder.rglob("*"):
        os.utime(path, (1e9, 1e9))
    first = list_files(str(folder))
    for path in (cache / "fingerprints").iterdir():
        path.write_bytes(damage)
    assert list_files(str(folder)) == first


def test_links_are_followed_once_and_to_nowhere_is_told(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "files", FILES)
    (folder / "round").symlink_to(folder)
    (folder / "link.txt").symlink_to(folder / "z")
    assert [file.name for file in list_files(str(folder))] == sorted([*FILES, "link.txt"])
    (folder / "nowhere").symlink_to(tmp_path / "gone")
    assert "there is no" in line(str(folder))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "data.path is missing: give a path"),
        ("/nowhere/at/all", "there is no /nowhere/at/all; correct the path"),
        ("gs://bucket/x", "no files can be read from gs://"),
        ("file://host/x", "a file URL has three slashes"),
        ("s3://", "expected s3://BUCKET/PREFIX"),
        ("s3://b/p?x=1", "an s3:// URL has no option 'x'"),
        ("s3://key:hush@b/p", "data.path holds credentials; take them out"),
        ("s3://b/p?endpoint_url=http://key:hush@h", "data.path holds credentials; take them out"),
        ("s3://b/p?endpoint_url=host:9000", "its endpoint is no http://HOST:PORT"),
    ],
)
def test_what_is_no_place_is_one_line(path: str, words: str) -> None:
    message = line(path)
    assert words in message
    assert "hush" not in message


def test_what_an_s3_server_refuses_is_one_line(s3) -> None:
    assert "there is nothing; correct it" in line(f"s3://{s3.bucket}/no/such/prefix")
    assert "there is nothing; correct it" in line("s3://no-such-bucket/x")


def test_nobody_listens_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEYID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "HUSH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        message = line(f"s3://bucket/x?endpoint_url={address}", "family.path")
    assert message.startswith("family.path=s3://bucket/x")
    assert "Could not connect" in message
    assert "check the URL, AWS_ENDPOINT_URL and the credentials" in message
    assert "HUSH" not in message
