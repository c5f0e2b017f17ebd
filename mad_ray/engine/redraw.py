"""Samples that were retired, drawn again from their model to the same bytes."""

from dataclasses import dataclass
from typing import Any

from mad_ray.core.errors import TrajectoryFailed
from mad_ray.core.fingerprint import digest_bytes
from mad_ray.core.manifest import Manifest, Shard
from mad_ray.core.samples import Samples
from mad_ray.core.trajectory import keys_of
from mad_ray.engine.lessons import read_state
from mad_ray.engine.provenance import device, versions
from mad_ray.engine.publication import Publisher
from mad_ray.families.family import Family, Model
from mad_ray.ledger.chain import blob_key, read_checked
from mad_ray.ledger.shards import Origin, encode_shard
from mad_ray.ledger.store import Store
from mad_ray.ledger.tensors import decode_tensors, select_generation


@dataclass(frozen=True)
class Redraw:
    """Draws again what a committed generation published. Pickles."""

    store: Store
    family: Family
    manifest: Manifest
    interventions: tuple[Any, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.manifest.identity["seeds"])

    def model(self, generation: int) -> Model:
        """The committed model; empty where it was not kept."""
        key = blob_key(self.manifest, self.manifest.models)
        return select_generation(decode_tensors(read_checked(self.store, key, self.manifest.models)), generation)

    def samples(self, model: Model, generation: int, start: int, stop: int) -> Samples:
        """Samples start..stop of each trajectory."""
        return self._publisher(generation).samples(model, start, stop)

    def _publisher(self, generation: int) -> Publisher:
        bias = float(self.manifest.identity["loop"].get("bias", 1.0))
        active = {place: one for place, one in enumerate(self.interventions) if not one.is_identity}
        states = {place: read_state(self.store, self.manifest.identity, one, place) for place, one in active.items()}
        keys = keys_of(self.manifest.identity).at("sample", generation)
        return Publisher(self.family, bias, keys, generation, active, states)

    def encoded(self, shard: Shard, model: Model) -> bytes:
        """The shard's bytes, as they come out here."""
        samples = self.samples(model, shard.generation, shard.start, shard.stop)
        origin = Origin(self.manifest.cohort, shard.generation, self.seeds, self.manifest.models.sha256)
        return encode_shard(samples, start=shard.start, origin=origin)

    def shard(self, shard: Shard) -> bytes:
        """The shard's bytes. TrajectoryFailed if they do not come out as they were committed."""
        data = self.encoded(shard, self.model(shard.generation))
        if digest_bytes(data) != shard.blob.sha256:
            raise TrajectoryFailed(
                f"{blob_key(self.manifest, shard.blob)}: was retired, and its model does not draw the same bytes here "
                f"({self.difference()}); draw it where it was made, or restore the object from a copy"
            )
        return data

    def difference(self) -> str:
        """In what this process differs from the one that committed, as far as either knows."""
        then = self.manifest.provenance
        packages = {**then.get("versions", {}), **versions()}
        changed = [
            f"{name} {then.get('versions', {}).get(name, 'none')} then, {versions().get(name, 'none')} now"
            for name in sorted(packages)
            if then.get("versions", {}).get(name) != versions().get(name)
        ]
        if then.get("device") != device():
            changed.append(f"{then.get('device')} then, {device()} now")
        return "; ".join(changed) or "same versions, same kind of device"
