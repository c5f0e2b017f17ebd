"""A search as Tune sees it: rounds one after the other, however many trials run at once. No Ray is started."""

from dataclasses import dataclass, field

import pytest
from ray.tune.search import Searcher

from mad_ray.core.errors import InvalidInput, MadError
from mad_ray.core.loop import fresh_data
from mad_ray.core.trajectory import Cohort
from mad_ray.data import GaussianData
from mad_ray.engine.rounds import Rounds
from mad_ray.families import Gaussian
from mad_ray.onray.search import RoundSearcher
from tests.engine.made_up import Remembering, study


def cohorts(n: int, family=None) -> list[Cohort]:
    loop = fresh_data(n_fresh=5, n_synthetic=5)
    return [study(GaussianData(d=2), family or Gaussian(), loop, 3, seeds=(i,)) for i in range(n)]


@dataclass
class Scripted:
    """Rounds known beforehand; an error among them is raised."""

    rounds: list[list[Cohort] | MadError]
    asked: int = field(default=0)

    def next(self) -> list[Cohort]:
        self.asked += 1
        found = self.rounds.pop(0) if self.rounds else []
        if isinstance(found, MadError):
            raise found
        return found


def searcher_of(max_concurrent: int, *rounds: list[Cohort] | MadError) -> tuple[RoundSearcher, Scripted]:
    scripted = Scripted(list(rounds))
    found: Rounds = scripted
    return RoundSearcher(found, max_concurrent), scripted


def suggested(searcher: RoundSearcher, trial: str) -> set[str]:
    config = searcher.suggest(trial)
    assert isinstance(config, dict)
    return {cohort.id for cohort in config["work"].pack}


@pytest.mark.parametrize("max_concurrent", [1, 2, 3])
def test_a_round_is_over_when_all_of_its_trials_are(max_concurrent: int) -> None:
    first, second = cohorts(6), cohorts(2, Gaussian(draws="rows"))
    searcher, scripted = searcher_of(max_concurrent, first, second)
    given = [suggested(searcher, str(i)) for i in range(max_concurrent)]
    assert set().union(*given) == {cohort.id for cohort in first}, "as many packs as run at once"
    assert sum(map(len, given)) == 6, "each once"
    for i in range(max_concurrent):
        assert searcher.suggest("later") is None, "the next round depends on what this one finds"
        assert scripted.asked == 1
        searcher.on_trial_complete(str(i))
    assert suggested(searcher, "a") <= {cohort.id for cohort in second}
    assert scripted.asked == 2


def test_the_cohorts_of_a_pack_that_was_given_up_are_tried_one_by_one_before_the_next_round() -> None:
    first, second = cohorts(3), cohorts(1, Gaussian(draws="rows"))
    searcher, scripted = searcher_of(1, first, second)
    assert len(suggested(searcher, "a")) == 3
    searcher.on_trial_complete("a", error=True)
    found = []
    for trial in "bcd":
        found += suggested(searcher, trial)
        searcher.on_trial_complete(trial, error=True)
    assert found == [cohort.id for cohort in first], "each once: who fails alone is not tried again"
    assert scripted.asked == 1
    assert suggested(searcher, "e") == {cohort.id for cohort in second}


def test_the_search_ends_when_nothing_is_asked_for() -> None:
    searcher, _ = searcher_of(1, cohorts(1))
    suggested(searcher, "a")
    searcher.on_trial_complete("a")
    assert searcher.suggest("b") == Searcher.FINISHED
    assert searcher.error is None
    assert [len(pack) for pack in searcher.suggested] == [1]


def test_dear_cohorts_have_a_trial_each() -> None:
    searcher, _ = searcher_of(2, cohorts(3, Remembering()))
    assert [len(suggested(searcher, str(i))) for i in range(3)] == [1, 1, 1]
    assert searcher.suggest("more") is None


def test_an_error_of_the_search_ends_it_and_is_kept() -> None:
    """The driver tells it in one line; Tune would bury it."""
    wrong = InvalidInput("the rounds disagree")
    searcher, _ = searcher_of(1, cohorts(1), wrong)
    suggested(searcher, "a")
    searcher.on_trial_complete("a")
    assert searcher.suggest("b") == Searcher.FINISHED
    assert searcher.error is wrong


def test_a_trials_folder_has_a_short_name() -> None:
    searcher, _ = searcher_of(1, cohorts(40))
    config = searcher.suggest("a")
    assert isinstance(config, dict)
    assert str(config["work"]) == "40-cohorts"
