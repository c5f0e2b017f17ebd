"""Is a node of ours being taken away? Ray calls it draining; the cloud's notice comes as that (onray/notice.py)."""

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

POLL_S = 1.0
# How long a node without a stated end may go on, before it is taken for gone.
UNKNOWN_S = 120.0

logger = logging.getLogger(__name__)


class Notice:
    """Knows, within about a second, that one of these nodes is draining. Called, it answers at once.

    It asks in a thread of its own until closed; the answer never goes back to no.
    """

    def __init__(self, nodes: Iterable[str]) -> None:
        self._nodes = frozenset(nodes)
        self._given, self._closed = threading.Event(), threading.Event()
        self._end_s = float("inf")
        self._look()
        if not self._given.is_set():
            threading.Thread(target=self._watch, daemon=True, name="mad-ray-notice").start()

    def __call__(self) -> bool:
        return self._given.is_set()

    def wait_for_end(self) -> None:
        """Return when the node should be gone: whoever gets there works on one that was never taken away."""
        while (left := self._end_s - time.time()) > 0:
            time.sleep(min(left, POLL_S))

    def close(self) -> None:
        """Stop asking."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._given.is_set() and not self._closed.wait(POLL_S):
            self._look()

    def _look(self) -> None:
        ends = [end_ms for node, end_ms in draining_nodes().items() if node in self._nodes]
        if ends:
            self._end_s = min(end_ms / 1000 or time.time() + UNKNOWN_S for end_ms in ends)
            self._given.set()


def draining_nodes() -> dict[str, int]:
    """Node -> when it is taken away, in ms since the epoch (0: unstated). Empty too when Ray does not answer."""
    import ray

    try:
        # What Ray Train's own watcher asks; Ray offers no public way.
        return ray._private.state.state.get_draining_nodes() or {}
    except Exception:
        logger.debug("draining nodes are not known", exc_info=True)
        return {}


def this_node() -> str:
    """The id of the Ray node that this process runs on."""
    import ray

    return ray.get_runtime_context().get_node_id()


@contextmanager
def watched(nodes: Iterable[str]) -> Iterator[Notice]:
    """A Notice for the block's duration."""
    notice = Notice(nodes)
    try:
        yield notice
    finally:
        notice.close()
