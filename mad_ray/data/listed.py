"""What a file system tells of its files, and what is asked of one."""

from collections.abc import Sequence
from typing import BinaryIO, NamedTuple, Protocol


class Stat(NamedTuple):
    """One listed file. name: relative to the folder, parts joined by "/"; modified_ns: by its file system's clock."""

    name: str
    n_bytes: int
    modified_ns: int


class File(NamedTuple):
    """One listed file, and the fingerprint of its content.

    The fingerprint is the MD5 of its bytes, which is also the ETag that S3 gives to an object uploaded in one piece.
    (One that came in several pieces has another ETag: copied from a disk to S3 it may count as other content.)
    """

    name: str
    n_bytes: int
    fingerprint: str


class Files(Protocol):
    """A folder of files, or one file. Every method raises InvalidInput, one line that names the field, if it cannot."""

    url: str
    is_file: bool
    """Whether the path names one file, which is then the only one listed."""

    def stats(self) -> Sequence[Stat]:
        """Every file below, in no particular order."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A listed file, to be read from any place in it."""
        ...

    def fingerprint(self, name: str) -> str:
        """Of a listed file's content (File)."""
        ...
