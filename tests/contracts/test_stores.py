"""What every store promises, whatever it is made of."""

import pickle
import time

import pytest

from mad_ray.core.errors import InvalidInput, Missing
from mad_ray.ledger.local import LocalStore
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.open import open_store
from mad_ray.ledger.retry import Retrying
from mad_ray.ledger.store import Entry, probe
from tests.contracts.racing import winners

BAD_KEYS = ["", "/", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/..", ".", "a/./b", "a\n", "a\0b", "a\\b", ".tmp/a"]


def keys(store, prefix: str) -> list[str]:
    return [entry.key for entry in store.list(prefix)]


def test_round_trip(store) -> None:
    for data in (b"", b"\0\xff\r\n", bytes(range(256)) * 100):
        assert store.put("a/b c/ü=1.bin", data) is True
        assert store.get("a/b c/ü=1.bin") == data


def test_a_missing_object_is_missing(store) -> None:
    store.put("a/b/c", b"1")
    for key in ("a", "a/b", "a/b/d", "z/z"):
        with pytest.raises(Missing, match=key):
            store.get(key)


def test_put_overwrites(store) -> None:
    store.put("key", b"long first value")
    assert store.put("key", b"second") is True
    assert store.get("key") == b"second"


def test_conditional_put_leaves_what_is_there(store) -> None:
    assert store.put("key", b"first", if_absent=True) is True
    assert store.put("key", b"second", if_absent=True) is False
    assert store.get("key") == b"first"
    store.delete("key")
    assert store.put("key", b"third", if_absent=True) is True


def test_twenty_racing_threads_have_one_winner(store) -> None:
    won = winners(store)
    assert len(won) == 1
    assert store.get("race") == f"{won[0]}".encode()


def test_list_is_in_key_order_and_by_string_prefix(store) -> None:
    names = ["a/b", "a-b", "a0", "ab/c/d", "ab/c-d", "ab/c0", "z", ".probe/x"]
    for name in names:
        store.put(name, b"12")
    assert keys(store, "") == sorted(names)
    assert keys(store, "a") == ["a-b", "a/b", "a0", "ab/c-d", "ab/c/d", "ab/c0"]
    assert keys(store, "ab/c") == ["ab/c-d", "ab/c/d", "ab/c0"]
    assert keys(store, "ab/c/") == ["ab/c/d"]
    assert keys(store, "no/such") == []


def test_list_of_an_empty_store(store) -> None:
    assert keys(store, "") == []


def test_listed_entries_have_size_and_time(store) -> None:
    store.put("a", b"12345")
    (entry,) = store.list("a")
    assert entry == Entry("a", 5, entry.modified_s)
    assert abs(entry.modified_s - time.time()) < 60


def test_objects_may_be_deleted_while_listed(store) -> None:
    for i in range(5):
        store.put(f"d/{i}", b"")
    for entry in store.list("d/"):
        store.delete(entry.key)
    assert keys(store, "") == []


def test_delete_is_idempotent(store) -> None:
    store.put("a/b", b"1")
    store.delete("a/b")
    store.delete("a/b")
    with pytest.raises(Missing):
        store.get("a/b")


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_that_could_escape_are_refused(store, key: str) -> None:
    calls = (store.get, store.delete, lambda key: store.put(key, b""), lambda key: store.put(key, b"", if_absent=True))
    for call in calls:
        with pytest.raises(InvalidInput, match="store key"):
            call(key)


@pytest.mark.parametrize("prefix", ["../", "/etc/", "a/../", ".tmp/"])
def test_prefixes_that_could_escape_are_refused(store, prefix: str) -> None:
    with pytest.raises(InvalidInput, match="store key"):
        list(store.list(prefix))


def test_eight_mebibytes(store) -> None:
    data = bytes(range(256)) * (8 << 12)
    store.put("big", data)
    assert store.get("big") == data


def test_a_pickled_store_is_the_same_store(store) -> None:
    store.put("key", b"value")
    again = pickle.loads(pickle.dumps(store))
    assert again.url == store.url
    assert again.get("key") == b"value"
    again.put("other", b"1")
    assert store.get("other") == b"1"


def test_the_url_opens_the_same_store(store) -> None:
    store.put("key", b"value")
    assert open_store(store.url).get("key") == b"value"


def test_probe_accepts_it_and_leaves_nothing(store) -> None:
    probe(store)
    assert keys(store, "") == []


def test_retrying_is_a_store_too(tmp_path) -> None:
    assert isinstance(open_store(str(tmp_path)), Retrying)
    assert isinstance(open_store(tmp_path.as_uri()).store, LocalStore)
    assert isinstance(open_store("memory://x"), MemoryStore)
