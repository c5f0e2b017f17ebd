"""The terminal's table is aligned, complete and narrow enough."""

import pytest

from mad_ray.report.screen import phase_table, verdict_table
from tests.report.made_up_studies import digits_study, info, rows_of, study
from tests.report.phase_samples import (
    boundary_result,
    lines_result,
    map_result,
    memory_result,
    partial_map,
    result,
    void,
)


def test_one_aligned_line_per_case(digits):
    lines = verdict_table(digits).splitlines()
    assert len(lines) == 2 + len(digits.cases)
    for column in ("distance (floor)", "precision", "recall", "verdict"):
        start = lines[0].index(column)
        assert all(line[start - 1] == " " and line[start] != " " for line in lines[2:])
    assert [line.rsplit("  ", 1)[1] for line in lines[2:]] == ["MAD at t=3", "MAD at t=3", "settled", "stable"]
    assert "FID 34.3 -> 542 (10.6)" in lines[2]
    assert "0.93 -> 0.27" in lines[2]


def test_it_fits_120_columns_whatever_the_names():
    name, reason = "a very long name of a case " * 5, "a very long\nreason " * 20
    rows = rows_of(name, "w2_squared", lambda t: 1e5 * t, 12, 2000, 0.0)
    rows += rows_of(name, "density", lambda t: 0.5, 12, 9, 0.0) + rows_of(name, "coverage", lambda t: 0.5, 12, 9, 0.0)
    text = verdict_table(study(rows, [], [info(name, 12, 2000, n_done=23_999, failure=reason)]))
    assert all(len(line) <= 120 for line in text.splitlines())
    assert len(text.splitlines()) == 4
    assert "MAD at t=" in text


def test_partial_and_failed_cases_say_so():
    cases = [info("begun", 2, 6, n_done=3), info("broken", 1, 6, n_done=0, failure="no space left")]
    lines = verdict_table(study(rows_of("begun", "frechet", float, 2, 1, 0.0), [], cases)).splitlines()
    assert "3 of 12" in lines[2]
    assert lines[2].endswith("undecided")
    assert lines[3].endswith("undecided (failed)")
    assert lines[4] == "broken failed: no space left"


def test_no_case_is_only_a_head():
    assert len(verdict_table(study([], [], [])).splitlines()) == 2


def test_one_seed_is_not_counted_as_seeds():
    assert " 5 " in verdict_table(digits_study(n_seeds=1, n_generations=5)).splitlines()[2]


@pytest.mark.parametrize("build", [map_result, partial_map, boundary_result, lines_result, memory_result])
def test_phase_tables_fit_120_columns_in_plain_text(build):
    text = phase_table(build())
    assert all(len(line) <= 120 for line in text.splitlines())
    assert text.isascii()
    assert "95 % intervals" in " ".join(text.split())
    assert "nan" not in text


def test_a_map_has_a_line_per_panel_with_its_counts():
    study = map_result(6)
    lines = phase_table(study).splitlines()
    for panel in study.panel.values:
        value = study.cells[study.cells["panel"] == panel]["value"]
        (line,) = [line for line in lines if line.startswith(f"{panel:g} ")]
        assert f"{(value >= 1).sum()} of {value.notna().sum()}" in line


@pytest.mark.parametrize(("n_void", "words"), [(0, "none: n_e/n_r < 1 everywhere"), (3, "none: n_e/n_r < 1 wherever")])
def test_a_map_claims_no_more_than_its_cells_know(n_void, words):
    """All of it below the level, but for cells whose value nobody knows."""
    study = map_result(4)
    rows = [{**row, "value": 0.5, "low": 0.4, "high": 0.6} for row in study.cells.to_dict("records")]
    rows = [void(row, "too short") if i < n_void else row for i, row in enumerate(rows)]
    below = [{**row, "kind": "below", "crossing": float("nan")} for row in study.boundaries.to_dict("records")]
    first = phase_table(result(rows, below, x=study.x, y=study.y)).splitlines()
    assert words in next(line for line in first if line.startswith("0.7 "))


def test_a_map_with_both_sides_is_not_one_of_them_everywhere():
    """A value that rises along y: above the level at each column's end, and below it at the beginning."""
    study = map_result(4)
    lowest = min(study.y.values)
    rows = [{**row, "value": 0.5 if row["y"] == lowest else 1.5} for row in study.cells.to_dict("records")]
    above = [{**row, "kind": "above", "crossing": float("nan")} for row in study.boundaries.to_dict("records")]
    text = phase_table(result(rows, above, x=study.x, y=study.y))
    assert "none within the map" in text
    assert "everywhere" not in text


def test_a_boundary_has_a_line_per_place_and_thins_many():
    small, large = boundary_result(4), boundary_result(12)
    assert len([line for line in phase_table(small).splitlines() if "  admissible" in line]) == 20
    lines = phase_table(large).splitlines()
    assert len([line for line in lines if "  admissible" in line]) == 30
    assert any("30 more in the report" in line for line in lines)


def test_a_study_that_has_not_begun_says_so():
    assert "Nothing has been computed yet." in phase_table(result([], [], n_cells=9, n_done=0))
