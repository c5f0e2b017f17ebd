"""Manifests: what one commit made visible. JSON round trip; the chain's digest covers the results, not the timings."""

from dataclasses import asdict, dataclass, field
from typing import Any

from mad_ray.core.errors import Corrupt
from mad_ray.core.fingerprint import Json, digest
from mad_ray.core.loop import Slice
from mad_ray.core.sealed import seal, unseal

FORMAT = 2


@dataclass(frozen=True)
class Blob:
    """One object of an attempt: its name below the attempt's prefix, its size and SHA-256."""

    name: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Shard:
    """A Parquet file with samples start..stop of each trajectory, published by one generation."""

    blob: Blob
    generation: int
    start: int
    stop: int


@dataclass(frozen=True)
class Manifest:
    """The commit marker of generations first..last of a cohort.

    training: the slices of D^last. models: a safetensors blob, tensors named "t/name", of what later generations need.
    n_published: samples each generation published; where `shards` is empty they are redrawn from model and keys.
    metrics: measured values (values.py). parent: `digest` of the manifest before, so the ledger is a hash chain.
    provenance: what may differ between two runs of the same study: attempt, versions, device, seconds, bytes.
    eaten: of an ecosystem's members, cohort -> digest of the newest manifest that D^last was read from.
    """

    identity: dict[str, Json]
    cohort: str
    first: int
    last: int
    parent: str
    training: tuple[Slice, ...]
    models: Blob
    n_published: int
    shards: tuple[Shard, ...]
    metrics: Blob
    provenance: dict[str, Any]
    eaten: dict[str, str] = field(default_factory=dict)

    def content(self) -> dict[str, Json]:
        """All that must come out the same whenever and wherever it is computed."""
        fields = asdict(self)
        del fields["provenance"]
        # Left out where there is none, so that manifests of plain loops stay what they were.
        if not self.eaten:
            del fields["eaten"]
        for part in fields["training"]:
            if not part["member"]:
                del part["member"]
        return {"format": FORMAT, **fields}

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return digest(self.content())

    @property
    def attempt(self) -> str:
        return self.provenance["attempt"]

    def blobs(self) -> list[Blob]:
        """Every object that this manifest makes visible."""
        return [self.models, self.metrics, *(shard.blob for shard in self.shards)]

    def to_json(self) -> bytes:
        return seal({"content": self.content(), "provenance": self.provenance})

    @classmethod
    def from_json(cls, data: bytes, key: str) -> "Manifest":
        """Corrupt if the bytes are not a whole manifest of a format that this version knows."""
        document = unseal(data, key)
        try:
            content = dict(document["content"])
            if content.pop("format") != FORMAT:
                raise Corrupt(f"{key}: written by another version of mad_ray (format {document['content']['format']})")
            return cls(
                **{
                    **content,
                    "training": tuple(Slice(**part) for part in content["training"]),
                    "models": Blob(**content["models"]),
                    "shards": tuple(Shard(**{**s, "blob": Blob(**s["blob"])}) for s in content["shards"]),
                    "metrics": Blob(**content["metrics"]),
                },
                provenance=document["provenance"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt(f"{key}: not a manifest ({error})") from error
