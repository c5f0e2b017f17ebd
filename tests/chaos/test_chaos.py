"""A run in one process is killed at some of its moments; and the chaos suite itself can see what it looks for."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mad_ray.ledger.chain import blob_key
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.local import LocalStore
from tests.chaos.doomed import AFTER, BEFORE, MIDDLE, Diary, DiaryStore, Doom, read_diary
from tests.chaos.evidence import differences, evidence_of, lost, manifests_in
from tests.chaos.flat import Sample, trend_of
from tests.chaos.forked import forked, was_killed
from tests.chaos.outcome import Outcome, append, read
from tests.chaos.steps import step_of
from tests.chaos.table import BEGIN, END, rows_of, table_of, write_page

ROOT = Path(__file__).parents[2]
# Of some 190 moments each.
SHARES = {"gaussian": 0.04, "ddpm": 0.015}


@pytest.mark.parametrize("kind", SHARES)
@pytest.mark.timeout(600)
def test_killed_at_random_moments_and_run_again_it_ends_the_same(kind: str, tmp_path: Path) -> None:
    """In a process of its own, which can fork since it never computes."""
    results = tmp_path / "results.jsonl"
    arguments = ("--kinds", kind, "--share", str(SHARES[kind]), "--jobs", "1", "--results", str(results))
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *arguments],
        **{"cwd": ROOT, "capture_output": True, "text": True, "timeout": 600},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = list(read(results))
    assert all(outcome.is_good for outcome in found)
    assert sum(outcome.kills for outcome in found) >= 4
    assert max(outcome.generations for outcome in found) >= 1, "no kill cost anything: were there any?"


@pytest.mark.parametrize(("moment", "is_there"), [(BEFORE, False), (MIDDLE, False), (AFTER, True)])
def test_a_doomed_process_dies_where_it_should(moment: str, is_there: bool, tmp_path: Path) -> None:
    store, diary = LocalStore(str(tmp_path / "store")), tmp_path / "diary"

    def write() -> None:
        doomed = DiaryStore(store, Diary(diary, Doom(2, moment)))
        doomed.put("first", b"1")
        doomed.put("second", b"2", if_absent=True)
        doomed.put("third", b"3")

    assert was_killed(forked(write, tmp_path / "errors"))
    assert [entry.key for entry in store.list("")] == ["first", "second"][: 1 + is_there]
    assert [(line.verb, line.key) for line in read_diary(diary)] == [("put", "first"), ("put", "second")]
    n_unnamed = len(list((tmp_path / "store" / ".tmp").iterdir()))
    # After the name is given, the temporary file goes: killed right then, it was gone already.
    assert n_unnamed == (moment == MIDDLE), "the data are on disk, and have no name"


@pytest.fixture
def committed(tmp_path: Path, ledgers):
    store = LocalStore(str(tmp_path / "store"))
    ledger = Ledger(store, ledgers.cohort())
    return store, [ledger.commit(ledgers.manifest(ledger, f"attempt{i}")) for i in range(2)], ledgers


def test_equal_stores_are_equal_though_their_attempts_are_not(committed, tmp_path: Path) -> None:
    store, _, ledgers = committed
    other = LocalStore(str(tmp_path / "other"))
    ledger = Ledger(other, ledgers.cohort())
    for i in range(2):
        ledger.commit(ledgers.manifest(ledger, f"another{i}"))
    assert differences(evidence_of(store), evidence_of(other)) == ()
    assert lost(manifests_in(store), manifests_in(other)), "their timings and attempts differ"


def test_other_results_are_a_difference(committed, tmp_path: Path) -> None:
    store, _, ledgers = committed
    other = LocalStore(str(tmp_path / "other"))
    ledger = Ledger(other, ledgers.cohort())
    ledger.commit(ledgers.manifest(ledger, "attempt0"))
    assert len(differences(evidence_of(store), evidence_of(other))) >= 1, "a generation is missing"
    ledger.commit(ledgers.manifest(ledger, "attempt1", model=b"another model"))
    found = differences(evidence_of(store), evidence_of(other))
    assert any(text.startswith("digests") for text in found)
    assert any(text.startswith("blobs") for text in found)


def test_damage_and_loss_are_seen(committed) -> None:
    store, manifests, _ = committed
    before, expected = manifests_in(store), evidence_of(store)
    store.put(blob_key(manifests[0], manifests[0].models), b"modem")
    assert any("models.safetensors" in text for text in differences(expected, evidence_of(store)))
    store.put("studies/x/study.json", b"{}")
    assert "documents studies/x/study.json" in differences(expected, evidence_of(store))
    store.delete(blob_key(manifests[1], manifests[1].metrics))
    assert any("metrics.json" in text for text in differences(expected, evidence_of(store)))
    key = max(before)
    store.delete(key)
    assert lost(before, manifests_in(store)) == (key,)


def test_every_step_has_a_name() -> None:
    assert step_of("put", "cohorts/c/attempts/000001-a/samples/000001-00002.parquet") == "write shard 2"
    assert step_of("put", "cohorts/c/ledger/000001.json") == "commit"
    with pytest.raises(KeyError):
        step_of("put", "somewhere/else")


OUTCOME = Outcome("trial", "at a random moment", 2.0, generations=1, seed=5, when_s=0.0)


def test_the_table_counts_what_was_found(tmp_path: Path) -> None:
    found = [OUTCOME, replace(OUTCOME, recovered_s=4.0, kills=2, steps=3), replace(OUTCOME, kind="node", lost=("key",))]
    for outcome in found:
        append(tmp_path / "results", outcome)
    assert list(read(tmp_path / "results")) == found
    trial, node, total = rows_of(found)
    assert trial == ("trial", "3", "3.0 s", "4.0 s", "1 span; 3 steps of a fit", "0", "0")
    assert node[-2:] == ("0", "1")
    assert total[:2] == ("all", "4")
    assert not found[2].is_good


def test_the_table_goes_to_its_place_on_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    write_page([OUTCOME], "make chaos", page)
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "old" not in text
    assert table_of([OUTCOME]) in text
    assert "`make chaos`, 1970-01-01 00:00 to 1970-01-01 00:00 UTC, seed 5" in text
    page.write_text("no place")
    with pytest.raises(ValueError, match="has no place for the table"):
        write_page([OUTCOME], "make chaos", page)


@pytest.mark.parametrize(
    ("mib", "fds", "is_flat"), [(0.0, 0.0, True), (1.0, 0.0, False), (0.0, 0.2, False)], ids=["flat", "memory", "files"]
)
def test_what_grows_is_not_flat(mib: float, fds: float, is_flat: bool) -> None:
    """Half an hour of samples; mib and fds are what it gains in each of 180 steps of ten seconds."""
    series = [Sample(10.0 * i, 200 + i % 3 + mib * i, 50 + i % 2 + int(fds * i)) for i in range(180)]
    assert trend_of(series).is_flat == is_flat
    if mib:
        assert trend_of(series).mib_per_hour == pytest.approx(360 * mib, rel=0.05)


def test_the_page_has_a_place_for_the_table() -> None:
    text = (ROOT / "docs" / "RELIABILITY.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
