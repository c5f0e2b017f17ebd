"""Generated text on the page: written by the data's own spelling, a row per generation, and everything escaped."""

import numpy as np

from mad_ray.analysis.texts import MAX_CHARACTERS, N_TEXTS, written
from mad_ray.core.spelling import Spelling
from mad_ray.report.page import write_report
from mad_ray.report.texts import visible
from tests.report.checker import Checker
from tests.report.made_up_studies import info, rows_of, study


def text_study(texts: list[str]):
    cases = [info("a case", 2, 3, group="lm on text", texts={s: dict.fromkeys((1, 2, 3), texts) for s in (0, 1)},
                  real_texts=["it was real"])]  # fmt: skip
    rows = rows_of("a case", "kl_per_token", lambda t: 0.1 * t, 2, 3, 0.01)
    rows += rows_of("a case", "tail_recall", lambda t: 0.9 / t, 2, 3, 0.01)
    return study(rows, [], cases)


def test_each_generation_shows_what_it_wrote(tmp_path):
    page = Checker.of(write_report(text_study(["once upon", "a time"]), tmp_path))
    page.assert_alone(tmp_path)
    assert page.text.count("once upon") == 3 * 2
    assert page.text.count("it was real") == 2
    assert "seed 0" in page.text
    assert "KL per token" in page.text


def test_no_text_becomes_markup_or_moves_the_page(tmp_path):
    bad = '</code><script>alert(1)</script><img src="evil.png">\n\u202egnirts\x00'
    path = write_report(text_study([bad]), tmp_path)
    Checker.of(path).assert_alone(tmp_path)
    page = path.read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\\n\\u202egnirts\\x00" in page
    assert "\u202e" not in page


def test_visible_text_keeps_letters_of_all_kinds():
    assert visible("Ünï 猫\ufffd a\tb") == "Ünï 猫\ufffd a\\tb"


def test_few_and_short_texts_are_kept():
    spelling = Spelling((b"ab", b"c"))
    found = written(spelling, np.zeros((9, 1000), np.int32))
    assert len(found) == N_TEXTS
    assert found[0] == "ab" * (MAX_CHARACTERS // 2) + "…"
