"""mad-ray submit: compute a study on a running cluster, and follow it from here."""

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mad_ray.commands.package import sign_package, write_package
from mad_ray.commands.reach import on_s3, require_reach, secrets_of, settings_of
from mad_ray.commands.session import session_of
from mad_ray.config import load_config, parse_config
from mad_ray.core.errors import InvalidInput

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Options:
    """Of the command line, as its help says. address: http://HOST:PORT of the cluster's dashboard."""

    address: str
    shared: bool = False
    ship: bool = False
    wait: bool = True


def submit(config: str, overrides: Sequence[str], options: Options) -> int:
    """The study's exit code; 0 at once if it is not waited for; 130 if the user stopped following it."""
    raw = load_config(config, overrides)
    session = session_of(parse_config(raw))
    store = require_reach(raw, session, options.shared)
    environment = settings_of() if on_s3(raw, store) else {}
    _say_secrets(on_s3(raw, store), options.address)
    from mad_ray.onray.submit import Submission, connect, follow, submit_or_join

    client = connect(options.address)
    with tempfile.TemporaryDirectory(prefix="mad-ray-") as name:
        folder = Path(name)
        package = write_package(raw, session, store, folder, options.ship)
        submission = Submission(session.name, store, package, environment)
        job = submit_or_join(client, submission, folder, lambda job: sign_package(folder, job, options.ship))
    try:
        print(f"{'submitted' if job.is_new else 'joined'} {job.id}, store {store}", flush=True)
        if options.wait:
            return follow(client, job.id, _write)
    except KeyboardInterrupt:
        print(f"\nmad-ray: no longer following {job.id}, which goes on", file=sys.stderr)
        _say_how(job.id, options.address)
        return 130
    _say_how(job.id, options.address)
    return 0


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _say_how(job: str, address: str) -> None:
    print("follow it: the same command joins it")
    print(f"stop it:   ray job stop --address {address} {job}", flush=True)


def _say_secrets(uses_s3: bool, address: str) -> None:
    """What stays here, and what does not."""
    parts = urlsplit(address)
    token = os.environ.get("RAY_AUTH_MODE") == "token"
    if token and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        print(f"note: the token travels to {parts.hostname} in the clear; a tunnel (ray dashboard, ssh -L) hides it")
    if uses_s3 and (found := secrets_of()):
        print(f"note: {', '.join(found)} stay on this machine; the cluster's nodes need access to the store themselves")


def address_of(given: str | None) -> str:
    """The --address, else RAY_API_SERVER_ADDRESS. InvalidInput if there is neither."""
    address = given or os.environ.get("RAY_API_SERVER_ADDRESS")
    if not address:
        raise InvalidInput("which cluster? give --address http://HOST:8265, or set RAY_API_SERVER_ADDRESS")
    return address
