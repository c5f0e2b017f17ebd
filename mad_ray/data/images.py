"""The user's own images: a folder, a zip, Parquet files or a Hugging Face dataset directory, here or on S3."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import digest
from mad_ray.core.samples import NO_LABEL, Event
from mad_ray.core.settings import STRICT
from mad_ray.data.catalogue import Catalogue, Reading, Row, open_catalogue
from mad_ray.data.decoded import Bad, Cached, Part
from mad_ray.data.files import KNOWN, absolute, content_of, open_files
from mad_ray.data.fingerprints import with_fingerprints
from mad_ray.data.listed import File
from mad_ray.data.source import Selected, Table, TableSource
from mad_ray.data.split import split_rows, used_rows
from mad_ray.data.wrong_images import UNLABELLED, UNREADABLE, refusal

MAX_SIZE = 1024


class Facts(NamedTuple):
    """What must be known of the images before any is decoded; travels with the settings to where they do not lie."""

    n: int
    """Images of the parts asked for."""
    held_out: tuple[tuple[int, int], ...]
    """Which of them are held out by their part, as ranges; empty where a share is drawn."""
    n_classes: int
    listing: str
    """Digest of names and sizes of the files: whoever decodes must find the same."""


@dataclass(frozen=True)
class Images(TableSource):
    """Images of the user's own, made square: a share, or a part, of them is held out."""

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "images"

    path: str = field(default="", metadata={"execution": True})
    """An image folder (subfolders are classes), a zip of one, a Parquet file or a folder of them, or a Hugging Face
    dataset directory (save_to_disk): a path, file:///PATH or s3://BUCKET/PREFIX."""
    content: str = ""
    """Fingerprint of what the files hold, which is what the data are, wherever they lie. Left out: worked out."""
    size: int = 32
    """Pixels of a side, after scaling."""
    channels: Literal[1, 3] = 3
    """3: colour. 1: grey (luma by ITU-R 601). Transparency is laid on white; of 16 bits the high byte is kept."""
    resize: Literal["crop", "fit", "squash", "none"] = "crop"
    """crop: the shorter side is scaled, the middle cut out. fit: the longer side is scaled, white added. squash: both
    sides are scaled. none: every image must have the size already."""
    scaling: Literal["lanczos", "bicubic", "bilinear", "box", "nearest"] = "lanczos"
    """Pillow's filter for scaling; all but nearest keep from aliasing."""
    image: str = ""
    """Parquet and Hugging Face: the column of images, bytes or {bytes, path}. Left out: the only one of that kind."""
    label: str = ""
    """none: images get no labels. Parquet and Hugging Face: the column of labels; left out: `label` if there is one."""
    part: str = ""
    """The part to train on, where the data come in parts (folders train/ and test/, train-00000-of-00002.parquet, the
    splits of a DatasetDict). Left out: all that is not held_out_part."""
    held_out_part: str = ""
    """The part to hold out. Left out: the share below, drawn from all."""
    held_out_share: float = 0.2
    """Share of the images that is held out, drawn at random, where no held_out_part is given."""
    limit: int = 0
    """Use so many images only, drawn at random before any is held out; 0: all."""
    split: int = 0
    """Seed of those draws, which are the same for every trajectory."""

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MAX_SIZE:
            raise InvalidInput(f"data.size={self.size}: a side has 1 to {MAX_SIZE} pixels")
        if not 0 < self.held_out_share < 1:
            raise InvalidInput(f"data.held_out_share={self.held_out_share} is outside (0, 1); typical: 0.2")
        if self.limit < 0:
            raise InvalidInput(f"data.limit={self.limit}: give how many images to use, or 0 for all")
        if self.part and self.part == self.held_out_part:
            raise InvalidInput(f"data.part={self.part} is held out too; give two different parts")
        object.__setattr__(self, "path", absolute(self.path))
        if self.path and not self.content:
            object.__setattr__(self, "content", _content(self._reading))

    @cached_property
    def facts(self) -> Facts:
        """InvalidInput if there is no image, or none of a part."""
        if not self.path:
            raise InvalidInput(f"data.path is missing: images need a folder, zip or table of them, as {KNOWN}")
        if (found := _content(self._reading)) != self.content:
            raise InvalidInput(
                f"data.path={self.path}: content {found} where data.content={self.content} is expected; give those "
                "images, or leave content out"
            )
        catalogue, listing = _catalogue(self._reading)
        asked = _asked(self, catalogue)
        return Facts(
            sum(stop - start for start, stop, _ in asked),
            tuple(_held_ranges(asked)),
            len(catalogue.classes),
            listing,
        )

    @property
    def event(self) -> Event:
        return Event((self.channels, self.size, self.size), "uint8", self.facts.n_classes)

    @property
    def n_rows(self) -> int | None:
        return len(self._split[0])

    @property
    def n_held_out(self) -> int | None:
        return len(self._split[1])

    @property
    def dataset(self) -> str:
        """Equal for all that decode the same images to the same rows, however many of them they hold out."""
        drawn = [self.limit, self.split] if self.limit else []
        rule = [self.size, self.channels, self.resize, self.scaling, self.image, self.label]
        return digest([self.content, rule, self.part, self.held_out_part, drawn])[:16]

    @property
    def n_decoded(self) -> int:
        return min(self.facts.n, self.limit or self.facts.n)

    def decode(self, start: int, stop: int) -> Part:
        """Rows start..stop of those used, in the order in which they lie there."""
        catalogue, listing = _catalogue(self._reading)
        if listing != self.facts.listing:
            raise InvalidInput(
                f"data.path={self.path}: there are other files now than when the study started; start it again"
            )
        rows = np.concatenate([np.arange(first, last) for first, last, _ in _asked(self, catalogue)])
        wanted = rows[used_rows(self.facts.n, self.limit, self.split)[start:stop]]
        return _decoded(self, catalogue.read(wanted), len(wanted), catalogue.classes)

    def refusal(self, bad: list[Bad]) -> InvalidInput:
        return refusal(f"data.path={self.path}", self.dataset, self.size, bad)

    def _load(self) -> Table:
        cached = Cached(self)
        if not cached.is_there:
            cached.make()
        x, label = cached.open()
        kept, held = self._split
        return Table(Selected(x, kept), label[kept], Selected(x, held), label[held])

    @property
    def _reading(self) -> Reading:
        parts = tuple(part for part in (self.part, self.held_out_part) if part)
        return Reading(self.path, "data.path", self.image, self.label, parts)

    @property
    def _split(self) -> tuple[np.ndarray, np.ndarray]:
        """(training, held-out): numbers of decoded rows."""
        return split_rows(self.facts.n, self.limit, self.split, self.facts.held_out, self.held_out_share)


@lru_cache(maxsize=4)
def _catalogue(reading: Reading) -> tuple[Catalogue, str]:
    """What lies there, and the digest of its listing; looked up once per process."""
    catalogue = open_catalogue(reading)
    return catalogue, digest([[stat.name, stat.n_bytes] for stat in catalogue.files])[:32]


@lru_cache(maxsize=64)
def _content(reading: Reading) -> str:
    files, stats = open_files(reading.path, reading.field), _catalogue(reading)[0].files
    prints = with_fingerprints(files, stats)
    named = [File(stat.name, stat.n_bytes, found) for stat, found in zip(stats, prints, strict=True)]
    return content_of(named, is_file=files.is_file)


def _asked(settings: Images, catalogue: Catalogue) -> list[tuple[int, int, bool]]:
    """(start, stop, whether held out) of the rows of the parts asked for. InvalidInput if a part is not there."""
    found = {run.part for run in catalogue.runs}
    for name, part in (("part", settings.part), ("held_out_part", settings.held_out_part)):
        if part and part not in found:
            known = ", ".join(sorted(found - {""})) or "none"
            raise InvalidInput(f"data.{name}={part}: data.path={settings.path} has no such part (there are: {known})")
    return [
        (run.start, run.stop, bool(settings.held_out_part) and run.part == settings.held_out_part)
        for run in catalogue.runs
        if run.part == settings.held_out_part or not settings.part or run.part == settings.part
    ]


def _held_ranges(asked: list[tuple[int, int, bool]]) -> Iterator[tuple[int, int]]:
    """The held-out ones, numbered among those asked for."""
    n = 0
    for start, stop, is_held in asked:
        if is_held:
            yield n, n + stop - start
        n += stop - start


def _decoded(settings: Images, rows: Iterable[Row], n: int, classes: Sequence[str | int]) -> Part:
    # Pillow is for those who decode; settings are read without it.
    from mad_ray.data.decode import Refused, decode_image

    number = {value: i for i, value in enumerate(classes)}
    x = np.zeros((n, *settings.event.shape), np.uint8)
    label = np.full(n, NO_LABEL, np.int32)
    bad: list[Bad] = []
    for i, row in enumerate(rows):
        try:
            if row.problem:
                raise Refused(UNREADABLE, row.problem)
            if classes and row.label not in number:
                raise Refused(UNLABELLED, "no label" if row.label is None else f"label {row.label}")
            x[i] = decode_image(row.data, settings.size, settings.channels, settings.resize, settings.scaling)
            label[i] = NO_LABEL if row.label is None else number.get(row.label, NO_LABEL)
        except Refused as error:
            bad.append(Bad(row.name, error.problem, error.found))
    return Part(x, label, bad)
