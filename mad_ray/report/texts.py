"""Generated text on the page: what the models of each generation write, beneath what they should."""

from html import escape

from mad_ray.analysis.study import CaseInfo, StudyResult
from mad_ray.analysis.trend import spread
from mad_ray.report.markup import fold, table

MAX_ROWS = 12
NOTE = (
    "The first sequences that each generation published; real ones on top. Whatever cannot be shown as a character "
    "stands as its code, \\n for the end of a line."
)


def texts_section(result: StudyResult) -> str:
    """Of each case one seed in sight, the others folded; "" where no samples are text."""
    parts = [f"<h3>{escape(case.case)}</h3>\n{_case_texts(case)}" for case in result.cases if case.texts]
    return f'<h2>Samples</h2>\n<p class="soft">{escape(NOTE)}</p>\n{"".join(parts)}' if parts else ""


def _case_texts(case: CaseInfo) -> str:
    first, *others = [
        f'<p class="soft">seed {seed}</p>\n{_texts_table(case.texts[seed], case.real_texts)}'
        for seed in sorted(case.texts)
    ]
    return first + (fold(f"{len(others)} more seed{'s' if len(others) > 1 else ''}", "".join(others)) if others else "")


def _texts_table(texts: dict[int, list[str]], real: list[str]) -> str:
    """A row per generation, evenly thinned to MAX_ROWS."""
    generations = sorted(texts)
    kept = [generations[i] for i in spread(len(generations), MAX_ROWS)]
    rows = [["real", _cell(real)], *([f"{t}", _cell(texts[t])] for t in kept)]
    return table(["generation", "samples"], rows, n_left=2)


def _cell(texts: list[str]) -> str:
    """Each sequence on a line of its own."""
    return "<br>".join(f"<code>{escape(visible(text))}</code>" for text in texts)


def visible(text: str) -> str:
    """The text with every character that has no picture, line ends and directional marks too, as its code."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
