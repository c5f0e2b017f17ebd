"""Maps and curves show the frame's numbers, on scales that part at the level."""

import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from mad_ray.analysis.phase import Axis
from mad_ray.report.boundary import boundary_figure, lines_figure
from mad_ray.report.cells import boundary_curve, edges, runs
from mad_ray.report.colours import colour_scale
from mad_ray.report.maps import map_figure
from mad_ray.report.symbols import to_html, to_mathtext, to_prose, to_unicode
from tests.report.phase_samples import boundary_result, lines_result, map_result, memory_result, partial_map, result

pytestmark = pytest.mark.filterwarnings("error::UserWarning")


def panels_of(figure):
    return [ax for ax in figure.axes if ax.get_visible() and ax.get_label() != "<colorbar>"]


def test_each_cell_is_drawn_with_its_value_in_its_place():
    study = map_result(6)
    for panel, ax in zip(study.panel.values, panels_of(map_figure(study)), strict=True):
        (mesh,) = [c for c in ax.collections if isinstance(c, QuadMesh)]
        drawn = np.ma.filled(mesh.get_array(), np.nan)
        cells = study.cells[study.cells["panel"] == panel].pivot_table(
            index="y", columns="x", values="value", dropna=False
        )
        np.testing.assert_array_equal(drawn, cells.to_numpy())
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_panels_share_one_scale_symmetric_about_the_level():
    study = map_result(6)
    scale = colour_scale(study)
    assert scale.low * scale.high == pytest.approx(study.level**2)
    middle = scale.colormap(scale.norm(study.level))
    assert min(middle[:3]) > 0.9
    red, blue = (np.array(scale.colormap(scale.norm(v)))[:3] for v in (0.5, 2.0))
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_of_a_distance_less_is_blue():
    axes = {"value": "frechet", "metric": "frechet", "level": 1.0}
    scale = colour_scale(result(map_result(4).cells.to_dict("records"), [], **axes))
    red = np.array(scale.colormap(scale.norm(2.0)))
    assert red[0] > red[2]


def test_the_level_runs_where_the_boundaries_say():
    study = map_result(6)
    for panel, ax in zip(study.panel.values, panels_of(map_figure(study)), strict=True):
        rows = study.boundaries[(study.boundaries["panel"] == panel) & (study.boundaries["kind"] == "crossing")]
        black = [line for line in ax.lines if line.get_color() == "black"]
        assert len(black) == bool(len(rows))
        if black:
            drawn = dict(zip(black[0].get_xdata(), black[0].get_ydata(), strict=True))
            assert {x: drawn[x] for x in rows["x"]} == dict(zip(rows["x"], rows["crossing"], strict=True))


def test_what_has_not_settled_is_named_in_the_legend():
    def told(study):
        legends = map_figure(study).legends
        return {text.get_text() for legend in legends for text in legend.get_texts()}

    assert {"converging still", "interval wider than asked", "no model"} <= told(map_result(8))
    assert {"failed", "no value yet"} <= told(partial_map(8))
    assert "no value yet" not in told(map_result(8))


def test_boundaries_have_a_line_per_panel_and_arrows_where_nothing_crosses():
    study = boundary_result(4)
    (ax,) = panels_of(boundary_figure(study))
    thick = [line for line in ax.lines if line.get_linewidth() == 2]
    assert len(thick) == len(study.panel.values)
    for panel, line in zip(study.panel.values, thick, strict=True):
        expected = study.boundaries[study.boundaries["panel"] == panel]["crossing"].to_numpy()
        np.testing.assert_array_equal(line.get_ydata(), expected)
    arrows = [line for line in ax.lines if line.get_marker() == "^"]
    assert [list(line.get_ydata()) for line in arrows] == [[100_000.0] * 4]


def test_lines_are_the_values_over_x_on_the_papers_axes():
    (ax,) = panels_of(lines_figure(lines_result()))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    (ax,) = panels_of(lines_figure(memory_result()))
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")
    study = memory_result()
    thick = [line for line in ax.lines if line.get_linewidth() == 2]
    np.testing.assert_array_equal(thick[0].get_ydata(), study.cells["value"].to_numpy())


def test_edges_lie_between_the_cells():
    assert edges(Axis("", "", (1.0, 10.0, 100.0))) == pytest.approx(10 ** np.array([-0.5, 0.5, 1.5, 2.5]))
    assert edges(Axis("", "", (1.0, 2.0, 4.0), is_log=False)) == pytest.approx([0.5, 1.5, 3.0, 5.0])
    low, high = edges(Axis("", "", (5.0,)))
    assert low < 5 < high


def test_a_boundary_beyond_the_values_tried_has_no_y():
    curve = boundary_curve(map_result(6), 1.0)
    assert set(curve.kind) == {"above"}
    assert np.isnan(curve.y).all()


def test_bands_break_where_no_interval_is_known():
    known = np.array([1.0, 2.0, np.nan, 3.0, np.nan, np.nan, 4.0])
    assert [run.tolist() for run in runs(known, known)] == [[0, 1], [3], [6]]


def test_symbols_are_typeset_and_other_text_is_left_alone():
    assert to_mathtext("n_e/n_r") == "$n_{e}/n_{r}$"
    assert to_mathtext("lambda") == r"$\lambda$"
    assert to_mathtext("FID of $x$") == r"FID of \$x\$"
    assert to_html("n_s") == "<i>n</i><sub>s</sub>"
    assert to_html("<b>/n") == "&lt;b&gt;/n"
    assert to_unicode("n_e/n_r") == "nₑ/nᵣ"
    assert to_unicode("n_ini") == "nᵢₙᵢ"
    assert to_prose("up to n_s = 8 <") == "up to <i>n</i><sub>s</sub> = 8 &lt;"
