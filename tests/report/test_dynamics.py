"""Downstream and mode dynamics on the page: there where they were measured, and single classes in heat maps only."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mad_ray.analysis.curves import metrics_of
from mad_ray.analysis.dynamics import class_table
from mad_ray.analysis.study import FLOOR_COLUMNS, TABLE_COLUMNS, Embedding, StudyResult
from mad_ray.core.keys import Keys
from mad_ray.report.dynamics import class_figure
from mad_ray.report.files import figure_to_png
from mad_ray.report.film import class_colour, embedding_figure, film_bytes
from mad_ray.report.page import write_report
from tests.report.checker import Checker
from tests.report.made_up_studies import digits_study, rows_of

pytestmark = pytest.mark.filterwarnings("error::UserWarning")

STEMS = ("accuracy_published", "accuracy_training", "precision", "recall")
CASE = "fully synthetic"


def embedding(n_generations: int = 4, n_classes: int = 10, n: int = 60) -> Embedding:
    """Classes on a circle that move outwards."""
    random = Keys((0,)).generator(0, "embedding")
    label = np.arange(n) % max(n_classes, 1)
    angle = 2 * np.pi * label / max(n_classes, 1)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    places = {t: ((1 + 0.1 * t) * circle + 0.05 * random.standard_normal((n, 2))) for t in range(1, n_generations + 1)}
    told = label if n_classes else np.full(n, -1)
    real = circle + 0.05 * random.standard_normal((n, 2))
    return Embedding(0, real, told, places, dict.fromkeys(places, told))


def plain_study() -> StudyResult:
    """Two cases of few curves and without pictures, so that pages are quick."""
    whole = digits_study(n_seeds=2, n_generations=4)
    cases = [replace(case, strips={}) for case in whole.cases[:2]]
    kept = whole.table["case"].isin([case.case for case in cases]) & (whole.table["metric"] != "coverage")
    return replace(whole, cases=cases, table=whole.table[kept])


def dynamic_study(n_classes: int = 10) -> StudyResult:
    """Two made-up cases of digits, with what is measured of labelled images; one with an embedding."""
    plain = plain_study()
    rows, floors = [], []
    for case in plain.cases:
        for metric in ("accuracy_published", "accuracy_training", "authenticity", "copying", "nll_published"):
            rows += rows_of(case.case, metric, lambda t: 0.9 - 0.05 * t, 2, 4, 0.01)
        for stem in STEMS:
            for c in range(n_classes):
                name = f"{stem}_class_{c}"
                rows += rows_of(case.case, name, lambda t, c=c: 0.9 - 0.02 * c * t / n_classes, 2, 4, 0.0)
                floors.append((case.case, name, 0.95))
    cases = [replace(plain.cases[0], embeddings=(embedding(), embedding())), *plain.cases[1:]]
    return replace(
        plain,
        table=pd.concat([plain.table, pd.DataFrame(rows, columns=list(TABLE_COLUMNS))], ignore_index=True),
        floors=pd.concat([plain.floors, pd.DataFrame(floors, columns=list(FLOOR_COLUMNS))], ignore_index=True),
        cases=cases,
    )


def headings(page: Checker) -> list[str]:
    tags = page.html.split("<h2>")[1:]
    return [tag.partition("</h2>")[0] for tag in tags]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """The page of `dynamic_study`; what else there is lies beside it."""
    return write_report(dynamic_study(), tmp_path_factory.mktemp("dynamics"))


def test_the_sections_are_there_where_something_was_measured(tmp_path, written):
    page = Checker.of(written)
    page.assert_alone(written.parent)
    assert {"Downstream", "Mode dynamics"} < set(headings(page))
    alts = [attributes["alt"] for tag, attributes in page.seen if tag == "img"]
    for name in ("accuracy of classes", "precision and recall of classes", "embedding", "film"):
        assert f"{name} {CASE}" in alts
    plain = Checker.of(write_report(plain_study(), tmp_path))
    assert not {"Downstream", "Mode dynamics"} & set(headings(plain))
    assert "t-SNE" not in plain.text


def test_a_study_of_copies_alone_has_no_downstream(tmp_path):
    study = dynamic_study()
    kept = study.table["metric"].isin(["frechet", "copying"])
    page = Checker.of(write_report(replace(study, table=study.table[kept], cases=study.cases[1:]), tmp_path))
    assert "Mode dynamics" in headings(page)
    assert "Downstream" not in headings(page)


def test_classes_flood_neither_curves_nor_tables(tmp_path, written):
    study = dynamic_study()
    assert not [metric for metric in metrics_of(study, [CASE]) if "_class_" in metric]
    page = Checker.of(written)
    assert "class 3" not in page.text
    plain = Checker.of(write_report(plain_study(), tmp_path))
    # Two sections of curves more, and what does not fit a row.
    assert page.n_live - plain.n_live == 2
    assert "recall_class_3" in (written.parent / "table.csv").read_text()


def test_the_film_lies_beside_the_page_and_is_small(written):
    film, of_the_other_seed = sorted(written.parent.glob("*.gif"))
    assert of_the_other_seed.name.endswith("-film-fully-synthetic.gif")
    assert "1 more seed" in written.read_text()
    assert film.name.endswith("-film-fully-synthetic.gif")
    assert film.stat().st_size < 1 << 20
    assert film.read_bytes() == film_bytes(embedding())
    assert "data:image/gif;base64," in written.read_text()


def test_a_film_has_a_frame_per_generation_and_goes_round():
    data = film_bytes(embedding(n_generations=3))
    assert data.startswith(b"GIF89a")
    assert b"NETSCAPE2.0" in data
    # A graphic control extension stands before each frame.
    assert data.count(b"\x21\xf9\x04") >= 3
    assert data == film_bytes(embedding(n_generations=3))


@pytest.mark.parametrize("n_classes", [0, 2, 10, 40])
def test_embeddings_of_any_number_of_classes_can_be_drawn(n_classes):
    found = embedding(n_generations=11, n_classes=n_classes)
    figure = embedding_figure(found)
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_visible()]
    assert (titles[0], titles[-1], len(titles)) == ("t = 1", "t = 11", 8)
    assert figure_to_png(figure) == figure_to_png(embedding_figure(found))
    assert len({tuple(np.atleast_1d(class_colour(c, n_classes))) for c in range(min(n_classes, 10))}) == min(
        n_classes, 10
    )


def test_a_class_table_holds_medians_and_floors():
    found = class_table(dynamic_study(), CASE, "recall")
    assert found.classes == tuple(range(10))
    assert found.generations.tolist() == [1, 2, 3, 4]
    expected = 0.9 - 0.002 * np.outer(np.arange(1, 5), np.arange(10))
    assert found.values == pytest.approx(expected)
    assert found.floor.tolist() == [0.95] * 10
    assert class_table(dynamic_study(), CASE, "density") is None


def test_classes_come_in_the_order_of_their_numbers():
    assert class_table(dynamic_study(n_classes=12), CASE, "recall").classes == tuple(range(12))


@pytest.mark.parametrize("n_classes", [3, 10, 60])
def test_heat_maps_of_any_number_of_classes_can_be_drawn(n_classes):
    study = dynamic_study(n_classes)
    tables = [class_table(study, CASE, stem) for stem in STEMS[:2]]
    holes = [replace(table, values=np.where(table.values > 0.88, np.nan, table.values)) for table in tables]
    for one in (tables, holes, tables[:1]):
        assert figure_to_png(class_figure(one)).startswith(b"\x89PNG")
