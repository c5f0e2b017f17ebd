"""Twenty writers of one key at once."""

import threading

from mad_ray.ledger.store import Store

N = 20


def winners(store: Store) -> list[int]:
    """The numbers of those who are told that their conditional put of b"NUMBER" to "race" was the first."""
    barrier, won = threading.Barrier(N), []

    def race(i: int) -> None:
        barrier.wait()
        if store.put("race", f"{i}".encode(), if_absent=True):
            won.append(i)

    threads = [threading.Thread(target=race, args=(i,)) for i in range(N)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won
