"""Long tables become arrays of seeds by generations."""

import numpy as np
import pandas as pd

from mad_ray.analysis.curves import Curves, first_curves, metrics_of, study_curves
from mad_ray.analysis.study import FLOOR_COLUMNS, TABLE_COLUMNS, StudyResult


def study(rows: list, floors: tuple = ()) -> StudyResult:
    table = pd.DataFrame(rows, columns=list(TABLE_COLUMNS))
    return StudyResult("s", {}, table, pd.DataFrame(list(floors), columns=list(FLOOR_COLUMNS)), [], {})


def test_rows_may_come_in_any_order_and_have_gaps():
    result = study(
        [
            ("a", "c", 1, 3, "frechet", 1.0, 13.0),
            ("a", "c", 0, 1, "frechet", 1.0, 1.0),
            ("a", "c", 1, 1, "frechet", 1.0, 11.0),
            ("b", "d", 0, 1, "frechet", 1.0, 99.0),
        ],
        [("a", "frechet", 0.5)],
    )
    curves = study_curves(result, "a", "frechet")
    assert curves.generations.tolist() == [1, 3]
    assert np.array_equal(curves.values, [[1, np.nan], [11, 13]], equal_nan=True)
    assert curves.floor == 0.5


def test_the_published_bias_is_the_smallest():
    rows = [("a", "c", 0, t, "recall", bias, t * bias) for t in (1, 2) for bias in (1.0, 0.5)]
    curves = study_curves(study(rows), "a", "recall")
    assert curves.bias == 0.5
    assert curves.values.tolist() == [[0.5, 1.0]]


def test_equal_seeds_of_two_cohorts_stay_apart():
    rows = [("a", cohort, 0, 1, "recall", 1.0, value) for cohort, value in (("c", 1.0), ("d", 2.0))]
    assert study_curves(study(rows), "a", "recall").n_seeds == 2


def test_what_was_not_measured_is_none():
    result = study([("a", "c", 0, 1, "kernel", 1.0, float("nan"))])
    assert study_curves(result, "a", "kernel") is None
    assert study_curves(result, "nobody", "kernel") is None
    assert study_curves(study([]), "a", "kernel") is None
    assert first_curves(result, "a", ("frechet", "kernel")) is None


def test_metrics_come_in_reading_order():
    rows = [("a", "c", 0, 1, metric, 1.0, 1.0) for metric in ("zeta", "recall", "alpha", "frechet")]
    assert metrics_of(study(rows), ["a"]) == ["frechet", "recall", "alpha", "zeta"]


def test_select_puts_nan_where_nothing_was_measured():
    curves = Curves("recall", np.array([1, 5, 9]), np.array([[1.0, 5.0, 9.0]]))
    assert np.array_equal(curves.select(np.array([5, 6])).values, [[5, np.nan]], equal_nan=True)
