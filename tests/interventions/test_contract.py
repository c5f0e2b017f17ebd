"""What every intervention has to keep, on every kind of data that it takes."""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from mad_ray.config.blocks import make_interventions
from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Samples, concatenate
from mad_ray.data.analytic import GaussianData
from mad_ray.data.digits import Digits
from mad_ray.data.language import Language
from mad_ray.data.zipf import Zipf
from mad_ray.interventions import INTERVENTIONS
from mad_ray.interventions.intervention import Admits, Chooses, Detects, Dice, Extrapolates, Marks, Observes
from mad_ray.ledger.tensors import decode_tensors, encode_tensors
from tests.interventions.lessons import SmallLesson

LOOP = Loop(300, n_synthetic=300)
N = 300


@dataclass(frozen=True)
class Kind:
    """A kind of data: its source, its trajectories, and what earlier models made of it, as of x [B, n, *event]."""

    source: Any
    seeds: tuple[int, ...]
    spoilt: Callable[[np.ndarray], np.ndarray]


KINDS = {
    "digits": Kind(Digits(), (3, 4), lambda x: (x // 64 * 64).astype(np.uint8)),
    "gaussian": Kind(GaussianData(d=5, condition=4), (3, 4, 5), lambda x: 1 + x / 2),
    "zipf": Kind(Zipf(n_symbols=30), (3, 4, 5), lambda x: np.minimum(x, 14.0)),
    "language": Kind(Language(n_words=16, length=12), (3, 4), lambda x: np.minimum(x, 11).astype(np.int32)),
}


@dataclass(frozen=True)
class Case:
    """Settings by which an intervention does something, and by which it does nothing."""

    settings: Mapping[str, Any]
    identity: Mapping[str, Any]
    beside: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Kind of data -> other interventions of the study that it needs."""


MARK = {"watermark": {"n_real": 200}}
CASES = {
    "detector": [Case({}, {"flagged_weight": 1.0})],
    "weight_extrapolation": [Case({}, {"w": 0.0})],
    "negative_guidance": [Case({}, {"w": 0.0})],
    "learnt_detector": [
        Case({"n_real": 120, "n_synthetic": 100, "n_steps": 30, "false_alarm": 0.1}, {"flagged_weight": 1.0})
    ],
    "reweight_density": [Case({"n_fit": 150}, {"strength": 0.0})],
    "reweight_classes": [Case({}, {"strength": 0.0}), Case({"strength": 0.5}, {"max_ratio": 1.0})],
    "reweight_importance": [Case({"n_real": 200}, {"strength": 0.0})],
    "cherry_pick": [
        Case({"by": "likelihood", "n_real": 200}, {"share": 1.0}),
        Case({"by": "nearest_real", "n_real": 100}, {"share": 1.0}),
        Case({"by": "confidence", "n_real": 200, "n_steps": 50}, {"share": 1.0}),
    ],
    "self_correction": [Case({"n_real": 100, "n_centres": 5}, {"gamma": 0.0})],
    "watermark": [
        Case({"n_real": 200}, {"strength": 0.0}),
        Case({"n_real": 200, "key": "rotating"}, {"strength": 0.0}),
    ],
    "token_mark": [Case({"n_real": 200}, {"delta": 0.0})],
    "mark_detector": [
        Case(
            {"n_real": 200, "false_alarm": 0.1},
            {"flagged_weight": 1.0},
            {"digits": MARK, "gaussian": MARK, "language": {"token_mark": {"n_real": 200}}},
        )
    ],
}


@dataclass(frozen=True)
class Made:
    """An intervention with its data, and what it has learnt of them."""

    one: Any
    lesson: SmallLesson
    state: Mapping[str, np.ndarray]
    samples: Samples


def rows_of(kind: Kind) -> tuple[Samples, Samples]:
    """(D^t, of which the second half is spoilt and weights differ, some 0; what is known to be synthetic)."""
    real = kind.source.rows(0, 2 * N, Keys(kind.seeds).at("real"))
    x = np.concatenate([real.x[:, : N // 2], kind.spoilt(real.x[:, N // 2 : N])], axis=1)
    weight = np.random.default_rng(0).choice([0.0, 0.5, 1.0, 2.0], x.shape[:2]).astype(np.float32)
    return Samples.of(x, real.label[:, :N], weight), Samples.of(kind.spoilt(real.x[:, N:]), real.label[:, N:])


def built(name: str, case: Case, kind: str, settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """All interventions of the study, the one in question last."""
    others = {key: dict(rest) for key, rest in case.beside.get(kind, {}).items()}
    return make_interventions({**others, name: {**case.settings, **settings}}, "study.interventions")


def learnt(one: Any, lesson: SmallLesson) -> Mapping[str, np.ndarray]:
    learn = getattr(one, "learn_once", None) or getattr(one, "learn", None)
    return learn(lesson) if learn else {}


@cache
def made(name: str, i: int, kind: str, is_identity: bool = False) -> Made:
    case, data = CASES[name][i], KINDS[kind]
    others = built(name, case, kind, case.identity if is_identity else {})
    samples, known = rows_of(data)
    lesson = SmallLesson(data.source, samples, known, data.seeds, 3, others)
    return Made(others[-1], lesson, learnt(others[-1], lesson), samples)


def acts(one: Any, samples: Samples, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Whatever it does to rows or says of them, [B, n, ...] each."""
    found = {}
    if isinstance(one, Marks) and hasattr(one, "publish"):
        after = one.publish(samples, 3, state)
        found |= {"published x": after.x, "published label": after.label, "published weight": after.weight}
    if isinstance(one, Chooses):
        found["score"] = one.score(samples, state)
    if isinstance(one, Observes):
        found |= one.observe(samples, 3, state)
    if isinstance(one, Admits):
        after = one.admit(samples, state)
        found |= {"admitted x": after.x, "admitted label": after.label, "admitted weight": after.weight}
    if isinstance(one, Detects):
        found["flag"] = one.flag(samples, state)
    return found


def takes(name: str, case: Case, kind: str) -> bool:
    """Whether it takes such data."""
    others = built(name, case, kind, {})
    try:
        others[-1].check(KINDS[kind].source.event, LOOP, others)
    except InvalidInput:
        return False
    return True


EVERY = [
    (name, i, kind)
    for name, cases in CASES.items()
    if name in INTERVENTIONS
    for i in range(len(cases))
    for kind in KINDS
]
PLACES = [place for place in EVERY if takes(place[0], CASES[place[0]][place[1]], place[2])]
everywhere = pytest.mark.parametrize(("name", "i", "kind"), PLACES)


def equal(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """To the byte."""
    assert found.keys() == expected.keys()
    for key in found:
        assert found[key].dtype == expected[key].dtype, key
        assert found[key].shape == expected[key].shape, key
        assert found[key].tobytes() == expected[key].tobytes(), key


def picked(samples: Samples, rows: np.ndarray) -> Samples:
    return Samples(samples.x[:, rows], samples.label[:, rows], samples.weight[:, rows])


def test_every_intervention_has_a_case() -> None:
    assert CASES.keys() == INTERVENTIONS.keys()


def test_every_case_takes_some_data() -> None:
    assert {place[:2] for place in PLACES} == {(name, i) for name, cases in CASES.items() for i in range(len(cases))}


@pytest.mark.parametrize(("name", "i", "kind"), [place for place in EVERY if place not in PLACES])
def test_data_that_it_cannot_take_is_refused_in_one_line(name: str, i: int, kind: str) -> None:
    others = built(name, CASES[name][i], kind, {})
    with pytest.raises(InvalidInput, match=rf"^interventions\.{name}[^\n]*$"):
        others[-1].check(KINDS[kind].source.event, LOOP, others)


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_settings(name: str) -> None:
    kind = INTERVENTIONS[name]
    assert kind.name == name
    assert is_dataclass(kind)
    (one,) = make_interventions({name: {}}, "study.interventions")
    assert pickle.loads(pickle.dumps(one)) == one
    assert not one.is_identity, "its defaults do something"
    assert isinstance(one, (Marks, Chooses, Observes, Admits, Dice, Extrapolates))
    assert isinstance(one.n_real, int)
    assert one.n_real >= 0
    with pytest.raises(InvalidInput, match=r"^study\.interventions\.mine\.strenght: unknown key"):
        make_interventions({"mine": {"name": name, "strenght": 1}}, "study.interventions")
    for setting in fields(kind):
        with pytest.raises(InvalidInput, match=rf"^study\.interventions\.{name}\.{setting.name}="):
            make_interventions({name: {setting.name: []}}, "study.interventions")


@everywhere
def test_by_identity_settings_no_byte_changes(name: str, i: int, kind: str) -> None:
    of = made(name, i, kind, is_identity=True)
    assert of.one.is_identity
    found = acts(of.one, of.samples, of.state)
    for what in ("x", "label", "weight"):
        for how in ("published", "admitted"):
            if f"{how} {what}" in found:
                after, before = found[f"{how} {what}"], getattr(of.samples, what)
                assert after.dtype == before.dtype
                assert after.tobytes() == before.tobytes()


@everywhere
def test_otherwise_something_changes(name: str, i: int, kind: str) -> None:
    """So that the other tests are not about nothing."""
    of = made(name, i, kind)
    assert not of.one.is_identity
    found = acts(of.one, of.samples, of.state)
    if "published x" in found:
        assert found["published x"].tobytes() != of.samples.x.tobytes()
    if "admitted weight" in found:
        assert found["admitted weight"].tobytes() != of.samples.weight.tobytes()
    if "flag" in found:
        assert 0 < found["flag"].mean() < 1
    if "score" in found:
        assert np.ptp(found["score"]) > 0


@everywhere
def test_rows_alone_and_in_any_order(name: str, i: int, kind: str) -> None:
    of = made(name, i, kind)
    together = acts(of.one, of.samples, of.state)
    cuts = [0, 1, 8, 264, N]
    parts = [acts(of.one, of.samples.rows(a, b), of.state) for a, b in pairwise(cuts)]
    equal({key: np.concatenate([part[key] for part in parts], axis=1) for key in together}, together)
    order = np.random.default_rng(1).permutation(N)
    shuffled = acts(of.one, picked(of.samples, order), of.state)
    equal(shuffled, {key: value[:, order] for key, value in together.items()})
    twice = acts(of.one, concatenate([of.samples, of.samples]), of.state)
    equal(twice, {key: np.concatenate([value, value], axis=1) for key, value in together.items()})


@everywhere
def test_no_row_at_all(name: str, i: int, kind: str) -> None:
    of = made(name, i, kind)
    for key, value in acts(of.one, of.samples.rows(0, 0), of.state).items():
        assert value.shape[:2] == (of.samples.n_trajectories, 0), key


@everywhere
def test_a_trajectory_alone(name: str, i: int, kind: str) -> None:
    """What is learnt and done for one of a cohort is what it would be without the others."""
    of = made(name, i, kind)
    together = acts(of.one, of.samples, of.state)
    for b in range(of.samples.n_trajectories):
        state = learnt(of.one, of.lesson.trajectory(b))
        alone = acts(of.one, of.samples.trajectory(b), state)
        equal(alone, {key: value[b : b + 1] for key, value in together.items()})


@everywhere
def test_shapes_stay(name: str, i: int, kind: str) -> None:
    of = made(name, i, kind)
    shape = of.samples.x.shape[:2]
    for key, value in acts(of.one, of.samples, of.state).items():
        if key.endswith(" x"):
            assert value.shape == of.samples.x.shape
            assert value.dtype == of.samples.x.dtype
            assert value.dtype.kind != "f" or np.isfinite(value).all()
        elif key.endswith(" label"):
            assert value.tobytes() == of.samples.label.tobytes()
        elif key.endswith(" weight"):
            assert value.shape == shape
            assert value.dtype == np.float32
            assert np.isfinite(value).all()
            assert (value >= 0).all()
            assert (value[of.samples.weight == 0] == 0).all()
        elif key == "flag":
            assert value.shape == shape
            assert value.dtype == bool
        else:
            assert value.shape == shape
            assert np.isfinite(value.astype(np.float64)).all()


@everywhere
def test_marks_and_gates_change_only_what_is_theirs(name: str, i: int, kind: str) -> None:
    of = made(name, i, kind)
    found = acts(of.one, of.samples, of.state)
    if "published weight" in found:
        assert found["published weight"].tobytes() == of.samples.weight.tobytes()
    if "admitted x" in found:
        assert found["admitted x"].tobytes() == of.samples.x.tobytes()


@everywhere
def test_what_was_given_is_left_alone(name: str, i: int, kind: str) -> None:
    """Samples and states may be read-only, and are the same afterwards."""
    of = made(name, i, kind)
    samples = Samples(*(array.copy() for array in (of.samples.x, of.samples.label, of.samples.weight)))
    for array in (samples.x, samples.label, samples.weight):
        array.flags.writeable = False
    equal(acts(of.one, samples, of.state), acts(of.one, of.samples, of.state))


@everywhere
def test_states_are_plain_arrays(name: str, i: int, kind: str) -> None:
    """Through a file and back they do the same; and they are learnt to the same bytes again."""
    of = made(name, i, kind)
    read = decode_tensors(encode_tensors(of.state))
    equal(read, dict(sorted(of.state.items())))
    equal(acts(of.one, of.samples, read), acts(of.one, of.samples, of.state))
    again = learnt(of.one, of.lesson)
    equal(again, of.state)


@pytest.mark.parametrize(("name", "i", "kind"), [place for place in PLACES if place[0].startswith("reweight_")])
def test_re_weighting_keeps_the_sum_of_the_weights(name: str, i: int, kind: str) -> None:
    of = made(name, i, kind)
    after = of.one.admit(of.samples, of.state).weight.sum(axis=1, dtype=np.float64)
    assert np.allclose(after, of.samples.weight.sum(axis=1, dtype=np.float64), rtol=1e-5)
