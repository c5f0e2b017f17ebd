"""How many requests `status` and a resume make: a handful and one per ledger at most, never one per object.

And the index behind that: old, damaged, lost or wrong, it costs time and changes no answer.
"""

import uuid
from collections import Counter
from pathlib import Path

import pytest

from mad_ray.commands import run as run_command
from mad_ray.commands.driver import Driver
from mad_ray.commands.plan import progress_of_all
from mad_ray.commands.session import Session, session_of
from mad_ray.commands.status import status
from mad_ray.commands.upkeep import verify
from mad_ray.config import parse_config
from mad_ray.core.sealed import seal, unseal
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.plan import progress_of
from mad_ray.engine.trajectory import run_cohort
from mad_ray.ledger.index import EMPTY, grown, index_key, read_index, write_index
from mad_ray.ledger.memory import MemoryStore
from mad_ray.ledger.studies import record_failure, register_study

N, GENERATIONS = 12, 40


class Counting(MemoryStore):
    """Counts requests: (verb, first folder)."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.n: Counter[tuple[str, str]] = Counter()

    def _count(self, verb: str, key: str) -> None:
        self.n[verb, key.partition("/")[0]] += 1

    def get(self, key):
        self._count("get", key)
        return super().get(key)

    def put(self, key, data, *, if_absent=False):
        self._count("put", key)
        return super().put(key, data, if_absent=if_absent)

    def list(self, prefix):
        self._count("list", prefix)
        return super().list(prefix)


def study_of(folder: Path, store: str) -> Session:
    """Twelve ledgers of three commits each."""
    return session_of(
        parse_config(
            {
                "study": {
                    "name": "counted",
                    "n_generations": GENERATIONS,
                    "seeds": 2,
                    "data": {"name": "gaussian", "d": 2},
                    "family": "gaussian",
                    "metrics": {"n": 10, "names": ["w2_squared"]},
                    "loop": {"kind": "fully_synthetic", "n_initial": 20},
                    "grid": {"loop.bias": [1 - i / 20 for i in range(N)]},
                },
                "run": {"store": store, "runtime": "local", "output": str(folder / "{study}")},
            }
        )
    )


@pytest.fixture
def finished(tmp_path: Path, capsys) -> Session:
    session = study_of(tmp_path, f"memory://{uuid.uuid4().hex}")
    run_command.compute(session)
    capsys.readouterr()
    return session


def counting(session: Session) -> Counting:
    return Counting(session.store.url.removeprefix("memory://"))


def told(session: Session, capsys) -> tuple[int, list[str]]:
    code = status(session.store, session.name)
    return code, capsys.readouterr().out.splitlines()


def lose(session: Session, i: int, commits: int) -> None:
    """The last commits of ledger i are gone."""
    keys = [entry.key for entry in session.store.list(f"{session.cohorts[i].prefix}/ledger/")]
    for key in keys[len(keys) - commits :]:
        session.store.delete(key)


def test_status_of_a_finished_study_takes_a_handful_of_requests(finished: Session, capsys) -> None:
    store = counting(finished)
    assert status(store, finished.name) == 0
    assert capsys.readouterr().out.count("done") == N
    # The study, its rounds (none), the index; the failures, listed at once.
    assert store.n == {("get", "studies"): 3, ("list", "studies"): 1}


def test_status_asks_once_for_each_ledger_that_is_not_finished(tmp_path: Path, capsys) -> None:
    session = study_of(tmp_path, f"memory://{uuid.uuid4().hex}")
    register_study(session.store, session.name, session.document)
    for i, cohort in enumerate(session.cohorts):
        for n, _ in enumerate(run_cohort(cohort, session.store, LocalRuntime())):
            if i < 3 and n == 1:
                break
    driver = Driver(session.store, session.name)
    driver.progress(session.cohorts)
    driver.keep_index()
    store = counting(session)
    assert status(store, session.name) == 0
    assert store.n == {("get", "studies"): 3, ("list", "studies"): 1, ("get", "cohorts"): 3}
    out = capsys.readouterr().out
    assert f"{N * GENERATIONS - 3 * (GENERATIONS - 32)} of {N * GENERATIONS} generations committed" in out
    # Two of them have gone on since: what is new is read, and nothing else.
    for cohort in session.cohorts[:2]:
        list(run_cohort(cohort, session.store, LocalRuntime()))
    store.n.clear()
    status(store, session.name)
    assert store.n["get", "cohorts"] == 3 + 2


def test_each_failure_is_one_request(finished: Session, capsys) -> None:
    for i in range(3):
        lose(finished, i, 1)
        record_failure(finished.store, finished.name, finished.cohorts[i].id, 33, "it ended")
    record_failure(finished.store, finished.name, finished.cohorts[5].id, 3, "long ago")
    finished.store.delete(index_key(finished.name))
    store = counting(finished)
    assert status(store, finished.name) == 1
    out = capsys.readouterr().out
    assert out.count("FAILED at generation 33: it ended") == 3
    assert "long ago" not in out, "another study has finished that ledger since"
    assert store.n["list", "studies"] == 1
    assert store.n["get", "studies"] == 3 + 4


def test_a_resume_skips_everything_with_one_request_for_each_ledger(finished: Session) -> None:
    store = counting(finished)
    assert Driver(store, finished.name).unfinished(finished.cohorts) == []
    assert store.n == {("get", "studies"): 1, ("get", "cohorts"): N}
    plain = counting(finished)
    for cohort in finished.cohorts:
        progress_of(cohort, plain)
    assert plain.n["get", "cohorts"] == N * 4, "three manifests each, and that there is no fourth"


def test_plan_asks_the_index_only(finished: Session) -> None:
    store = counting(finished)
    found = progress_of_all(finished.cohorts, store, read_index(store, finished.name))
    assert all(progress.is_finished for progress in found.values())
    assert store.n == {("get", "studies"): 1}


def damage(session: Session, how: str) -> None:
    store, key = session.store, index_key(session.name)
    data = store.get(key)
    if how == "missing":
        store.delete(key)
    elif how == "flipped":
        store.put(key, data[:99] + bytes([data[99] ^ 1]) + data[100:])
    elif how == "cut":
        store.put(key, data[:-7])
    elif how == "of another study":
        store.put(key, seal({**unseal(data, key), "study": "another"}))
    elif how == "of another version":
        store.put(key, seal({**unseal(data, key), "format": 99}))
    elif how == "malformed":
        store.put(key, seal({**unseal(data, key), "cohorts": {session.cohorts[0].id: {"last": "x"}}}))
    elif how == "old":
        heads = {c.id: grown(store, c.id, EMPTY) for c in session.cohorts[:2]}
        write_index(store, session.name, heads)
    elif how == "of another past":
        heads = read_index(store, session.name)
        first, second = session.cohorts[:2]
        heads[first.id] = grown(store, second.id, EMPTY)
        write_index(store, session.name, heads)


@pytest.mark.parametrize(
    "how",
    ["missing", "flipped", "cut", "of another study", "of another version", "malformed", "old", "of another past"],
)
def test_whatever_the_index_is_the_answers_are_the_same(finished: Session, capsys, how: str) -> None:
    """And verify names it, unless it is merely absent or old; and a run makes it again."""
    before, index = told(finished, capsys), finished.store.get(index_key(finished.name))
    damage(finished, how)
    if how != "of another past":
        assert told(finished, capsys) == before
    plain = {cohort.id: progress_of(cohort, finished.store) for cohort in finished.cohorts}
    assert Driver(finished.store, finished.name).progress(finished.cohorts) == plain
    assert verify(finished.store, finished.name) == (0 if how in ("missing", "old") else 2)
    out = capsys.readouterr().out
    if how != "of another past":
        assert (f"BAD  {index_key(finished.name)}: " in out) == (how not in ("missing", "old"))
    run_command.compute(finished)
    assert finished.store.get(index_key(finished.name)) == index


def test_an_index_that_outlived_its_ledgers_skips_nothing(finished: Session, capsys) -> None:
    """The end of one ledger and all of another are gone (a copy was restored): verify says so, a run computes them."""
    lose(finished, 0, 1)
    lose(finished, 1, 3)
    assert verify(finished.store, finished.name) == 2
    out = capsys.readouterr().out
    assert out.count("says the study's index, and is not there") == 2
    unfinished = Driver(finished.store, finished.name).unfinished(finished.cohorts)
    assert [cohort.id for cohort in unfinished] == [cohort.id for cohort in finished.cohorts[:2]]
    run_command.compute(finished)
    capsys.readouterr()
    assert verify(finished.store, finished.name) == 0


def test_two_drivers_write_one_index(finished: Session, capsys) -> None:
    """Whoever is later stays; what it says was true, and the rest is read from the ledgers."""
    before = told(finished, capsys)
    one, two = Driver(finished.store, finished.name), Driver(finished.store, finished.name)
    one.progress(finished.cohorts[:7])
    two.progress(finished.cohorts[5:])
    finished.store.delete(index_key(finished.name))
    for driver in (one, two):
        driver._written = {}
        driver.keep_index()
        assert told(finished, capsys) == before


def test_a_longer_study_is_not_taken_for_finished(finished: Session) -> None:
    """The index is of the study as it was; `plan` may ask about more generations under the same name."""
    longer = session_of(
        finished.config.model_copy(
            update={"study": finished.config.study.model_copy(update={"n_generations": GENERATIONS + 1})}
        )
    )
    found = progress_of_all(longer.cohorts, longer.store, read_index(longer.store, longer.name))
    assert not any(progress.is_finished for progress in found.values())
    assert {progress.n_done for progress in found.values()} == {GENERATIONS}


def test_the_index_is_kept_while_the_study_runs(tmp_path: Path) -> None:
    session = study_of(tmp_path, f"memory://{uuid.uuid4().hex}")
    driver = Driver(session.store, session.name)
    driver.progress(session.cohorts)

    class Nobody:
        def stage(self, *_): ...
        def failed(self, *_): ...
        def committed(self, *_): ...

    with driver.beside(Nobody(), every_s=3600.0) as watcher:
        for cohort in session.cohorts[:2]:
            list(run_cohort(cohort, session.store, LocalRuntime()))
            watcher.committed(cohort.id, None)
        driver.tend()
        assert {c: h.last for c, h in read_index(session.store, session.name).items()} == {
            cohort.id: GENERATIONS for cohort in session.cohorts[:2]
        }
