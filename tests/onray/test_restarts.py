"""How many deaths in a row a trial survives. No Ray is started; the trial is Tune's own."""

from dataclasses import dataclass, field

import pytest
from ray.tune.experiment import Trial

from mad_ray.onray.restarts import IS_NEW, MOVES, SAVED_S, Restarts

RETRIES = 2


@dataclass
class Life:
    """A trial that reports and dies, judged as Tune judges it."""

    trial: Trial = field(default_factory=lambda: Trial("nothing", stub=True, max_failures=RETRIES))
    restarts: Restarts = field(default_factory=lambda: Restarts(RETRIES))

    def reports(self, **result: float) -> None:
        self.restarts.on_trial_result(0, [self.trial], self.trial, {"generation": 0, **result})

    def survives(self) -> bool:
        self.trial.run_metadata.num_failures += 1
        return self.trial.should_recover()


def test_deaths_without_a_step_further_are_bounded():
    life = Life()
    assert [life.survives() for _ in range(RETRIES + 1)] == [True] * RETRIES + [False]


def test_a_first_checkpoint_is_a_step_further():
    life = Life()
    assert life.survives()
    life.reports(**{SAVED_S: 10.0})
    assert [life.survives() for _ in range(RETRIES + 1)] == [True] * RETRIES + [False]


@pytest.mark.parametrize("further", [{IS_NEW: 1.0}, {SAVED_S: 20.0}], ids=["a commit", "a newer checkpoint"])
def test_a_step_further_grants_as_many_restarts_again(further):
    """A study that takes days loses more nodes than any bound would allow."""
    life = Life()
    life.reports(**{SAVED_S: 10.0})
    for _ in range(5):
        assert [life.survives() for _ in range(RETRIES)] == [True] * RETRIES
        life.reports(**{name: value * (1 + life.trial.num_failures) for name, value in further.items()})
    assert [life.survives() for _ in range(RETRIES + 1)] == [True] * RETRIES + [False]


@pytest.mark.parametrize(
    "same", [{IS_NEW: 0.0}, {SAVED_S: 10.0}, {SAVED_S: 0.0}], ids=["an old commit", "the same checkpoint", "none"]
)
def test_what_was_there_before_grants_nothing(same):
    life = Life()
    life.reports(**{SAVED_S: 10.0})
    for _ in range(RETRIES):
        assert life.survives()
        life.reports(**same)
    assert not life.survives()


def test_a_move_counts_for_nothing():
    life = Life()
    life.reports(**{SAVED_S: 10.0})
    for _ in range(5):
        life.reports(**{SAVED_S: 10.0, MOVES: 1.0})
        assert life.survives()
    assert [life.survives() for _ in range(RETRIES + 1)] == [True] * RETRIES + [False]
