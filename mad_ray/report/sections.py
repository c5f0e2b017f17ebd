"""The page's sections: what was found, how sure it is, and where it came from. Each returns HTML, or "" for nothing."""

import json
from collections import Counter
from collections.abc import Mapping
from html import escape

import numpy as np

from mad_ray.analysis.curves import Curves, metrics_of, study_curves
from mad_ray.analysis.limits import Interval, mean_interval, seed_band
from mad_ray.analysis.names import label
from mad_ray.analysis.phase import PhaseResult
from mad_ray.analysis.study import CaseInfo, StudyResult
from mad_ray.analysis.trend import spread
from mad_ray.analysis.verdict import Direction, Verdict
from mad_ray.analysis.wording import count, number
from mad_ray.report.markup import facts, fold, paragraphs, table
from mad_ray.report.screen import short_verdict

ARROW = " → "
MAX_TABLE_ROWS = 40
KINDS = {"MAD": "gone MAD", "settled": "settled", "stable": "stable", "undecided": "undecided"}

VERDICT_HEAD = (
    ("case", ""),
    ("verdict", ""),
    ("distance, first → last", ' class="number"'),
    ("precision", ' class="number"'),
    ("recall", ' class="number"'),
    ("generations", ' class="number"'),
)

Verdicts = Mapping[str, Verdict]


def headline(result: StudyResult, verdicts: Verdicts) -> str:
    """ "5 cases: 2 gone MAD, 1 settled, 2 undecided; 1 failed; 1 not finished."."""
    kinds = Counter(verdict.kind for verdict in verdicts.values())
    found = ", ".join(f"{kinds[kind]} {words}" for kind, words in KINDS.items() if kinds[kind]) or "no case yet"
    n_failed = sum(case.failure is not None for case in result.cases)
    n_open = sum(_is_open(case) and case.failure is None for case in result.cases)
    rest = (f"; {n_failed} failed" if n_failed else "") + (f"; {n_open} not finished" if n_open else "")
    text = f"{count(len(result.cases), 'case')}: {found}{rest}."
    return f'<p class="lead">{escape(text)}</p>\n'


def verdict_section(result: StudyResult, verdicts: Verdicts) -> str:
    """The table at the very top: a line of numbers per case, and the verdict in words beneath it."""
    head = "".join(f"<th{kind}>{text}</th>" for text, kind in VERDICT_HEAD)
    body = "".join(_verdict_rows(result, verdicts[case.case], case) for case in result.cases)
    return f'<div class="verdicts"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>\n'


def _verdict_rows(result: StudyResult, verdict: Verdict, case: CaseInfo) -> str:
    numbers = (
        _distance(result, verdict, case.case),
        _direction(verdict.quality, "precision"),
        _direction(verdict.diversity, "recall"),
        _progress(case),
    )
    return (
        f'<tr class="top"><td class="case">{escape(case.case)}<small>{escape(case.description)}</small></td>'
        f'<td><span class="badge {verdict.kind}">{escape(short_verdict(verdict))}</span></td>'
        + "".join(f'<td class="number">{cell}</td>' for cell in numbers)
        + f'</tr>\n<tr class="words"><td colspan="6">{escape(verdict.sentence)} '
        f'<span class="soft">{escape(verdict.confidence)}</span></td></tr>\n'
    )


def _distance(result: StudyResult, verdict: Verdict, case: str) -> str:
    curves = study_curves(result, case, verdict.metric)
    if curves is None:
        return "–"
    floor = "no floor" if np.isnan(verdict.floor) else f"floor {number(verdict.floor)}"
    ends = f"{number(verdict.first)}{ARROW}{number(verdict.last)}"
    spread_words = _band(seed_band(curves.shared().values[:, -1]))
    return f"{escape(ends)}<small>{escape(label(verdict.metric))}, {floor}</small>{spread_words}"


def _band(band: Interval) -> str:
    """Of the last generation: the median's interval, or the seeds' range where they are too few for one."""
    if not band.is_known:
        return ""
    what = "last: seeds" if band.level < 0.95 else f"last: {band.level:.0%}"
    return f"<small>{what} {number(band.low)} … {number(band.high)}</small>"


def _direction(direction: Direction | None, usual: str) -> str:
    if direction is None:
        return "–"
    name = "" if direction.metric == usual else f"{label(direction.metric)}, "
    ends = f"{number(direction.first)}{ARROW}{number(direction.last)}"
    return f"{escape(ends)}<small>{escape(name + direction.kind)}</small>"


def _is_open(case: CaseInfo) -> bool:
    return case.n_done < case.n_generations * case.n_seeds


def _progress(case: CaseInfo) -> str:
    total = case.n_generations * case.n_seeds
    seeds = f"<small>{count(case.n_seeds, 'seed')}</small>"
    if case.failure:
        return f'<span class="failed">failed</span><small>after {case.n_done:,} of {total:,}</small>'
    if _is_open(case):
        return f'<span class="part">{case.n_done:,} of {total:,}</span>{seeds}'
    return f"{case.n_generations:,}{seeds}"


def trouble_section(result: StudyResult) -> str:
    """Failures with their reasons, and cases that are not finished, said plainly."""
    lines = []
    for case in result.cases:
        total = case.n_generations * case.n_seeds
        done = f"{case.n_done:,} of {total:,} generations so far, over {count(case.n_seeds, 'seed')}"
        name = f"<b>{escape(case.case)}</b>, {done}"
        if case.failure:
            lines.append(f'<li>{name}. <span class="failed">Failed</span>: {escape(case.failure)}</li>\n')
        elif _is_open(case):
            lines.append(f"<li>{name}. The same command goes on from here.</li>\n")
    return f"<h2>Failed or not finished</h2>\n<ul>\n{''.join(lines)}</ul>\n" if lines else ""


def rule_section(verdicts: Verdicts) -> str:
    """The rule that the verdicts applied."""
    rules = dict.fromkeys(verdict.rule for verdict in verdicts.values())
    text = "".join(f'<div class="rule">{paragraphs(rule)}</div>\n' for rule in rules)
    return f"<h2>The rule behind the verdicts</h2>\n{text}" if text else ""


def values_section(result: StudyResult) -> str:
    """Every value per generation, a folded table per case."""
    folds = [fold(case.case, _values_table(result, case.case)) for case in result.cases]
    note = (
        "Mean over seeds, with its 95 % interval (Student's t) and the median where there are two seeds or more. "
        "All values of all seeds are in table.csv."
    )
    return f'<h2>All values</h2>\n<p class="soft">{escape(note)}</p>\n{"".join(folds)}'


def _values_table(result: StudyResult, case: str) -> str:
    found = [
        curves for metric in metrics_of(result, [case]) if (curves := study_curves(result, case, metric)) is not None
    ]
    if not found:
        return "<p>No generation has been measured yet.</p>"
    generations = np.unique(np.concatenate([curves.generations for curves in found]))
    shown = generations[spread(len(generations), MAX_TABLE_ROWS)]
    columns = [curves.select(shown) for curves in found]
    rows = [[f"{t}", *(_value(curves.values[:, i]) for curves in columns)] for i, t in enumerate(shown)]
    if any(np.isfinite(curves.floor) for curves in columns):
        rows.append(["real against real", *(number(curves.floor) for curves in columns)])
    return table(["generation", *(_heading(curves) for curves in columns)], rows)


def _heading(curves: Curves) -> str:
    biased = "" if np.isnan(curves.bias) or curves.bias == 1 else f" (lambda = {curves.bias:g})"
    return label(curves.metric) + biased


def _value(values: np.ndarray) -> str:
    mean = mean_interval(values)
    if not mean.is_known:
        return number(mean.centre)
    median = number(float(np.nanmedian(values)))
    return f"{number(mean.centre)} [{number(mean.low)}, {number(mean.high)}]<small>median {median}</small>"


def time_section(result: StudyResult) -> str:
    """Seconds per stage and case."""
    stages = list(dict.fromkeys(stage for case in result.cases for stage in case.seconds))
    if not stages:
        return ""
    rows = [
        [
            escape(case.case),
            *(duration(case.seconds.get(stage)) for stage in stages),
            duration(sum(case.seconds.values())),
        ]
        for case in result.cases
    ]
    return f"<h2>Time spent</h2>\n{table(['case', *stages, 'total'], rows)}\n"


def duration(seconds: float | None) -> str:
    """ "0.4 s", "38 s", "12 min 5 s", "3 h 20 min"."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 3600:
        return "{} min {} s".format(*divmod(round(seconds), 60))
    return "{:,} h {} min".format(*divmod(round(seconds / 60), 60))


def origin_section(result: StudyResult | PhaseResult) -> str:
    """What identifies the study, and what computed it."""
    identity = json.dumps(result.identity, indent=2, sort_keys=True, default=str, ensure_ascii=False)
    origin = fold("Versions, devices, totals", facts(result.provenance)) if result.provenance else ""
    return f"<h2>Where this comes from</h2>\n{fold('Study identity', f'<pre>{escape(identity)}</pre>')}{origin}"
