"""Files that a user names: one, or a folder of them; on this machine or in an S3 bucket."""

from collections.abc import Sequence
from pathlib import Path

from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import digest
from mad_ray.data.fingerprints import with_fingerprints
from mad_ray.data.listed import File, Files
from mad_ray.data.local_files import LocalFiles

KNOWN = "a path, file:///PATH or s3://BUCKET/PREFIX"


def open_files(path: str, field: str = "data.path") -> Files:
    """The file or folder at a path or URL. InvalidInput, naming the config field, if there is nothing."""
    scheme = path.partition("://")[0] if "://" in path else ""
    if not path.strip():
        raise InvalidInput(f"{field} is missing: give {KNOWN}")
    if scheme in ("", "file"):
        return LocalFiles(path, field)
    if scheme == "s3":
        # pyarrow takes a while to import, and only S3 needs it.
        from mad_ray.data.s3_files import S3Files

        return S3Files(path, field)
    raise InvalidInput(f"{field}={path}: no files can be read from {scheme}://; give {KNOWN}")


def list_files(path: str, field: str = "data.path") -> list[File]:
    """All files below the path, sorted by name: (relative name, size in bytes, fingerprint of the content).

    Left out are hidden ones: those with a part of their name that starts with a dot or is __MACOSX. Of a path that is
    a file itself, that file under its own name.
    """
    files = open_files(path, field)
    stats = sorted(stat for stat in files.stats() if not is_hidden(stat.name))
    prints = with_fingerprints(files, stats)
    return [File(stat.name, stat.n_bytes, found) for stat, found in zip(stats, prints, strict=True)]


def read_file(path: str, field: str = "data.path") -> bytes:
    """The whole content of one file."""
    files = open_files(path, field)
    if not files.is_file:
        raise InvalidInput(f"{field}={path} is a folder where a file is needed; give the path of one file")
    with files.open(files.stats()[0].name) as file:
        return file.read()


def content_of(files: Sequence[File], *, is_file: bool) -> str:
    """What the files hold, wherever they lie: 32 hex digits. One file by itself may be renamed too."""
    named = [[file.name, file.n_bytes, file.fingerprint] for file in files]
    return digest([line[1:] for line in named] if is_file else named)[:32]


def absolute(path: str) -> str:
    """A path that means the same in every working directory; URLs as they are."""
    return str(Path(path).expanduser().resolve()) if path and "://" not in path else path


def is_hidden(name: str) -> bool:
    """Whether a part of the name starts with a dot or is __MACOSX."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
