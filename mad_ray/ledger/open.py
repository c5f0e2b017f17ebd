"""From a URL to a store."""

from urllib.parse import urlsplit

from mad_ray.core.errors import InvalidInput
from mad_ray.ledger.local import LocalStore
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.retry import Retrying
from mad_ray.ledger.store import Store

KNOWN = "a directory, file:///PATH, memory://NAME, s3://BUCKET/PREFIX"


def open_store(url: str) -> Store:
    """The store that the URL names. Nothing is read or written yet; InvalidInput where no store has such a URL."""
    scheme = url.partition("://")[0] if "://" in url else ""
    if not url.strip():
        raise InvalidInput(f"run.store is empty; known are {KNOWN}")
    if scheme in ("", "file"):
        # A network file system's server may be away for a moment.
        return Retrying(LocalStore(url))
    if scheme == "memory":
        return MemoryStore(_memory_name(url))
    if scheme == "s3":
        # boto3 takes a while to import, and only S3 needs it.
        from mad_ray.ledger.s3 import S3Store

        return Retrying(S3Store(url))
    raise InvalidInput(f"run.store: no store has the scheme {scheme!r}; known are {KNOWN}")


def _memory_name(url: str) -> str:
    parts = urlsplit(url)
    if not parts.netloc or parts.path.strip("/") or parts.query:
        raise InvalidInput(f"store {url}: give a name and nothing more: memory://NAME")
    return parts.netloc
