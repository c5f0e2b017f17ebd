"""The short form of the faults on Ray: one of each kind of process, at a random moment."""

from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.studies import LAB


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_killed_on_ray_at_random_moments_it_ends_the_same(tmp_path: Path) -> None:
    campaign = Campaign({**LAB, "n_generations": 5}, tmp_path, seed=1)
    plan = ["sampler", "trial", "driver", "sampler"]
    found = list(campaign.run(plan))
    assert [outcome.kind for outcome in found] == plan
    assert [(outcome.differences, outcome.lost) for outcome in found] == [((), ())] * len(plan)
    assert all(outcome.generations <= 1 for outcome in found)
