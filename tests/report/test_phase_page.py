"""A phase study's page says what its frames hold, stands alone, and works with whatever part of the study exists."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mad_ray.analysis.phase import Axis
from mad_ray.analysis.wording import number
from mad_ray.report.phase_page import write_phase_report
from mad_ray.report.words import answer
from tests.report.checker import Checker
from tests.report.phase_samples import (
    boundary_result,
    lines_result,
    map_result,
    memory_result,
    partial_map,
    result,
    void,
)

# A collapsed layout is only a warning of matplotlib's.
pytestmark = pytest.mark.filterwarnings("error::UserWarning")

STUDIES = {
    "map": lambda: map_result(6),
    "partial": lambda: partial_map(6),
    "boundary": lambda: boundary_result(4),
    "lines": lines_result,
    "memory": memory_result,
}


@pytest.fixture(scope="module", params=STUDIES)
def written(request, tmp_path_factory):
    """A study, and its page."""
    study = STUDIES[request.param]()
    return study, write_phase_report(study, tmp_path_factory.mktemp(request.param))


def test_the_page_needs_nothing_else(written):
    _, path = written
    page = Checker.of(path)
    page.assert_alone(path.parent)
    assert page.n_live
    pngs, pdfs = (sorted(found.stem for found in path.parent.glob(f"*.{kind}")) for kind in ("png", "pdf"))
    assert pngs == pdfs
    assert len(pngs) == sum(tag == "img" for tag, _ in page.seen)


def test_the_tables_beside_the_page_are_the_frames(written):
    study, path = written
    for name in ("cells", "boundaries", "baseline"):
        frame = getattr(study, name).reset_index(drop=True)
        read = pd.read_csv(path.parent / f"{name}.csv")
        assert list(read) == list(frame)
        pd.testing.assert_frame_equal(read, frame, check_dtype=False)


def test_every_cell_of_a_map_tells_its_value_under_the_mouse_and_is_counted(tmp_path):
    study = map_result(6)
    page = Checker.of(write_phase_report(study, tmp_path))
    told = page.columns(page.items[0], "in_x", "in_y", "in_value", "in_state")
    assert len(told) == len(study.cells)
    expected = {
        (f"{row.x:,.0f}", f"{row.y:,.0f}", f"{number(row.value)} [{number(row.low)}, {number(row.high)}]", row.state)
        for row in study.cells.itertuples()
        if row.state != "no model"
    }
    assert expected <= set(told)
    assert {row[2:] for row in set(told) - expected} == {("-", "no model")}
    value = study.cells["value"]
    assert f"Of {len(value):,} cells, {(value >= 1).sum():,} are admissible (ne/nr ≥ 1" in page.text
    assert f"{(value < 1).sum():,} are not, {value.isna().sum():,} has no value." in page.text


def test_every_place_of_a_boundary_is_in_the_table(tmp_path):
    study = boundary_result(4)
    words = Checker.of(write_phase_report(study, tmp_path)).text
    crossings = study.boundaries[study.boundaries["kind"] == "crossing"]
    assert len(crossings)
    for row in crossings.itertuples():
        assert f"admissible up to ns = {number(row.crossing)} [{number(row.low)}, {number(row.high)}]" in words
    n_above = (study.boundaries["kind"] == "above").sum()
    assert words.count("admissible up to ns = 100,000 (no crossing)") == n_above + 1
    assert f"{study.n_done:,} cells where a grid of the same resolution has {study.grid_cells:,}" in words


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("crossing", "At n_r = 10,000: admissible up to n_s = 830 [790, 870] with lambda = 0.7."),
        ("above", "At n_r = 10,000: admissible up to n_s = 10,000 (no crossing) with lambda = 0.7."),
        ("below", "At n_r = 10,000: none admissible with lambda = 0.7."),
    ],
)
def test_a_boundary_is_told_in_a_sentence(kind, words):
    place = {"panel": 0.7, "x": 10_000.0, "crossing": 830.0, "low": 790.0, "high": 870.0, "kind": kind}
    cells = [row | {"x": 10_000.0} for row in map_result(2).cells.to_dict("records")[:2]]
    assert answer(result(cells, [place], kind="boundary")) == words


def test_a_level_reached_from_below_is_admissible_from_there_on():
    """y may be lambda, with which n_e/n_r rises."""
    cells = [
        {**map_result(2).cells.iloc[0].to_dict(), "panel": np.nan, "x": 100.0, "y": y, "value": y + 0.1, "low": y}
        for y in (0.5, 0.7, 0.95, 1.0)
    ]
    place = {"panel": np.nan, "x": 100.0, "crossing": 0.9, "low": 0.85, "high": 0.94, "kind": "crossing"}
    y = Axis("loop.bias", "lambda", (0.5, 1.0), is_log=False)
    study = result(cells, [place], kind="boundary", y=y, panel=None)
    assert answer(study) == "At n_r = 100: admissible from lambda = 0.90 [0.85, 0.94] on."


def test_partial_studies_say_what_is_missing(tmp_path):
    study = partial_map(6)
    page = Checker.of(write_phase_report(study, tmp_path))
    assert f"{study.n_done} of 108 cells done; the same command goes on from here." in page.text
    n_open = 108 - len(study.cells) + (study.cells["state"] == "not finished").sum()
    assert f"{n_open} not finished" in page.text
    assert "1 failed" in page.text
    assert "failed: <b>out of memory</b>" in page.text


def test_a_study_that_has_not_begun_still_has_a_page(tmp_path):
    empty = result([], [], n_cells=1200, n_done=0)
    page = Checker.of(write_phase_report(empty, tmp_path))
    assert "Nothing has been computed yet." in page.text
    assert "1,200 not finished" in page.text


@pytest.mark.parametrize("build", [map_result, boundary_result])
def test_a_study_of_cells_without_values_still_has_a_page(build, tmp_path):
    study = build(3)
    cells = pd.DataFrame([void(row, "failed: no space left") for row in study.cells.to_dict("records")])
    study = replace(study, cells=cells, boundaries=study.boundaries[:0], baseline=study.baseline[:0])
    page = Checker.of(write_phase_report(study, tmp_path))
    assert "no space left" in page.text
    assert "nan" not in page.text.lower()


def test_maps_without_a_level_or_panels_have_a_page(tmp_path):
    cells = [row | {"panel": np.nan} for row in map_result(5).cells.to_dict("records")[:25]]
    axes = map_result(5)
    study = result(cells, [], panel=None, level=None, value="frechet", metric="frechet", x=axes.x, y=axes.y)
    page = Checker.of(write_phase_report(study, tmp_path))
    assert "Over 25 cells, the limit of FID lies between" in page.text
    page.assert_alone(tmp_path)


def test_whatever_the_user_wrote_is_text(tmp_path):
    evil = "<script>alert('$x$')</script>&\"_"
    study = map_result(4)
    cells = study.cells.assign(case=evil, state=f"failed: {evil}")
    axes = {name: replace(getattr(study, name), label=evil) for name in ("x", "y", "panel")}
    study = replace(study, name=evil, title=evil, cells=cells, rule=evil, metric=evil, value=evil, **axes)
    study = replace(study, identity={evil: evil}, provenance={evil: {evil: [evil]}})
    page = Checker.of(write_phase_report(study, tmp_path))
    page.assert_alone(tmp_path)
    assert page.text.count("alert(") > 20
    assert all("<" not in item for item in page.items)


def test_the_same_study_gives_the_same_bytes_in_another_process(tmp_path):
    """Neither counters of the process, nor hash seeds, nor the time get in."""
    write_phase_report(map_result(4), tmp_path / "warm up")
    write_phase_report(map_result(4), tmp_path / "here")
    program = (
        "import sys, pathlib; from mad_ray.report.phase_page import write_phase_report; "
        "from tests.report.phase_samples import map_result; "
        "write_phase_report(map_result(4), pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "there")], check=True)
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert len(names) == 10
    for name in names:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name
