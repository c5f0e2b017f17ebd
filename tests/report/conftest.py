"""Fixtures of the report's tests."""

import pytest

from mad_ray.analysis.study import StudyResult
from tests.report.made_up_studies import digits_study


@pytest.fixture
def digits() -> StudyResult:
    return digits_study()
