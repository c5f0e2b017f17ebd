"""A store in an S3 bucket, Amazon's or any server's that speaks the same protocol."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
from botocore.config import Config

from mad_ray.core.errors import InvalidInput, Missing, Transient
from mad_ray.ledger.s3_errors import FAILURES, is_no_object, is_status, translate
from mad_ray.ledger.store import Entry, check_key, check_prefix

_QUERY = {"endpoint_url", "region", "timeout_s"}
TIMEOUT_S, CONNECT_S = 60.0, 10.0


def _config(timeout_s: float) -> Config:
    return Config(
        # Older servers refuse the newest checksum trailers; the ledger checks SHA-256 itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # Retrying is the one retry policy.
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=min(CONNECT_S, timeout_s),
        read_timeout=timeout_s,
        max_pool_connections=32,
    )


class S3Store:
    """s3://BUCKET/PREFIX[?endpoint_url=URL][&region=NAME][&timeout_s=60], the last how long an answer may take.

    Threads may share it, and it pickles without its client.

    Credentials, and what the URL leaves out, come from the places boto3 looks at: AWS_ACCESS_KEY_ID,
    AWS_ENDPOINT_URL, AWS_REGION, profiles, the machine's role. No connection is made before the first call.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.bucket, self.prefix, options = _split(url)
        self.endpoint_url = options.get("endpoint_url")
        self.region = options.get("region")
        self.timeout_s = _seconds(options)
        self._start()

    def _start(self) -> None:
        self._client: Any = None
        self._lock = Lock()

    def get(self, key: str) -> bytes:
        full = self._full(key)
        with self._clear_errors(key):
            answer = self.client.get_object(Bucket=self.bucket, Key=full)
            data = answer["Body"].read()
        if "ETag" not in answer:
            # An error that came with status 200, or some other server's page: every object has its ETag.
            raise self._doubtful(key, "an answer that is no object")
        return data

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        full = self._full(key)
        with self._clear_errors(key):
            try:
                answer = self.client.put_object(Bucket=self.bucket, Key=full, Body=data, **condition)
            except FAILURES as error:
                if if_absent and is_status(error, 412):
                    # So somebody's object is there; or this is the answer to another write.
                    self._head(key)
                    return False
                if is_no_object(error):
                    raise self._doubtful(key, "an answer to another request") from error
                raise
        if not _is_receipt(answer, data):
            found = self._head(key)
            if "ETag" not in answer or (found.get("ETag"), found.get("ContentLength")) != (answer["ETag"], len(data)):
                raise self._doubtful(key, "an answer to another write")
        return True

    def list(self, prefix: str) -> Iterator[Entry]:
        return self.list_after(prefix, "")

    def list_after(self, prefix: str, after: str) -> Iterator[Entry]:
        full = self.prefix + check_prefix(prefix)
        start = {"StartAfter": self.prefix + after} if after else {}
        with self._clear_errors(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=full, **start)
            for item in (item for page in pages for item in page.get("Contents", [])):
                # Consoles mark empty folders with such keys; none is ours.
                if not item["Key"].endswith("/"):
                    key = item["Key"][len(self.prefix) :]
                    yield Entry(key, item["Size"], item["LastModified"].timestamp())

    def delete(self, key: str) -> None:
        full = self._full(key)
        try:
            with self._clear_errors(key):
                self.client.delete_object(Bucket=self.bucket, Key=full)
        except Missing:
            pass

    @property
    def client(self) -> Any:
        """boto3's client, made when first needed. Clients may be shared by threads, the making of them may not."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        session = boto3.session.Session(region_name=self.region)
        try:
            client = session.client("s3", endpoint_url=self.endpoint_url, config=_config(self.timeout_s))
        except ValueError as error:
            raise InvalidInput("run.store or AWS_ENDPOINT_URL names no server; expected http://HOST:PORT") from error
        if client.meta.endpoint_url.startswith("http://"):
            client.meta.events.register("before-send.s3", _ask_to_close)
        return client

    def _head(self, key: str) -> dict[str, Any]:
        """What the server says of an object that an answer was about; Transient if there is none."""
        with self._clear_errors(key):
            try:
                return self.client.head_object(Bucket=self.bucket, Key=self._full(key))
            except FAILURES as error:
                if is_no_object(error):
                    raise self._doubtful(key, "an answer to a write that did not happen") from error
                raise

    def _doubtful(self, key: str, what: str) -> Transient:
        return Transient(f"bucket {self.bucket!r} at {self._endpoint()}, object {key}: {what}")

    def _full(self, key: str) -> str:
        return self.prefix + check_key(key)

    @contextmanager
    def _clear_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise translate(error, key=key, bucket=self.bucket, endpoint=self._endpoint()) from error

    def _endpoint(self) -> str:
        """For messages: where requests go, without credentials that the environment may have put into it."""
        url = self._client.meta.endpoint_url if self._client else self.endpoint_url or "Amazon S3"
        return url.rpartition("@")[2]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_client", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start()


def _ask_to_close(request: Any, **_: Any) -> None:
    """One request a connection, so that no late or second answer can be taken for that of the next request.

    Over TLS nobody on the way can put one there, and connections are dear; over plain HTTP they cost next to nothing.
    """
    request.headers["Connection"] = "close"


def _is_receipt(answer: dict[str, Any], data: bytes) -> bool:
    """Whether the answer to a write is about this data: most servers give its MD5 as the ETag (not if they encrypt)."""
    return answer.get("ETag") == f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _seconds(options: dict[str, str]) -> float:
    try:
        seconds = float(options.get("timeout_s", TIMEOUT_S))
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidInput(f"run.store: timeout_s={options['timeout_s']}; expected seconds, more than 0")
    return seconds


def _split(url: str) -> tuple[str, str, dict[str, str]]:
    """(bucket, prefix that ends in "/" or is empty, options). InvalidInput, which repeats no secret, if malformed."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    endpoint = urlsplit(options.get("endpoint_url", "http://default"))
    if "@" in parts.netloc + endpoint.netloc:
        raise InvalidInput("run.store holds credentials; take them out and set AWS_ACCESS_KEY_ID and its kin instead")
    if unknown := sorted(set(options) - _QUERY):
        raise InvalidInput(
            f"run.store: an s3:// URL has no option {unknown[0]!r}; known are {', '.join(sorted(_QUERY))}"
        )
    if endpoint.scheme not in ("http", "https") or not endpoint.netloc:
        raise InvalidInput(f"run.store={url}: its endpoint_url is no http://HOST:PORT")
    if parts.scheme != "s3" or not parts.netloc or parts.fragment:
        raise InvalidInput(f"run.store={url}: expected s3://BUCKET/PREFIX")
    prefix = parts.path.strip("/")
    return parts.netloc, f"{check_key(prefix)}/" if prefix else "", options
