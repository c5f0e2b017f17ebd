"""What every family promises: a model of plain arrays, and samples that are addressed, not drawn in turn.

That lambda narrows is in test_family_bias.py; that fits can be shared and killed, in test_family_fits.py.
"""

from dataclasses import MISSING, fields, is_dataclass

import numpy as np
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import canonical_json, identity
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.moments import Moments
from mad_ray.core.samples import NO_LABEL
from mad_ray.core.summary import Summary
from mad_ray.families import FAMILIES
from mad_ray.families.family import Model
from mad_ray.families.progress import Progress
from mad_ray.ledger.tensors import decode_tensors, encode_tensors
from mad_ray.metrics.measure import MODEL_NAMES
from tests.contracts.family_case import Case
from tests.contracts.fitting import CASES, KEYS, draw, fit, quick, same, same_arrays

LOOP = Loop(20, n_synthetic=20, bias=0.5)


def test_every_family_is_held_to_the_contract() -> None:
    assert CASES.keys() == FAMILIES.keys()
    assert all(isinstance(CASES[name].family, kind) for name, kind in FAMILIES.items())


@pytest.mark.parametrize("name", CASES)
class TestFamily:
    @pytest.fixture
    def case(self, name: str) -> Case:
        return CASES[name]

    @pytest.fixture
    def model(self, name: str) -> Model:
        return quick(name)

    def test_it_is_frozen_settings_with_an_identity(self, name: str, case: Case) -> None:
        assert is_dataclass(case.family)
        assert type(case.family).__dataclass_params__.frozen
        of = fields(case.family)
        always = {f.name: f.default for f in of if f.metadata.get("always")}
        needed = {f.name: getattr(case.family, f.name) for f in of if f.default is f.default_factory is MISSING}
        assert identity(type(case.family)(**needed)) == {"name": name, **always, **needed}, "defaults are left out"
        assert canonical_json(identity(case.family))
        assert hash(case.family) == hash(
            type(case.family)(**{f.name: getattr(case.family, f.name) for f in fields(case.family)})
        )
        assert case.family.max_cohort >= 1
        assert case.family.span >= 1
        assert case.family.chunk >= 1

    def test_a_fit_gives_plain_finite_arrays(self, case: Case, model: Model) -> None:
        assert all(isinstance(array, np.ndarray) for array in model.values())
        assert all(np.isfinite(array).all() for array in model.values())

    def test_a_fit_tells_its_progress(self, case: Case) -> None:
        told: list[float] = []
        fit(case, progress=Progress(told.append))
        assert told == sorted(told)
        assert told[-1] == 1.0
        assert all(0 <= share <= 1 for share in told)

    def test_same_keys_same_model(self, case: Case, model: Model) -> None:
        assert same_arrays(fit(case), model)

    def test_other_seeds_other_models(self, case: Case, model: Model) -> None:
        assert not same_arrays(fit(case, Keys((5,))), model)

    def test_models_survive_storage_bit_for_bit(self, case: Case, model: Model) -> None:
        stored = decode_tensors(encode_tensors(model))
        assert same_arrays(stored, dict(sorted(model.items())))
        assert same(draw(case, stored, 0, 9), draw(case, model, 0, 9))

    def test_samples_are_of_the_event(self, case: Case, model: Model) -> None:
        samples, event = draw(case, model, 0, 9), case.data.event
        assert samples.x.shape == (1, 9, *event.shape)
        assert samples.x.dtype == event.dtype
        assert np.isfinite(samples.x.astype(float)).all()
        assert (samples.label.shape, samples.label.dtype) == ((1, 9), np.int32)
        assert (samples.weight.shape, samples.weight.dtype) == ((1, 9), np.float32)
        of_classes = {*range(event.n_classes)}
        assert set(samples.label[0]) <= of_classes or set(samples.label[0]) == {NO_LABEL}

    @pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 5), (4, 8), (7, 17), (0, 0), (5, 5)])
    def test_any_split_gives_the_same_bytes(self, case: Case, model: Model, start: int, stop: int) -> None:
        assert same(draw(case, model, start, stop, 0.5), draw(case, model, 0, 20, 0.5).rows(start, stop))

    def test_same_keys_same_samples_and_other_keys_others(self, case: Case, model: Model) -> None:
        first = draw(case, model, 0, 9)
        assert same(first, draw(case, model, 0, 9))
        assert not same(first, draw(case, model, 0, 9, keys=Keys((5,))))
        later = case.family.sample(model, 0, 9, 1.0, KEYS.at("sample", 2))
        assert not same(first, later)

    def test_no_sample_is_another(self, case: Case, model: Model) -> None:
        if case.data.event.n_classes and case.data.event.dtype != "uint8":
            pytest.skip("symbols repeat")
        x = draw(case, model, 0, 20).x[0].reshape(20, -1)
        assert len(np.unique(x, axis=0)) == 20

    def test_bias_changes_samples(self, case: Case, model: Model) -> None:
        assert not np.array_equal(draw(case, model, 0, 9, 0.5).x, draw(case, model, 0, 9, 1.0).x)

    def test_sampling_changes_nothing(self, case: Case, model: Model) -> None:
        before = {name: array.copy() for name, array in model.items()}
        draw(case, model, 0, 9)
        assert same_arrays(model, before)

    def test_it_accepts_its_data(self, case: Case) -> None:
        case.family.check(case.data.event, LOOP, 0)

    def test_it_refuses_other_data_in_one_line(self, case: Case, name: str) -> None:
        for event in case.unfit:
            with pytest.raises(InvalidInput, match=f"family={name}") as caught:
                case.family.check(event, LOOP, 0)
            assert "\n" not in str(caught.value)


DRAWING = [name for name in CASES if hasattr(FAMILIES[name], "draws")]
MEASURING = [name for name in CASES if hasattr(FAMILIES[name], "measures")]


@pytest.mark.parametrize("name", DRAWING)
class TestFamilyThatDraws:
    """Summaries of samples without the samples; that both have the same law is each family's own test."""

    @pytest.fixture
    def case(self, name: str) -> Case:
        return CASES[name]

    def piece(self, case: Case, model: Model, start: int, stop: int, bias: float = 1.0, keys: Keys = KEYS) -> Summary:
        return case.family.draw(model, start, stop, bias, keys.at("sample", 1))

    def test_a_piece_is_addressed(self, case: Case) -> None:
        model = fit(case)
        first = self.piece(case, model, 0, 50)
        assert isinstance(first, case.family.summary)
        assert same_arrays(first.arrays(), self.piece(case, model, 0, 50).arrays())
        for other in (self.piece(case, model, 50, 100), self.piece(case, model, 0, 50, keys=Keys((5,)))):
            assert not same_arrays(first.arrays(), other.arrays())

    def test_a_piece_counts_its_samples(self, case: Case) -> None:
        model = fit(case)
        assert self.piece(case, model, 7, 57).n.tolist() == [50]
        whole = self.piece(case, model, 0, 30).merge(self.piece(case, model, 30, 100))
        assert whole.n.tolist() == [100]

    def test_pieces_are_independent(self, case: Case) -> None:
        """Two pieces agree with each other no more than chance has them: correlation of a number of each, 200 seeds."""
        keys = Keys(tuple(range(200)))
        model = {name: np.repeat(array, 200, axis=0) for name, array in fit(case).items()}
        one, other = (first_number(self.piece(case, model, *ends, keys=keys)) for ends in ((0, 40), (40, 80)))
        assert one.std() > 0
        assert abs(np.corrcoef(one, other)[0, 1]) * np.sqrt(200) < 4

    def test_a_row_of_a_cohort_is_that_trajectory_alone(self, case: Case) -> None:
        keys = Keys((3, 8, 1))
        model = fit(case, keys)
        together = self.piece(case, model, 0, 40, 0.5, keys).arrays()
        for b in range(3):
            alone = self.piece(case, fit(case, keys.row(b)), 0, 40, 0.5, keys.row(b)).arrays()
            assert same_arrays(alone, {name: array[b : b + 1] for name, array in together.items()})

    def test_a_summary_survives_storage(self, case: Case) -> None:
        drawn = self.piece(case, fit(case), 0, 40)
        stored = decode_tensors(encode_tensors(drawn.arrays()))
        assert same_arrays(type(drawn).from_arrays(stored).arrays(), drawn.arrays())


def first_number(summary: Summary) -> np.ndarray:
    """A number [B] of each trajectory."""
    return summary.mean[:, 0] if isinstance(summary, Moments) else summary.arrays()["counts"][:, 0].astype(float)


@pytest.mark.parametrize("name", MEASURING)
class TestFamilyThatMeasures:
    def test_its_measures_have_names_that_configs_know(self, name: str) -> None:
        assert set(FAMILIES[name].measures) <= set(MODEL_NAMES)
        assert len(set(FAMILIES[name].measures)) == len(FAMILIES[name].measures)

    def test_measures_are_finite_numbers_one_for_each_trajectory(self, name: str) -> None:
        case = CASES[name]
        keys = Keys((3, 8, 1) if case.family.max_cohort > 1 else (3,))
        model, law, names = fit(case, keys), case.data.law(), case.family.measures
        found = case.family.measure(model, law, names)
        assert tuple(found) == names
        assert all(values.shape == (len(keys.seeds),) and np.isfinite(values).all() for values in found.values())
        for b in range(len(keys.seeds)):
            alone = case.family.measure(fit(case, keys.row(b)), law, names)
            assert all(alone[key].tobytes() == found[key][b : b + 1].tobytes() for key in names)

    def test_only_what_is_asked_for_is_measured(self, name: str) -> None:
        case = CASES[name]
        model, law, last = fit(case), case.data.law(), case.family.measures[-1]
        assert list(case.family.measure(model, law, (last,))) == [last]


@pytest.mark.parametrize("name", [name for name in CASES if FAMILIES[name].max_cohort > 1])
def test_a_row_of_a_cohort_is_that_trajectory_alone(name: str) -> None:
    case, keys = CASES[name], Keys((3, 8, 1))
    model = fit(case, keys)
    samples = draw(case, model, 0, 30, 0.5, keys)
    for b in range(3):
        alone = fit(case, keys.row(b))
        assert same_arrays(alone, {name: array[b : b + 1] for name, array in model.items()})
        assert same(draw(case, alone, 0, 30, 0.5, keys.row(b)), samples.trajectory(b))
