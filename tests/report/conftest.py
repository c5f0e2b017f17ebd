"""Fixtures of the report's tests."""

import pytest
from made_up_studies import digits_study

from mad_ray.analysis.study import StudyResult


@pytest.fixture
def digits() -> StudyResult:
    return digits_study()
