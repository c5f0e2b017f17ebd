"""A study as one self-contained HTML page, with its figures and tables beside it as files."""

import pathlib
import re
from html import escape

from mad_ray.analysis.curves import metrics_of
from mad_ray.analysis.study import FLOOR_COLUMNS, TABLE_COLUMNS, CaseInfo, StudyResult
from mad_ray.analysis.verdict import case_verdict
from mad_ray.report.figures import curves_figure, figure_to_png, main_metrics
from mad_ray.report.markup import fold, picture
from mad_ray.report.sections import (
    Verdicts,
    headline,
    origin_section,
    rule_section,
    time_section,
    trouble_section,
    values_section,
    verdict_section,
)
from mad_ray.report.strips import strip_figure
from mad_ray.report.style import CSS

CURVES_CAPTION = (
    "Line: median over seeds. Thin lines: single seeds, where there are two to five. Shaded: 95 % interval of the "
    "median from six seeds on, the range of the seeds below that; one seed has none. Ring: the generation from which "
    "on the case counts as gone MAD."
)
STRIPS_NOTE = "The same places of a trajectory's samples, generation after generation; real samples on top."


def write_report(result: StudyResult, folder: pathlib.Path) -> pathlib.Path:
    """Write index.html, table.csv, floors.csv and the figures as PNG; return the page's path.

    The page needs no other file and no network, and works with whatever part of the study exists.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result.table.to_csv(folder / "table.csv", index=False, columns=list(TABLE_COLUMNS))
    result.floors.to_csv(folder / "floors.csv", index=False, columns=list(FLOOR_COLUMNS))
    verdicts = {case.case: case_verdict(result, case.case) for case in result.cases}
    figures = Figures(folder)
    page = folder / "index.html"
    page.write_text(render(result, verdicts, figures), encoding="utf-8")
    return page


class Figures:
    """Saves each figure beside the page and hands back the HTML that embeds it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.n_saved = 0

    def embed(self, figure, name: str, caption: str = "") -> str:
        """File names count up, so that two cases of similar names never share one."""
        png = figure_to_png(figure)
        self.n_saved += 1
        (self.folder / f"{self.n_saved:02d}-{slug(name)}.png").write_bytes(png)
        return picture(png, name, caption)


def slug(name: str) -> str:
    """A file name of at most 60 safe characters."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "figure"


def render(result: StudyResult, verdicts: Verdicts, figures: Figures) -> str:
    """The whole page."""
    body = "".join(
        [
            f"<h1>{escape(result.name)}</h1>\n",
            _title(result),
            headline(result, verdicts),
            verdict_section(result, verdicts),
            trouble_section(result),
            curves_section(result, verdicts, figures),
            strips_section(result, figures),
            rule_section(verdicts),
            values_section(result),
            time_section(result),
            origin_section(result),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(result.name)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def curves_section(result: StudyResult, verdicts: Verdicts, figures: Figures) -> str:
    """A row of panels per group; the metrics that do not fit one row are folded beneath it."""
    parts = []
    for group, cases in _groups(result.cases).items():
        names = [case.case for case in cases]
        metrics = metrics_of(result, names)
        if not metrics:
            continue
        shown = main_metrics(result, names)
        row = curves_figure(result, names, shown, dict(verdicts))
        parts.append(f"<h3>{escape(group)}</h3>\n" + figures.embed(row, f"curves {group}"))
        rest = [metric for metric in metrics if metric not in shown]
        if rest:
            more = curves_figure(result, names, rest, dict(verdicts))
            parts.append(fold("More metrics", figures.embed(more, f"more metrics {group}")))
    note = f'<p class="soft">{escape(CURVES_CAPTION)}</p>\n'
    return f"<h2>Over the generations</h2>\n{''.join(parts)}{note}" if parts else ""


def _groups(cases: list[CaseInfo]) -> dict[str, list[CaseInfo]]:
    groups: dict[str, list[CaseInfo]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    return groups


def strips_section(result: StudyResult, figures: Figures) -> str:
    """Sample images of each trajectory, generation by generation; of each case one seed in sight, the others folded."""
    parts = [
        f"<div><h3>{escape(case.case)}</h3>\n{_case_strips(case, figures)}</div>\n"
        for case in result.cases
        if case.strips
    ]
    if not parts:
        return ""
    return f'<h2>Samples</h2>\n<p class="soft">{escape(STRIPS_NOTE)}</p>\n<div class="strips">{"".join(parts)}</div>\n'


def _case_strips(case: CaseInfo, figures: Figures) -> str:
    first, *others = [
        figures.embed(strip_figure(case, seed), f"samples {case.case} seed {seed}", f"seed {seed}")
        for seed in sorted(case.strips)
    ]
    return first + (fold(f"{len(others)} more seed{'s' if len(others) > 1 else ''}", "".join(others)) if others else "")


def _title(result: StudyResult) -> str:
    """The question that the study asks, if its config says."""
    title = result.identity.get("title")
    return f'<p class="soft">{escape(title)}</p>\n' if title else ""
