"""Interactive figures embed safely, the same bytes every time, and never read a user's text as code or TeX."""

import json

from bokeh.models import ColumnDataSource

from mad_ray.report.live import LOADER, library, plot, scripts, stack, text, to_item
from mad_ray.report.plates import Plates
from tests.report.checker import Checker
from tests.report.made_up_studies import digits_study


def a_plot(title="a title"):
    made = plot(title, "x", "y", is_log=(True, False), size=(200, 150))
    made.line("x", "y", source=ColumnDataSource({"x": [1.0, 2.0], "y": [3.0, 4.0]}))
    return stack([[made]])


def test_ids_do_not_count_what_the_process_did_before():
    assert to_item(a_plot(), "f1") == to_item(a_plot(), "f1")
    assert to_item(a_plot(), "f1") != to_item(a_plot(), "f2")


def test_every_reference_has_its_model():
    def ids(value, is_reference):
        if isinstance(value, dict):
            if "id" in value and (set(value) == {"id"}) == is_reference:
                yield value["id"]
            value = list(value.values())
        for inner in value if isinstance(value, list) else []:
            yield from ids(inner, is_reference)

    item = json.loads(to_item(a_plot(), "f1"))
    models = list(ids(item, False))
    assert len(models) == len(set(models))
    assert {*ids(item, True), item["root_id"]} <= set(models)


def test_data_cannot_end_its_script():
    item = to_item(a_plot("</script><!--"), "f1")
    assert not {"<", ">", "&"} & set(item)
    assert "</script><!--" in json.dumps(json.loads(item))


def test_texts_that_look_like_tex_are_parted():
    for words in ("$$x^2$$", r"\(x\)", r"\[x\]"):
        assert words not in text(words)
        assert text(words).replace("\u200b", "") == words


def test_the_library_comes_once_and_cannot_end_its_script():
    assert "</script" not in library()
    made = scripts(["{}", "{}", "{}"])
    assert made.count(library()) == made.count(LOADER) == 1
    assert made.count("</script>") == 5
    assert scripts([]) == ""


def test_a_plate_has_picture_stage_and_files(tmp_path):
    from mad_ray.report.figures import curves_figure

    figure = curves_figure(digits_study(), ["augmented"], ["frechet"], {})
    plates = Plates(tmp_path)
    page = Checker(plates.embed(figure, "a & b", "see n_s <", a_plot(), ["table.csv"]))
    classes = [attributes.get("class") for _, attributes in page.seen]
    assert classes.index("sheet live") < classes.index("sheet still")
    links = [attributes["href"] for tag, attributes in page.seen if tag == "a"]
    assert links == ["01-a-b.png", "01-a-b.pdf", "table.csv"]
    assert "see ns <" in page.text
    assert all((tmp_path / link).is_file() for link in links[:2])
    assert len(plates.items) == 1
