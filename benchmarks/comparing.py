"""Ours against the plain alternative, in turn, in one run."""

import statistics
import time
from collections.abc import Callable


def compare(name: str, n_images: int, ours: Callable[[], object], plain: Callable[[], object], repeats: int) -> float:
    """One warm-up each, then in turn; prints images per second of CPU time (medians); returns ours / plain."""
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for k in range(repeats + 1):
        for side, run in (("ours", ours), ("plain", plain)):
            start = time.process_time()
            run()
            if k > 0:
                seconds[side].append(time.process_time() - start)
    rate = {side: n_images / statistics.median(times) for side, times in seconds.items()}
    line = f"ours {rate['ours']:8.1f} images/s   plain {rate['plain']:8.1f} images/s"
    print(f"{name:28} {line}   ratio {rate['ours'] / rate['plain']:.3f}", flush=True)
    return rate["ours"] / rate["plain"]
