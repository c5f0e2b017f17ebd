"""A cloud's notice that this machine is about to be taken away, turned into what Ray understands: a drain of its node.

Trials and fits on the node then save their state and go on elsewhere (preemption.py).
"""

import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from mad_ray.core.errors import InvalidInput, MadError
from mad_ray.onray.cluster import require_answer

TIMEOUT_S = 2.0
TOKEN_S = 21600
AWS_URL, GCP_URL = "http://169.254.169.254", "http://metadata.google.internal"
# What the clouds promise between notice and end, where the notice does not say it.
AWS_LEFT_S, GCP_LEFT_S = 120.0, 30.0

# Never through a proxy: the answer is this machine's own.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass
class AwsNotice:
    """EC2's instance metadata, version 2: spot/instance-action is missing until there is a notice."""

    url: str = AWS_URL
    _token: str = field(default="", repr=False)

    def end_s(self) -> float | None:
        """When this machine ends, in seconds since the epoch; None without a notice. OSError if nothing answers."""
        try:
            text = self._action()
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            self._token = ""
            text = self._action()
        return None if text is None else _end_of(text)

    def _action(self) -> str | None:
        """The notice's JSON. HTTPError 401 once the token has run out."""
        if not self._token:
            headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_S)}
            self._token = _text(f"{self.url}/latest/api/token", headers, "PUT")
        try:
            headers = {"X-aws-ec2-metadata-token": self._token}
            return _text(f"{self.url}/latest/meta-data/spot/instance-action", headers)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise


@dataclass(frozen=True)
class GcpNotice:
    """Compute Engine's metadata: instance/preempted turns from FALSE to TRUE."""

    url: str = GCP_URL

    def end_s(self) -> float | None:
        """When this machine ends, in seconds since the epoch; None without a notice. OSError if nothing answers."""
        text = _text(f"{self.url}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"})
        return time.time() + GCP_LEFT_S if text.strip().upper() == "TRUE" else None


CLOUDS: dict[str, Callable[[str], AwsNotice | GcpNotice]] = {"aws": AwsNotice, "gcp": GcpNotice}
URLS = {"aws": AWS_URL, "gcp": GCP_URL}


def wait_for_notice(notice: AwsNotice | GcpNotice, every_s: float) -> float:
    """Ask until there is a notice; returns when this machine ends. InvalidInput if nobody answers at the first time."""
    try:
        found = notice.end_s()
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"no metadata service answers at {notice.url} ({error}); run this on a machine of that cloud, or correct "
            "--cloud or --metadata-url"
        ) from error
    while found is None:
        time.sleep(every_s)
        try:
            found = notice.end_s()
        except (OSError, ValueError):
            # It is asked again in a moment; to end here would miss the notice.
            continue
    return found


def drain(end_s: float, address: str, node: str) -> str:
    """Tell the cluster that the node ends then; returns its id. MadError if the cluster does not take it.

    address: "" for the cluster that this machine belongs to; node: "" for the node on this machine.
    """
    import ray
    from ray._private import services
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.core.generated import autoscaler_pb2

    try:
        # What `ray drain-node` does; Ray offers no public way.
        address = services.canonicalize_bootstrap_address(address or None) or ""  # type: ignore[arg-type]
        if not address:
            raise ConnectionError("Ray does not run here")
        require_answer(address)
        node = node or _node_here(address)
        reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")  # type: ignore[attr-defined]
        message = "the cloud takes this machine away"
        accepted, why = GcsClient(address=address).drain_node(node, reason, message, round(end_s * 1000))
    except (OSError, RuntimeError, ray.exceptions.RayError) as error:
        raise MadError(f"no Ray cluster answers at {address or 'this machine'} ({error}); correct --address") from error
    if not accepted:
        raise MadError(f"the cluster does not drain node {node}: {why}")
    return node


def _node_here(address: str) -> str:
    import ray

    ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    try:
        return ray.get_runtime_context().get_node_id()
    finally:
        ray.shutdown()


def _end_of(text: str) -> float:
    """{"action": "terminate", "time": "2026-01-31T12:00:00Z"} -> seconds since the epoch."""
    try:
        return datetime.fromisoformat(json.loads(text)["time"]).timestamp()
    except (ValueError, KeyError, TypeError):
        # A notice all the same: what is promised holds.
        return time.time() + AWS_LEFT_S


def _text(url: str, headers: dict[str, str], method: str = "GET") -> str:
    request = urllib.request.Request(url, headers=headers, method=method)
    with _open(request, timeout=TIMEOUT_S) as answer:
        return answer.read(1 << 16).decode()
