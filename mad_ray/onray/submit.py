"""A study as a job of a running cluster: submitted once, joined by whoever submits it again, followed to its end."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mad_ray.core.errors import InvalidInput, MadError
from mad_ray.core.fingerprint import digest

CONNECT_S = 10
LOST_S = 120.0
POLL_S = 1.0
ENTRYPOINT = "python mad_ray_start.py"
_STUDY, _STORE, _PACKAGE = "mad_ray_study", "mad_ray_store", "mad_ray_package"


@dataclass(frozen=True)
class Submission:
    """What is submitted: study and store say which study it is, `package` (a digest) with which settings and code."""

    study: str
    store: str
    package: str
    environment: Mapping[str, str]

    @property
    def metadata(self) -> dict[str, str]:
        """What everybody who sees the cluster's jobs may read."""
        return {_STUDY: self.study, _STORE: self.store, _PACKAGE: self.package}


@dataclass(frozen=True)
class Job:
    """A submission that the cluster knows. is_new: it was submitted now, rather than joined."""

    id: str
    is_new: bool


def connect(address: str) -> Any:
    """A client of the cluster whose dashboard is at http(s)://HOST:PORT.

    InvalidInput if the address is none; MadError if no cluster answers there, or not with this token.
    """
    _require_answer(address)
    import requests
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    for name in ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with _only(address):
            return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise MadError(
            f"--address {address}: the cluster refuses this token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN (or "
            "RAY_AUTH_TOKEN_PATH) to the cluster's"
        ) from error
    except (ConnectionError, RuntimeError, ValueError, KeyError, requests.RequestException) as error:
        raise MadError(f"--address {address}: no Ray dashboard answers there ({_line(error)}); correct it") from error


def _require_answer(address: str) -> None:
    parts = urlsplit(address)
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or not port or "@" in parts.netloc:
        raise InvalidInput(
            f"--address {address.rpartition('@')[2]}: expected http://HOST:8265, the cluster's dashboard"
        )
    try:
        socket.create_connection((parts.hostname, port), timeout=CONNECT_S).close()
    except OSError as error:
        raise MadError(
            f"--address {address}: nothing answers there ({error.strerror or error}); start the cluster, or open a way "
            "to its dashboard (ray dashboard CLUSTER.yaml, kubectl port-forward)"
        ) from error


@contextmanager
def _only(address: str) -> Iterator[None]:
    """Ray prefers RAY_API_SERVER_ADDRESS and RAY_ADDRESS to what it is asked for; here what was typed counts."""
    before = os.environ.get("RAY_API_SERVER_ADDRESS")
    os.environ["RAY_API_SERVER_ADDRESS"] = address
    try:
        yield
    finally:
        if before is None:
            del os.environ["RAY_API_SERVER_ADDRESS"]
        else:
            os.environ["RAY_API_SERVER_ADDRESS"] = before


def submit_or_join(client: Any, submission: Submission, folder: Path, sign: Callable[[str], None]) -> Job:
    """Join the study if it runs on this cluster already, else submit the folder under a fresh id, told to `sign` first.

    Ids are numbered, and the cluster refuses one that is taken: of two that submit at the same moment one joins.
    InvalidInput if what runs has other settings or code. MadError if the cluster does not take it.
    """
    while True:
        earlier = _submissions(client, submission)
        running = [job for job in earlier if not job.status.is_terminal()]
        if running:
            return _join(running[-1], submission)
        name = f"mad-ray-{submission.study}-{digest(submission.store)[:6]}-"
        numbers = [job.submission_id.rpartition("-")[2] for job in earlier]
        job = f"{name}{1 + max((int(n) for n in numbers if n.isdigit()), default=0)}"
        sign(job)
        try:
            _submit(client, submission, folder, job)
        except RuntimeError as error:
            if "already exists" in str(error):
                continue
            raise MadError(f"the cluster does not take the job: {_line(error)}") from error
        return Job(job, is_new=True)


def _submit(client: Any, submission: Submission, folder: Path, job: str) -> None:
    client.submit_job(
        entrypoint=ENTRYPOINT,
        submission_id=job,
        metadata=submission.metadata,
        runtime_env={"working_dir": str(folder), "env_vars": dict(submission.environment)},
    )


def _submissions(client: Any, submission: Submission) -> list[Any]:
    """All that were ever submitted to this cluster of the study on that store, oldest first."""
    wanted = {_STUDY: submission.study, _STORE: submission.store}
    jobs = [job for job in client.list_jobs() if job.submission_id and wanted.items() <= (job.metadata or {}).items()]
    return sorted(jobs, key=lambda job: job.start_time or 0)


def _join(running: Any, submission: Submission) -> Job:
    if running.metadata.get(_PACKAGE) != submission.package:
        raise InvalidInput(
            f"study {submission.study} is running as {running.submission_id} with other settings or code; wait for "
            f"its end, or `ray job stop {running.submission_id}`, then submit again (what is committed is kept)"
        )
    return Job(running.submission_id, is_new=False)


def follow(client: Any, job: str, write: Callable[[str], None]) -> int:
    """Hand on what the job prints, from its first line, until it ends; returns its exit code.

    A connection that breaks is made again. MadError if the cluster does not answer for LOST_S seconds.
    """
    n_written, last_answer_s = 0, time.monotonic()
    while True:
        try:
            n_written = asyncio.run(_copy(client, job, n_written, write))
            details = client.get_job_info(job)
            last_answer_s = time.monotonic()
        except _broken() as error:
            if time.monotonic() - last_answer_s > LOST_S:
                raise MadError(
                    f"the cluster has not answered for {LOST_S:.0f} s ({_line(error)}); {job} may go on there: the "
                    "same command follows or resumes it"
                ) from error
            details = None
        if details is not None and details.status.is_terminal():
            return _conclude(details, write)
        time.sleep(POLL_S)


async def _copy(client: Any, job: str, n_written: int, write: Callable[[str], None]) -> int:
    """Hand on what follows the first n_written characters of the log; returns how many there are now."""
    n_seen = 0
    async for lines in client.tail_job_logs(job):
        new = lines[max(0, n_written - n_seen) :]
        n_seen += len(lines)
        if new:
            write(new)
            n_written = n_seen
    return n_written


def _conclude(details: Any, write: Callable[[str], None]) -> int:
    """The driver's own exit code; 1, and why, if it has none or was killed."""
    from ray.job_submission import JobStatus

    if details.status == JobStatus.SUCCEEDED:
        return 0
    code = details.driver_exit_code
    if details.status == JobStatus.FAILED and code in (1, 2):
        return code
    message = _line(details.message or "no message")
    write(f"mad-ray: {details.submission_id} {str(details.status).lower()} ({message}); the same command resumes it\n")
    return 1


def _broken() -> tuple[type[Exception], ...]:
    """What a lost connection looks like."""
    import aiohttp
    import requests

    return (aiohttp.ClientError, requests.RequestException, OSError, RuntimeError)


def _line(error: object) -> str:
    return " ".join(str(error).split())[:300]
