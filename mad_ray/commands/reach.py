"""What a cluster can reach of what a config names, and which settings of this machine it needs. Never secrets."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mad_ray.commands.session import Session
from mad_ray.core.errors import InvalidInput

SETTINGS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION")
"""Environment variables that say where a store is."""
SECRETS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
)
"""Environment variables that give access; a job's environment is shown on dashboards, so they stay here."""
FILES = ("path", "weights")
"""Fields of a study that name files."""
SHARED = "if every node mounts it at the same place, add --shared"


def require_reach(raw: Mapping[str, Any], session: Session, shared: bool) -> str:
    """The store's URL as the cluster knows it. InvalidInput if the cluster can reach the store or a file in no way.

    shared: local folders are on a file system that every node mounts at the same place.
    """
    if session.config.run.runtime != "ray":
        raise InvalidInput("run.runtime=local would use one process of the head node; set run.runtime=ray")
    for field, path in _paths(raw.get("study", {}), "study"):
        _require_path(field, path, shared)
    url = session.config.run.store
    scheme = url.partition("://")[0] if "://" in url else "file"
    if scheme == "memory":
        raise InvalidInput(f"run.store={url} ends with the process; give s3://BUCKET/PREFIX")
    if scheme != "file":
        return url
    if not shared:
        raise InvalidInput(f"run.store={url} is a folder of this machine; give s3://BUCKET/PREFIX, or, {SHARED}")
    return str(Path(url.removeprefix("file://")).expanduser().resolve())


def _require_path(field: str, path: str, shared: bool) -> None:
    if "://" in path and not path.startswith("file://"):
        if "@" in urlsplit(path).netloc:
            raise InvalidInput(f"{field} holds credentials; take them out: what is submitted can be read on dashboards")
        return
    if not shared:
        raise InvalidInput(f"{field}={path} is on this machine; give s3://BUCKET/PREFIX, or, {SHARED}")
    if not Path(path.removeprefix("file://")).is_absolute():
        raise InvalidInput(f"{field}={path} means another file in every folder; give the whole path")


def _paths(block: Any, field: str) -> Iterator[tuple[str, str]]:
    """(field, text) of all that names files, in cases and grids too."""
    if isinstance(block, dict):
        for key, value in block.items():
            yield from _paths(value, f"{field}.{key}")
    elif isinstance(block, list):
        for value in block:
            yield from _paths(value, field)
    elif isinstance(block, str) and block and field.rpartition(".")[2] in FILES:
        yield field, block


def on_s3(raw: Mapping[str, Any], store: str) -> bool:
    """Whether the study reads or writes there."""
    return store.startswith("s3://") or any(path.startswith("s3://") for _, path in _paths(raw.get("study", {}), ""))


def settings_of(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The settings, none of them secret, that say where the S3 server is. InvalidInput if one holds credentials."""
    found = {name: environment[name] for name in SETTINGS if environment.get(name)}
    for name, value in found.items():
        if "@" in value:
            raise InvalidInput(f"{name} holds credentials; take them out: what is submitted can be read on dashboards")
    return found


def secrets_of(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Names of what gives this machine access to S3 and will not be told to the cluster."""
    found = [name for name in SECRETS if environment.get(name)]
    default = Path(environment.get("HOME") or Path.home()) / ".aws" / "credentials"
    return [*found, "~/.aws/credentials"] if not found and default.is_file() else found
