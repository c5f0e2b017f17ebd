"""mad-ray advise: an answer first, then its evidence; from a finished study, or searched for now."""

import re
from pathlib import Path
from typing import Any

import pytest

from mad_ray.analysis.advice import admissible_synthetic, fresh_for_share, fresh_for_synthetic
from mad_ray.analysis.phase import PhaseResult
from mad_ray.analysis.phase_table import read_phase
from mad_ray.config.load import merge
from mad_ray.ledger.open import open_store
from tests.command_line import call, refused
from tests.phase_studies import BOUNDARY, finish, results, write

STUDY: dict[str, Any] = merge(
    BOUNDARY,
    {"name": "advised", "map": {"panel": {"field": "loop.bias", "values": [0.7, 1]}}, "search": {"budget": 60}},
)
# A search of seconds: few dimensions, a rule that is soon satisfied.
QUICK = ("--set", "study.data.d=10", "--set", "study.n_generations=512", "--set", "study.seeds=8")
QUICK += ("--set", "study.limit={half_width: 0.08, drift: 0.04}", "--set", "study.search={tolerance: 0.1, batch: 4}")
QUICK += ("--set", "study.baseline.n={log: [10, 4000, 12]}")


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finish(tmp_path_factory.mktemp("advised"), STUDY)


@pytest.fixture(scope="module")
def found(studied: Path) -> PhaseResult:
    return read_phase(open_store(str(studied / "store")), "advised")


def answer(out: str) -> str:
    (line,) = [line for line in out.splitlines() if line.startswith("answer: ")]
    return line


def numbers(text: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"= ([\d,]*\d)", text)]


def test_the_three_questions_of_a_finished_study(studied: Path, found: PhaseResult, capsys) -> None:
    config, before = write(studied, STUDY), results(studied)
    by_name = ("--store", str(studied / "store"), "--study", "advised")
    for target in ((config,), by_name):
        code, out, err = call(capsys, "advise", *target, "--n-fresh", "100", "--bias", "0.7")
        assert (code, err) == (0, "")
        bound = admissible_synthetic(found, 100, 0.7)
        assert bound.kind == "crossing"
        assert f"with n_r = 100 fresh samples in each generation, use at most n_s = {bound.value:,.0f}" in answer(out)
        assert f"[{bound.low:,.0f}, {bound.high:,.0f}]" in answer(out)
    assert "evidence: gaussian on gaussian, lambda = 0.7; limits of w2_squared, 95 % intervals" in out
    assert 1 <= len(re.findall(r"^  n_r = 100, n_s = [\d,]+: n_e/n_r = ", out, re.MULTILINE)) <= 4
    _, out, _ = call(capsys, "advise", config, "--n-synthetic", "60", "--bias", "0.7")
    assert "n_s = 60 synthetic samples in each generation" in answer(out)
    _, out, _ = call(capsys, "advise", config, "--synthetic-share", "0.45", "--bias", "0.7")
    assert "a share of 45% synthetic data" in answer(out)
    last = fresh_for_share(found, 0.45, 0.7)[1]
    assert f"at most n_r = {last.value:,.0f}" in answer(out)
    assert results(studied) == before, "nothing is computed"


def test_without_bias_all_that_was_looked_at_is_admissible(studied: Path, capsys) -> None:
    config = write(studied, STUDY)
    _, out, _ = call(capsys, "advise", config, "--n-fresh", "100", "--bias", "1")
    assert "up to n_s = 1,000 synthetic samples are admissible, the most that was looked at" in answer(out)
    _, out, _ = call(capsys, "advise", config, "--n-synthetic", "900", "--bias", "1")
    assert "are admissible from n_r = 50 on, the fewest that were looked at" in answer(out)
    _, out, _ = call(capsys, "advise", config, "--synthetic-share", "0.5", "--bias", "1")
    assert "is admissible at every n_r from 50 to 200" in answer(out)


def test_what_is_admissible_needs_no_more_fresh_data_than_there_is(found: PhaseResult) -> None:
    """The two directions on a real boundary: n_s admissible at n_r needs about n_r."""
    for n_fresh in (60, 90):
        n_synthetic = admissible_synthetic(found, n_fresh, 0.7).value
        back = fresh_for_synthetic(found, n_synthetic, 0.7)
        assert back.low <= n_fresh * 1.001
        assert n_fresh <= back.high * 1.001 or back.kind == "below"
        share = n_synthetic / (n_synthetic + n_fresh)
        start, end = fresh_for_share(found, share, 0.7)
        assert start.value <= n_fresh * 1.001
        assert end.value >= n_fresh * 0.999


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--n-fresh", "100"), r"advised studied several lambdas \(0.7, 1\): name one with --bias"),
        (("--n-fresh", "100", "--bias", "0.9"), r"bias=0.9 is not one that advised studied \(0.7, 1\)"),
        (("--n-fresh", "9", "--bias", "0.7"), r"n_fresh=9 is outside what advised studied \(50 to 200\)"),
        (("--n-synthetic", "5", "--bias", "0.7"), r"n_synthetic=5 is outside what advised studied \(10 to 1000\)"),
        (("--synthetic-share", "0.9999", "--bias", "1"), "takes n_s outside what advised studied"),
        ((), r"give exactly one of --n-fresh, --n-synthetic and --synthetic-share \(found 0\)"),
        (("--n-fresh", "9", "--n-synthetic", "9"), r"exactly one of .* \(found 2\)"),
        (("--n-fresh", "0"), "--n-fresh=0: give 2 or more samples"),
        (("--n-fresh", "many"), "argument --n-fresh: invalid int value"),
        (("--synthetic-share", "0"), r"--synthetic-share=0 is outside \(0, 1\)"),
        (("--synthetic-share", "1"), r"--synthetic-share=1 is outside \(0, 1\)"),
        (("--synthetic-share", "nan"), r"--synthetic-share=nan is outside \(0, 1\)"),
        (("--n-fresh", "9", "--bias", "1.5"), r"--bias=1.5 is outside \[0, 1\]"),
        (("--n-fresh", "9", "--bias", "nan"), r"--bias=nan is outside \[0, 1\]"),
    ],
)
def test_questions_that_a_study_cannot_answer_are_one_line(
    argv: tuple[str, ...], words: str, studied: Path, capsys
) -> None:
    message = refused(capsys, "advise", write(studied, STUDY), *argv)
    assert re.search(words, message), message


def test_a_study_of_curves_and_one_that_is_not_there_are_one_line(tmp_path: Path, capsys) -> None:
    loop = {"kind": "fully_synthetic", "n_initial": 20}
    names = {"names": ["w2_squared"]}
    curves = {
        "name": "curves",
        "data": {"name": "gaussian", "d": 2},
        "family": "gaussian",
        "loop": loop,
        "metrics": names,
    }
    finish(tmp_path, {**curves, "n_generations": 2})
    config = str(tmp_path / "curves.yaml")
    assert "curves is a study of curves; advice needs a map" in refused(capsys, "advise", config, "--n-fresh", "9")
    target = ("--store", str(tmp_path / "store"), "--study", "nothing")
    assert "study nothing is not in" in refused(capsys, "advise", *target, "--n-fresh", "9")
    assert "give its CONFIG, or both --store and --study" in refused(
        capsys, "advise", "--study", "curves", "--n-fresh", "9"
    )


def test_a_map_over_other_axes_has_no_such_advice(tmp_path: Path, capsys) -> None:
    axes = {"x": {"field": "loop.memory", "values": [1, 2]}, "y": {"values": [20, 60]}}
    study = merge(STUDY, {"name": "other", "kind": "grid", "loop": {"n_fresh": 50}, "map": {**axes, "panel": None}})
    study |= {"n_generations": 16, "baseline": {"n": {"log": [20, 400, 4]}, "seeds": 8}}
    study.pop("search")
    finish(tmp_path, study)
    message = refused(capsys, "advise", str(tmp_path / "other.yaml"), "--n-fresh", "50")
    assert "other maps loop.memory and loop.n_synthetic; advice needs loop.n_fresh on x" in message


# Searched for now.


def test_what_nobody_studied_is_searched_and_kept(tmp_path: Path, capsys) -> None:
    store = str(tmp_path / "store")
    argv = ("advise", "--store", store, "--n-fresh", "100", "--bias", "0.7", "--max-synthetic", "2000", *QUICK)
    code, out, _ = call(capsys, *argv)
    assert code == 0
    _, n_synthetic = numbers(answer(out))[:2]
    assert 50 < n_synthetic < 300, "d = 10: of the order of d / (1 - lambda)^2 = 111"
    name = re.search(r"kept as study (advise-[0-9a-f]{10}): `mad-ray report --store", out)[1]
    before = results(tmp_path)
    _, again, _ = call(capsys, *argv)
    assert answer(again) == answer(out)
    assert results(tmp_path) == before, "asking again computes nothing"
    code, kept, _ = call(capsys, "advise", "--store", store, "--study", name, "--n-fresh", "100")
    assert (code, answer(kept)) == (0, answer(out))
    message = refused(capsys, "advise", "--store", store, "--study", name, "--n-fresh", "100", "--bias", "0.9")
    assert "bias=0.9 is not one that" in message, "no answer for another lambda than that which was studied"


@pytest.mark.parametrize("given", [("--n-synthetic", "100"), ("--synthetic-share", "0.4")])
def test_how_much_fresh_data_is_searched_too(given: tuple[str, str], tmp_path: Path, capsys) -> None:
    argv = ("advise", "--store", str(tmp_path / "store"), *given, "--bias", "0.7", "--max-synthetic", "1000", *QUICK)
    few = ("--set", "study.map.x={field: loop.n_fresh, log: [40, 1000, 4]}", "--set", "study.search.budget=30")
    code, out, _ = call(capsys, *argv, *few)
    assert code == 0
    assert given[1].replace("0.4", "40%") in answer(out)


@pytest.mark.parametrize(
    ("family", "sets"),
    [
        ("categorical", ["study.data.n_symbols=20", "study.n_generations=64"]),
        ("kde", ["study.metrics.n=100", "study.n_generations=32"]),
        ("gmm", ["study.metrics.n=100", "study.n_generations=16", "study.family.n_components=4", "study.data.side=2"]),
    ],
)
def test_other_cheap_families_are_searched_too(family: str, sets: list[str], tmp_path: Path, capsys) -> None:
    sets = [*sets, "study.search.budget=8", "study.baseline={n: {log: [20, 400, 5]}, seeds: 8}"]
    argv = ("--family", family, "--n-fresh", "40", "--max-synthetic", "80", "--bias", "0.7")
    code, out, _ = call(
        capsys,
        "advise",
        "--store",
        str(tmp_path / "store"),
        *argv,
        *(part for text in sets for part in ("--set", text)),
    )
    assert code == 0
    assert answer(out).startswith("answer: with n_r = 40 fresh samples in each generation, ")
    assert f"evidence: {family} on " in out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--family", "ddpm"), "--family=ddpm: a search takes too long to be an answer.*configs/phase/"),
        (("--family", "nothing"), "--family=nothing.*Answered at once: gaussian"),
        (("--max-synthetic", "1"), "give 2 or more samples"),
        (("--set", "study.data.dd=3"), "study.data.dd: unknown key; did you mean d"),
        (("--set", "study.n_generations=3"), "ends before study.limit.min_generations"),
    ],
)
def test_searches_that_cannot_be_are_one_line(argv: tuple[str, ...], words: str, tmp_path: Path, capsys) -> None:
    message = refused(capsys, "advise", "--store", str(tmp_path / "store"), "--n-fresh", "50", *argv)
    assert re.search(words, message), message
    assert not (tmp_path / "store").exists()
