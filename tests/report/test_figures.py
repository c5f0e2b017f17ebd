"""Figures show what the numbers say, in looks that can be told apart."""

import numpy as np
import pytest

from mad_ray.analysis.curves import Curves
from mad_ray.analysis.verdict import case_verdict
from mad_ray.report.axes import literal, looks
from mad_ray.report.figures import curves_figure, is_log_time, main_metrics
from mad_ray.report.files import figure_to_pdf, figure_to_png
from mad_ray.report.strips import MAX_ROWS, mosaic, strip_figure, strip_rows
from tests.report.made_up_studies import digits_study, info, modes_study, rows_of, starts_study, study

# A collapsed layout is only a warning of matplotlib's.
pytestmark = pytest.mark.filterwarnings("error::UserWarning")


def panels(result, metrics):
    names = [case.case for case in result.cases]
    verdicts = {name: case_verdict(result, name) for name in names}
    figure = curves_figure(result, names, metrics, verdicts)
    return figure, [ax for ax in figure.axes if ax.get_visible()]


def test_the_first_panels_are_distance_precision_recall(digits):
    assert main_metrics(digits, ["augmented"]) == ["frechet", "precision", "recall"]
    rows = rows_of("g", "w2_squared", float, 1, 3, 0.0) + rows_of("g", "total_variance", float, 1, 3, 0.0)
    assert main_metrics(study(rows, [], [info("g", 1, 3)]), ["g"]) == ["w2_squared", "total_variance"]


@pytest.mark.parametrize(
    ("measured", "shown"),
    [
        (("frechet", "total_variance", "modal_variance", "recall", "modes_alive"),
         ["total_variance", "modal_variance", "recall"]),
        (("frechet", "total_variance", "modal_variance", "modes_alive"),
         ["total_variance", "modal_variance", "modes_alive"]),
        (("total_variation", "entropy", "missing_mass", "tail_mass", "support"),
         ["support", "tail_mass", "missing_mass"]),
    ],
)  # fmt: skip
def test_models_whose_modes_or_symbols_die_show_that_first(measured, shown):
    rows = [row for metric in measured for row in rows_of("g", metric, float, 1, 3, 0.0)]
    assert main_metrics(study(rows, [], [info("g", 1, 3)]), ["g"]) == shown


def test_w2_has_a_log_axis_and_a_line_for_each_start():
    _, (ax,) = panels(starts_study(), ["w2_squared"])
    assert ax.get_yscale() == "log"
    thick = [line for line in ax.lines if line.get_linewidth() == 2]
    ends = sorted(float(line.get_ydata()[-1]) for line in thick)
    assert ends[1] / ends[0] == pytest.approx(1, abs=0.06)
    assert ends[3] / ends[2] == pytest.approx(1, abs=0.06)
    assert thick[0].get_ydata()[0] > 10 * thick[2].get_ydata()[0]


@pytest.mark.parametrize(
    ("generations", "is_log"),
    [
        (np.arange(1, 2001), False),
        (np.arange(1, 101, 5), False),
        (np.unique(np.geomspace(1, 2000, 40).round()), True),
        (np.array([1, 200, 2000]), True),
        (np.array([1]), False),
    ],
)
def test_time_is_logarithmic_where_long_and_measured_sparsely(generations, is_log):
    assert is_log_time([Curves("recall", generations, np.ones((1, len(generations))))]) is is_log


def test_a_long_sparse_study_of_many_seeds_draws():
    result = modes_study()
    figure, axes = panels(result, main_metrics(result, ["fully synthetic"]))
    assert [ax.get_xscale() for ax in axes] == ["log"] * 3
    assert figure_to_png(figure).startswith(b"\x89PNG")


def test_a_distance_that_grows_tenfold_has_a_log_axis_and_shares_have_0_to_1(digits):
    _, axes = panels(digits, ["frechet", "precision", "recall", "coverage"])
    assert [ax.get_yscale() for ax in axes] == ["log", "linear", "linear", "linear"]
    assert axes[1].get_ylim() == axes[2].get_ylim() == (-0.03, 1.03)


def test_the_thick_line_is_the_median_over_seeds(digits):
    _, (ax,) = panels(digits, ["frechet"])
    thick = [line for line in ax.lines if line.get_linewidth() == 2]
    rows = digits.table[(digits.table["case"] == "augmented") & (digits.table["metric"] == "frechet")]
    assert thick[1].get_ydata() == pytest.approx(rows.groupby("generation")["value"].median().to_numpy())


def test_one_seed_has_no_band():
    _, (ax,) = panels(digits_study(n_seeds=1), ["frechet"])
    assert not any(path.vertices.size for band in ax.collections[:1] for path in band.get_paths())
    assert not [line for line in ax.lines if line.get_linewidth() == 0.6]


def test_rings_mark_the_cases_gone_mad(digits):
    figure, (frechet, recall) = panels(digits, ["frechet", "recall"])
    rings = [c.get_offsets() for c in frechet.collections if c.get_sizes().size and c.get_sizes()[0] == 110]
    assert [ring[0][0] for ring in rings] == [3, 3]
    assert not [c for c in recall.collections if c.get_sizes().size and c.get_sizes()[0] == 110]
    assert "gone MAD" in [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("n", [1, 7, 20, 21, 22, 60])
def test_looks_differ(n):
    assert len(set(looks(n))) == n


def test_many_cases_long_names_and_odd_values_still_draw():
    names = [f"${i}_case" * 8 for i in range(25)] + ["_hidden"]
    rows = [
        row for i, name in enumerate(names) for row in rows_of(name, "frechet", lambda t, i=i: i * t - 3, 2, 3, 0.0)
    ]
    rows += rows_of(names[0], "kernel", lambda t: float("inf") if t > 1 else 0.0, 1, 3, 0.0)
    figure, _ = panels(
        study(rows, [(names[1], "frechet", 2.0)], [info(name, 2, 3) for name in names]), ["frechet", "kernel"]
    )
    assert figure_to_png(figure).startswith(b"\x89PNG")
    assert not literal("_hidden").startswith("_")


def test_png_carries_no_time_and_no_version(digits):
    figure, _ = panels(digits, ["frechet"])
    png = figure_to_png(figure)
    assert b"tEXt" not in png
    assert b"tIME" not in png
    assert png == figure_to_png(panels(digits, ["frechet"])[0])


def test_pdf_carries_no_time_and_text_stays_text(digits):
    pdf = figure_to_pdf(panels(digits, ["frechet"])[0])
    assert pdf.startswith(b"%PDF")
    assert b"Date" not in pdf
    assert b"FontFile2" in pdf
    assert pdf == figure_to_pdf(panels(digits, ["frechet"])[0])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mosaic_holds_every_image_in_its_place(channels):
    rows = [np.full((3, channels, 8, 8), 10 * (i + 1), np.uint8) for i in range(3)]
    picture, centres, size = mosaic(rows)
    assert size == 48
    assert picture.shape[2] == 3
    assert [int(picture[int(y), 5, 0]) for y in centres] == [10, 20, 30]
    assert int(picture[int(centres[0]), -1, 0]) == 10


def test_a_short_row_is_padded_with_paper():
    picture, centres, _ = mosaic([np.zeros((4, 1, 64, 64), np.uint8), np.zeros((2, 1, 64, 64), np.uint8)])
    assert int(picture[int(centres[1]), -1, 0]) == 255


def test_strips_run_from_real_to_the_last_generation():
    strips = {t: np.zeros((2, 1, 8, 8), np.uint8) for t in range(1, 41)}
    rows = strip_rows(strips, strips[1])
    assert [rows[0][0], rows[1][0], rows[-1][0]] == ["real", "t = 1", "t = 40"]
    assert len(rows) == MAX_ROWS + 1
    assert figure_to_png(strip_figure(info("a", 1, 40, strips={7: strips}), 7)).startswith(b"\x89PNG")


def test_no_strips_no_figure():
    with pytest.raises(ValueError, match="no sample strips"):
        strip_rows({}, None)
