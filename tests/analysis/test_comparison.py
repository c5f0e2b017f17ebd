"""The comparison of interventions: paired by seed, honest about what cannot be told, nothing where none intervenes."""

import numpy as np
import pytest
from scipy import stats

from mad_ray.analysis.comparison import comparisons
from mad_ray.analysis.study import StudyResult
from mad_ray.report.comparison import COLUMNS, comparison_section
from mad_ray.report.plates import Plates
from tests.report.made_up_studies import info, study

SEEDS = range(6)
GOOD, BAD, NONE = -10.0, 12.0, 0.0


def made_up(noise: float = 0.5, shared: float = 40.0, n: int = 3) -> StudyResult:
    """Seeds differ by `shared`, cases by their effect, the rest is noise: pairing by seed takes `shared` out."""
    random = np.random.default_rng(0)
    of_seed = shared * random.standard_normal(len(SEEDS))
    rows = []
    for case, effect in (("plain", 0.0), ("helps", GOOD), ("hurts", BAD), ("idle", NONE)):
        for t in range(1, n + 1):
            for seed in SEEDS:
                noisy = noise * random.standard_normal()
                rows.append((case, "c", seed, t, "frechet", 1.0, 200 + of_seed[seed] + effect * (t == n) + noisy))
                rows.append((case, "c", seed, t, "precision", 1.0, 0.5 - 0.01 * effect + 0.001 * noisy))
    cases = [
        info("plain", len(SEEDS), n, n_real=100),
        info("helps", len(SEEDS), n, interventions=("watermark", "mark_detector"), n_real=300),
        info("hurts", len(SEEDS), n, interventions=("cherry_pick",), seconds={"fit": 455.4}),
        info("idle", len(SEEDS), n, interventions=("detector",)),
    ]
    return study(rows, [], cases)


def test_effects_are_told_where_their_interval_leaves_out_nought() -> None:
    (found,) = comparisons(made_up())
    assert [entry.case for entry in found.entries] == ["plain", "helps", "hurts", "idle"]
    assert found.generation == 3
    effects = {entry.case: [m.effect for m in entry.measures] for entry in found.entries[1:]}
    assert effects["helps"] == ["better", "better"], "a lower distance, a higher precision"
    assert effects["hurts"] == ["worse", "worse"]
    assert effects["idle"] == ["no clear difference", "no clear difference"]


def test_seeds_are_paired() -> None:
    """The difference's interval is that of the differences: what seeds share is not in it."""
    (found,) = comparisons(made_up())
    measure = found.entries[1].measures[0]
    table = made_up().table
    at = table[(table["metric"] == "frechet") & (table["generation"] == 3)].pivot_table(
        index="seed", columns="case", values="value"
    )
    d = (at["helps"] - at["plain"]).to_numpy()
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    assert (measure.difference.low, measure.difference.high) == pytest.approx((d.mean() - half, d.mean() + half))
    assert measure.difference.high - measure.difference.low < 3 < measure.value.high - measure.value.low


def test_false_discoveries_are_as_many_as_promised() -> None:
    """Without any effect one case in twenty is told better or worse: 80 studies, within the binomial interval."""
    n_told = 0
    for i in range(80):
        random = np.random.default_rng(i)
        rows = [
            (case, "c", seed, 1, "frechet", 1.0, 100 + random.standard_normal())
            for case in ("plain", "idle")
            for seed in SEEDS
        ]
        (found,) = comparisons(study(rows, [], [info("plain", 6, 1), info("idle", 6, 1, interventions=("detector",))]))
        n_told += found.entries[1].measures[0].effect != "no clear difference"
    low, high = stats.binom.interval(0.999, 80, 0.05)
    assert low <= n_told <= high


def test_one_seed_tells_nothing() -> None:
    rows = [(case, "c", 0, 1, "frechet", 1.0, v) for case, v in (("plain", 5.0), ("helps", 1.0))]
    (found,) = comparisons(study(rows, [], [info("plain", 1, 1), info("helps", 1, 1, interventions=("detector",))]))
    assert found.entries[1].measures[0].effect == "unknown"


def test_cost_is_time_over_the_baselines() -> None:
    (found,) = comparisons(made_up())
    assert found.entries[2].cost == pytest.approx(2.0, rel=1e-3)
    assert found.entries[1].n_real == 300


def test_a_case_that_has_not_got_there_is_compared_where_all_are() -> None:
    result = made_up()
    table = result.table[(result.table["case"] != "hurts") | (result.table["generation"] <= 2)]
    (found,) = comparisons(StudyResult(**{**vars(result), "table": table}))
    assert found.generation == 2
    assert abs(found.entries[1].measures[0].difference.centre) < 2, "its effect shows at generation 3 only"


def test_nothing_to_compare(tmp_path) -> None:
    result = made_up()
    plain = StudyResult(**{**vars(result), "cases": [info("plain", 6, 3), info("idle", 6, 3)]})
    assert comparisons(plain) == []
    assert comparison_section(plain, Plates(tmp_path)) == ""
    assert not list(tmp_path.iterdir())


def test_the_section_and_its_file(tmp_path) -> None:
    html = comparison_section(made_up(), Plates(tmp_path))
    assert "Interventions compared" in html
    assert "watermark, mark_detector" in html
    assert html.count("<small>better<") == 2
    assert "the baseline" in html
    lines = (tmp_path / "comparison.csv").read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert len(lines) == 1 + 4 * 2
    assert len(list(tmp_path.glob("*.png"))) == 1


def test_names_are_escaped(tmp_path) -> None:
    rows = [(case, "c", s, 1, "frechet", 1.0, s) for case in ("<b>", "$x_1$") for s in SEEDS]
    cases = [info("<b>", 6, 1), info("$x_1$", 6, 1, interventions=("<i>",))]
    html = comparison_section(study(rows, [], cases), Plates(tmp_path))
    assert "<b>" not in html.replace("<b></b>", "")
    assert "<i>" not in html
