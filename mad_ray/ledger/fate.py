"""Whether an attempt may still be committed is decided by one conditional put, never by a clock.

An attempt writes its last object (`LAST`) if there is none of that name, then commits. gc takes an attempt for dead by
writing a gravestone under the same name, if there is none; then it deletes the rest. Whoever is first has decided: what
was buried can never be committed, and what wrote its last object is never deleted before its generation is committed.
"""

from mad_ray.core.errors import Missing, StoreError
from mad_ray.core.sealed import seal
from mad_ray.ledger.store import Store

LAST = "metrics.json"
GRAVESTONE = seal({"deleted": "this attempt was silent for longer than the grace period of mad-ray gc"})


class Buried(StoreError):
    """gc has taken this attempt for dead; its objects are gone, or will be."""


def bury(store: Store, attempt_prefix: str) -> bool:
    """Whether the attempt can never be committed from now on; False if it wrote its last object before."""
    store.put(f"{attempt_prefix}/{LAST}", GRAVESTONE, if_absent=True)
    return is_buried(store, attempt_prefix)


def is_buried(store: Store, attempt_prefix: str) -> bool:
    """Whether gc was there before the attempt's end."""
    try:
        return store.get(f"{attempt_prefix}/{LAST}") == GRAVESTONE
    except Missing:
        return False


def write_last(store: Store, attempt_prefix: str, data: bytes) -> None:
    """Write the attempt's last object. Buried if gc was there first: then it must not be committed."""
    key = f"{attempt_prefix}/{LAST}"
    # False too where our own first try was written and its answer lost.
    if store.put(key, data, if_absent=True):
        return
    try:
        if store.get(key) == data:
            return
    except Missing:
        # Deleted with the rest, since another attempt has won meanwhile.
        pass
    raise Buried(f"{attempt_prefix}: mad-ray gc has deleted this attempt; give gc a longer grace period")
