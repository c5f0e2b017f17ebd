"""mad-ray drain-on-notice: beside a spot node, tell Ray of the cloud's notice."""

import time
from dataclasses import dataclass

from mad_ray.core.errors import InvalidInput


@dataclass(frozen=True)
class NoticeOptions:
    """Of the command line, as its help says."""

    cloud: str | None = None
    metadata_url: str | None = None
    every_s: float = 2.0
    now: bool = False
    deadline_s: float = 120.0
    address: str = ""
    node: str = ""


def drain_on_notice(options: NoticeOptions) -> int:
    """Wait for the notice (or act now), and drain the node of this machine. 0 once the cluster knows."""
    if (options.cloud is None) != options.now:
        raise InvalidInput("give either --cloud aws or --cloud gcp, to wait for its notice, or --now")
    if options.every_s <= 0 or options.deadline_s < 0:
        raise InvalidInput(
            f"--every-s={options.every_s:g} and --deadline-s={options.deadline_s:g}: give seconds, the first above 0"
        )
    from mad_ray.onray.notice import CLOUDS, URLS, drain, wait_for_notice

    if options.cloud is None:
        end_s = time.time() + options.deadline_s
    else:
        notice = CLOUDS[options.cloud]((options.metadata_url or URLS[options.cloud]).rstrip("/"))
        print(f"waiting for a notice from {notice.url}", flush=True)
        end_s = wait_for_notice(notice, options.every_s)
    node = drain(end_s, options.address, options.node)
    print(f"node {node} is drained: this machine ends in {max(0.0, end_s - time.time()):.0f} s", flush=True)
    return 0
