"""A study as one self-contained HTML page, with its figures and tables beside it as files."""

import pathlib
from html import escape

from mad_ray.analysis.curves import metrics_of, study_curves
from mad_ray.analysis.names import has_a_section, is_of_interventions
from mad_ray.analysis.study import FLOOR_COLUMNS, TABLE_COLUMNS, CaseInfo, StudyResult
from mad_ray.analysis.verdict import case_verdict
from mad_ray.report.comparison import comparison_section
from mad_ray.report.dynamics import downstream_section, modes_section
from mad_ray.report.figures import curves_figure, main_metrics
from mad_ray.report.live import scripts
from mad_ray.report.live_curves import live_curves
from mad_ray.report.markup import document, fold
from mad_ray.report.plates import Plates
from mad_ray.report.scatter import snapshots_section
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
from mad_ray.report.texts import texts_section

CURVES_CAPTION = (
    "Line: median over seeds. Thin lines: single seeds, where there are two to five. Shaded: 95 % interval of the "
    "median from six seeds on, the range of the seeds below that; one seed has none. Ring: the generation from which "
    "on the case counts as gone MAD."
)
INTERVENTIONS_NOTE = (
    "Marks, in standard deviations of what unmarked real rows show: before marking is what the model has learnt of "
    "them. Rows flagged are counted by the truth, which no intervention knows. Effective rows: (sum w)^2 / sum w^2."
)
STRIPS_NOTE = "The same places of a trajectory's samples, generation after generation; real samples on top."


def write_report(result: StudyResult, folder: pathlib.Path) -> pathlib.Path:
    """Write index.html, table.csv, floors.csv and the figures as PNG and PDF; return the page's path.

    The page needs no other file and no network, and works with whatever part of the study exists.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result.table.to_csv(folder / "table.csv", index=False, columns=list(TABLE_COLUMNS))
    result.floors.to_csv(folder / "floors.csv", index=False, columns=list(FLOOR_COLUMNS))
    verdicts = {case.case: case_verdict(result, case.case) for case in result.cases}
    figures = Plates(folder)
    page = folder / "index.html"
    page.write_text(render(result, verdicts, figures), encoding="utf-8")
    return page


def render(result: StudyResult, verdicts: Verdicts, figures: Plates) -> str:
    """The whole page."""
    body = "".join(
        [
            f"<h1>{escape(result.name)}</h1>\n",
            _title(result),
            headline(result, verdicts),
            verdict_section(result, verdicts),
            trouble_section(result),
            comparison_section(result, figures),
            interventions_section(result, verdicts, figures),
            curves_section(result, verdicts, figures),
            strips_section(result, figures),
            texts_section(result),
            snapshots_section(result, figures),
            downstream_section(result, verdicts, figures),
            modes_section(result, verdicts, figures),
            rule_section(verdicts),
            values_section(result),
            time_section(result),
            origin_section(result),
        ]
    )
    return document(result.name, body, scripts(figures.items))


def curves_section(result: StudyResult, verdicts: Verdicts, figures: Plates) -> str:
    """A row of panels per group; the metrics that do not fit one row are folded beneath it."""
    parts = []
    for group, cases in _groups(result.cases).items():
        names = [case.case for case in cases]
        metrics = [metric for metric in metrics_of(result, names) if not has_a_section(metric)]
        if not metrics:
            continue
        shown = main_metrics(result, names)
        parts.append(f"<h3>{escape(group)}</h3>\n{_curves(result, names, shown, verdicts, f'curves {group}', figures)}")
        rest = [metric for metric in metrics if metric not in shown]
        if rest:
            parts.append(fold("More metrics", _curves(result, names, rest, verdicts, f"more metrics {group}", figures)))
    note = f'<p class="soft">{escape(CURVES_CAPTION)}</p>\n'
    return f"<h2>Over the generations</h2>\n{''.join(parts)}{note}" if parts else ""


def _curves(
    result: StudyResult, cases: list[str], metrics: list[str], verdicts: Verdicts, name: str, figures: Plates
) -> str:
    still = curves_figure(result, cases, metrics, dict(verdicts))
    live = live_curves(result, cases, metrics, dict(verdicts))
    return figures.embed(still, name, live=live, data=["table.csv"])


def interventions_section(result: StudyResult, verdicts: Verdicts, figures: Plates) -> str:
    """What marks came to, what detectors flagged, what was let in: a row of panels per group."""
    parts = []
    for group, cases in _groups(result.cases).items():
        names = [case.case for case in cases]
        metrics = [metric for metric in metrics_of(result, names) if is_of_interventions(metric)]
        shown = [case for case in names if any(study_curves(result, case, metric) for metric in metrics)]
        if metrics:
            figure = _curves(result, shown, metrics, verdicts, f"interventions {group}", figures)
            parts.append(f"<h3>{escape(group)}</h3>\n{figure}")
    note = f'<p class="soft">{escape(INTERVENTIONS_NOTE)}</p>\n'
    return f"<h2>What the interventions did</h2>\n{note}{''.join(parts)}" if parts else ""


def _groups(cases: list[CaseInfo]) -> dict[str, list[CaseInfo]]:
    groups: dict[str, list[CaseInfo]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    return groups


def strips_section(result: StudyResult, figures: Plates) -> str:
    """Sample images of each trajectory, generation by generation; of each case one seed in sight, the others folded."""
    parts = [
        f"<div><h3>{escape(case.case)}</h3>\n{_case_strips(case, figures)}</div>\n"
        for case in result.cases
        if case.strips
    ]
    if not parts:
        return ""
    return f'<h2>Samples</h2>\n<p class="soft">{escape(STRIPS_NOTE)}</p>\n<div class="strips">{"".join(parts)}</div>\n'


def _case_strips(case: CaseInfo, figures: Plates) -> str:
    first, *others = [
        figures.embed(strip_figure(case, seed), f"samples {case.case} seed {seed}", f"seed {seed}")
        for seed in sorted(case.strips)
    ]
    return first + (fold(f"{len(others)} more seed{'s' if len(others) > 1 else ''}", "".join(others)) if others else "")


def _title(result: StudyResult) -> str:
    """The question that the study asks, if its config says."""
    title = result.identity.get("title")
    return f'<p class="soft">{escape(title)}</p>\n' if title else ""
