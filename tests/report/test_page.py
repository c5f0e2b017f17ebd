"""The page stands alone, escapes what it is given, and says plainly what is missing."""

import numpy as np
import pandas as pd
import pytest

from mad_ray.report.page import write_report
from mad_ray.report.plates import slug
from tests.report.checker import Checker
from tests.report.made_up_studies import digits_study, info, modes_study, rows_of, study

# A collapsed layout is only a warning of matplotlib's.
pytestmark = pytest.mark.filterwarnings("error::UserWarning")


def test_the_page_needs_nothing_else(digits, tmp_path):
    page = Checker.of(write_report(digits, tmp_path))
    page.assert_alone(tmp_path)
    assert page.n_live == 2


def test_every_case_has_a_verdict_a_strip_and_its_values(digits, tmp_path):
    page = Checker.of(write_report(digits, tmp_path))
    alts = [attributes["alt"] for tag, attributes in page.seen if tag == "img"]
    for case in digits.cases:
        assert f"samples {case.case} seed 0" in alts
        assert case.description in page.text
    assert "4 cases: 2 gone MAD, 1 settled, 1 stable." in page.text
    assert sum(tag == "details" for tag, _ in page.seen) == 1 + len(digits.cases) + 2
    assert "exchangeable" in page.text
    assert "0.1.0" in page.text


def test_figures_and_tables_lie_beside_the_page(digits, tmp_path):
    page = write_report(digits, tmp_path / "new" / "folder")
    names = sorted(path.name for path in page.parent.iterdir())
    figures = [
        "01-curves-ddpm-on-digits",
        "02-more-metrics-ddpm-on-digits",
        "03-samples-fully-synthetic-seed-0",
        "04-samples-augmented-seed-0",
        "05-samples-fresh-data-seed-0",
        "06-samples-real-data-only-seed-0",
    ]
    assert names == [
        *(f"{name}.{kind}" for name in figures for kind in ("pdf", "png")),
        "floors.csv",
        "index.html",
        "table.csv",
    ]
    pd.testing.assert_frame_equal(pd.read_csv(page.parent / "table.csv"), digits.table)
    pd.testing.assert_frame_equal(pd.read_csv(page.parent / "floors.csv"), digits.floors)


def test_the_same_study_gives_the_same_bytes(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        write_report(digits_study(n_seeds=2, n_generations=2), folder)
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()


def test_whatever_the_user_wrote_is_text(tmp_path):
    evil = "<script>alert('$x$')</script>&\"_"
    case = info(evil, 1, 2, group=evil, description=evil, failure=evil, seconds={evil: 1.0})
    result = study(rows_of(evil, "frechet", float, 1, 2, 0.0) + rows_of(evil, evil, float, 1, 2, 0.0), [], [case], evil)
    result.identity[evil] = evil
    result.provenance[evil] = {evil: [evil]}
    page = Checker.of(write_report(result, tmp_path))
    page.assert_alone(tmp_path)
    assert page.text.count("alert(") >= 8
    assert "alert(" in page.items[0]


def test_partial_studies_say_what_is_missing(tmp_path):
    cases = [
        info("begun", 1, 6, n_done=3, seconds={}),
        info("not begun", 2, 6, n_done=0, seconds={}),
        info("broken", 1, 6, n_done=1, failure="loss is NaN at step 120", seconds={"fit": 4000.0}),
    ]
    rows = rows_of("begun", "frechet", lambda t: 60 * t, 1, 3, 0.0) + rows_of(
        "broken", "recall", lambda t: 0.5, 1, 1, 0.0
    )
    page = Checker.of(write_report(study(rows, [], cases), tmp_path))
    assert "3 cases: 3 undecided; 1 failed; 2 not finished." in page.text
    assert "3 of 6 generations so far" in page.text
    assert "0 of 12 generations so far, over 2 seeds" in page.text
    assert "Failed: loss is NaN at step 120" in page.text
    assert "No generation has been measured yet." in page.text
    assert "With 1 seed, run at least 4 generations." in page.text
    assert "1 h 7 min" in page.text
    assert "nan" not in page.text.lower().replace("loss is nan", "")


def test_an_empty_study_still_has_a_page(tmp_path):
    page = Checker.of(write_report(study([], [], []), tmp_path))
    assert "0 cases" in page.text


def test_one_seed_shows_no_interval(tmp_path):
    result = study(rows_of("lone", "frechet", lambda t: 30.0 * t, 1, 4, 0.0), [], [info("lone", 1, 4)])
    text = Checker.of(write_report(result, tmp_path)).text
    assert "[" not in text.split("All values")[1].split("Time spent")[0]
    assert "another seed may differ" in text


def test_long_loops_are_thinned_in_the_page_and_whole_in_the_table(tmp_path):
    result = study(rows_of("long", "frechet", lambda t: 1 + t / 100, 2, 500, 0.01), [], [info("long", 2, 500)])
    html = write_report(result, tmp_path).read_text(encoding="utf-8")
    assert html.count("<td>") < 60
    assert "<td>500</td>" in html
    assert len(pd.read_csv(tmp_path / "table.csv")) == 1000


def test_names_become_safe_and_distinct_files(tmp_path):
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("λ") == "figure"
    strips = {0: {1: np.zeros((2, 3, 8, 8), np.uint8)}}
    result = study([], [], [info(name, 1, 1, strips=strips) for name in ("a b", "a/b")])
    write_report(result, tmp_path)
    assert len(list(tmp_path.glob("*samples-a-b-seed-0.png"))) == 2


def test_every_trajectory_has_its_strip(tmp_path):
    strips = {seed: {1: np.full((2, 1, 8, 8), 80 * seed, np.uint8)} for seed in range(3)}
    html = write_report(study([], [], [info("a", 3, 1, strips=strips)]), tmp_path).read_text()
    assert len({path.read_bytes() for path in tmp_path.glob("*samples-a-seed-*.png")}) == 3
    assert "2 more seeds" in html


def test_an_interactive_figure_holds_the_numbers_of_the_table(digits, tmp_path):
    page = Checker.of(write_report(digits, tmp_path))
    rows = digits.table[(digits.table["case"] == "augmented") & (digits.table["metric"] == "frechet")]
    drawn = page.columns(page.items[0], "case", "t", "y")
    medians = rows.groupby("generation")["value"].median()
    found = {t: y for case, t, y in drawn if case == "augmented" and y > 1}
    assert found == pytest.approx(medians.to_dict())


def test_samples_in_the_plane_stand_beside_real_ones(tmp_path):
    page = Checker.of(write_report(modes_study(6), tmp_path))
    page.assert_alone(tmp_path)
    assert "Samples in the plane" in page.text
    assert "1 more seed" in page.text
    assert len(list(tmp_path.glob("*points-fully-synthetic-seed-*.pdf"))) == 2


def test_a_study_without_figures_carries_no_library(tmp_path):
    page = write_report(study([], [], []), tmp_path)
    assert page.stat().st_size < 20_000
