"""Laws of the training loop: addressed order, schedules, averages, and bits that do not depend on the workers."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from mad_ray.core.errors import InvalidInput, Preempted, TrajectoryFailed
from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments, rows_to_moments
from mad_ray.core.samples import Event, Samples
from mad_ray.families import kept, neural
from mad_ray.families.ddpm import DDPM
from mad_ray.families.gradients import step_gradients
from mad_ray.families.neural import Phase, Recipe, ema_weight, initialised, one_cycle, train
from mad_ray.families.optimisers import Training, update_average
from mad_ray.families.progress import Progress, State
from mad_ray.families.rows import Rows, generator_of
from mad_ray.families.team import share_of, workers

KEYS = Keys((7,)).at("fit", 1)
RECIPE = Recipe(n_steps=12, batch_size=8, learning_rate=1e-2, weight_decay=0.0, ema_decay=0.9, micro_batches=4)


class Vectors:
    """A stream of float vectors in memory."""

    def __init__(self, x: np.ndarray, weight: np.ndarray | None = None) -> None:
        self.samples = Samples.of(x[None], np.arange(len(x))[None], None if weight is None else weight[None])
        self.event = Event(x.shape[1:], "float32")
        self.n = len(x)

    def batches(self, size: int) -> Iterator[Samples]:
        for start in range(0, self.n, size):
            yield self.samples.rows(start, min(self.n, start + size))

    def moments(self) -> Moments:
        return rows_to_moments(self.samples.x, self.samples.weight)


def vectors(n: int = 21) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, 3)).astype(np.float32)


def denoising_loss(module: nn.Module, x: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return nn.functional.mse_loss(module(x + torch.randn(x.shape, generator=generator)), x)


def small_net(keys: Keys = KEYS) -> nn.Module:
    return initialised(lambda: nn.Sequential(nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 3)), keys.seed(0, "init"))


def bytes_of(module: nn.Module) -> bytes:
    return b"".join(array.tobytes() for array in neural.module_to_arrays(module).values())


def trained(recipe: Recipe = RECIPE, stream: Vectors | None = None, keys: Keys = KEYS) -> bytes:
    """All weights after training, as bytes."""
    net = small_net(keys)
    train([Phase(net, denoising_loss)], net, Rows.of(stream or Vectors(vectors())), recipe, keys, Progress())
    return bytes_of(net)


class Rivals(nn.Module):
    """A network, and how far the statistics of its rival have come: what adaptive augmentation does."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(3, 3)
        self.register_buffer("seen", torch.zeros(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) * (1 + self.seen[0])


def rivals(keys: Keys = KEYS) -> tuple[nn.Module, nn.Module, list[Phase]]:
    """Two networks against each other, a lazy phase, a repeated one, and statistics that change later losses."""
    maker = initialised(Rivals, keys.seed(0, "maker"))
    judge = initialised(lambda: nn.Linear(3, 1), keys.seed(0, "judge"))

    def judging(module: nn.Module, x: torch.Tensor, label: torch.Tensor, generator: torch.Generator):
        made = maker(torch.randn(x.shape, generator=generator))
        score = module(x)
        return (module(made) - score).mean(), torch.stack([score.sign().mean(), score.mean()])

    def making(module: nn.Module, x: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return -judge(module(torch.randn(x.shape, generator=generator))).mean()

    def seen(statistics: torch.Tensor) -> None:
        maker.seen.lerp_(statistics, 0.1)

    def penalty(module: nn.Module, x: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return module(x).square().mean()

    phases = [
        Phase(judge, judging, ("judge",), repeats=2, betas=(0.0, 0.9), schedule="constant", after=seen),
        Phase(judge, penalty, ("penalty",), every=3),
        Phase(maker, making, ("maker",), betas=(0.0, 0.9), schedule="constant"),
    ]
    return maker, judge, phases


def both_trained(recipe: Recipe = RECIPE, progress: Progress | None = None) -> bytes:
    maker, judge, phases = rivals()
    train(phases, maker, Rows.of(Vectors(vectors())), recipe, KEYS, progress or Progress())
    return bytes_of(maker) + bytes_of(judge)


def test_training_is_a_function_of_its_keys():
    torch.manual_seed(0)
    first = trained()
    torch.manual_seed(1)
    assert trained() == first
    assert trained(keys=Keys((8,)).at("fit", 1)) != first


def test_global_random_state_is_left_alone():
    np.random.seed(0)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    trained()
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)


class Images(Vectors):
    """Random labelled images in memory."""

    def __init__(self) -> None:
        super().__init__(np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8), np.uint8))
        self.event = Event((1, 8, 8), "uint8", 12)


def fitted() -> bytes:
    """A whole family's model, convolutions and all, as bytes."""
    family = DDPM(channels=(8, 16), n_steps=4, batch_size=8, micro_batches=4)
    return b"".join(array.tobytes() for array in family.fit(Images(), KEYS, Progress()).values())


def worker(rank: int, n_workers: int, port: int, folder: str, work: Callable[[int], bytes]) -> None:
    """One of a group that somebody else set up, as a Ray Train worker finds it; what it comes to lies in the folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("RANK", rank),
            ("LOCAL_RANK", rank),
            ("WORLD_SIZE", n_workers),
            ("LOCAL_WORLD_SIZE", n_workers),
        ):
            patch.setenv(name, str(value))
        patch.setenv("MASTER_ADDR", "127.0.0.1")
        patch.setenv("MASTER_PORT", str(port))
        torch.set_num_threads(1)
        torch.distributed.init_process_group("gloo")
        try:
            Path(folder, str(rank)).write_bytes(work(rank))
        finally:
            torch.distributed.destroy_process_group()


def everything(rank: int = 0) -> bytes:
    return trained() + both_trained() + fitted()


def of_workers(n_workers: int, folder: Path, work: Callable[[int], bytes]) -> list[bytes]:
    """What each of a group of processes comes to."""
    folder.mkdir(exist_ok=True)
    torch.multiprocessing.spawn(worker, (n_workers, free_port(), str(folder), work), nprocs=n_workers)
    return [(folder / str(rank)).read_bytes() for rank in range(n_workers)]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.mark.parametrize("n_workers", [2, 3])
def test_several_workers_give_the_bits_of_one(n_workers, one_thread, tmp_path):
    """A step has four parts: two workers share them evenly, three do not."""
    assert RECIPE.micro_batches == 4
    assert of_workers(n_workers, tmp_path, everything) == [everything()] * n_workers


def test_a_group_before_or_after_leaves_a_plain_fit_alone(tmp_path):
    alone = everything()
    worker(0, 1, free_port(), str(tmp_path), everything)
    assert (tmp_path / "0").read_bytes() == alone == everything()


@pytest.mark.parametrize("n_workers", range(1, 8))
def test_every_part_has_one_worker_and_all_have_some(n_workers):
    shares = [share_of(rank, n_workers, 7) for rank in range(n_workers)]
    assert [m for share in shares for m in share] == list(range(7))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert min(map(len, shares)) >= 1


def test_workers_leave_the_thread_count_alone():
    n_threads = torch.get_num_threads()
    with workers() as team:
        assert (team.num_processes, team.process_index) == (1, 0)
        assert torch.get_num_threads() == n_threads


def test_a_worker_without_a_share_is_refused(monkeypatch):
    class Five:
        num_processes = 5

    class Context:
        def __enter__(self) -> Five:
            return Five()

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(neural, "workers", Context)
    with pytest.raises(InvalidInput, match=r"run\.workers=5 needs family\.micro_batches of 5 or more \(found 4\)"):
        trained()


def test_micro_batches_average_to_the_whole_batch():
    """Parts draw their own noise, so compare a loss without any."""

    def loss(module: nn.Module, x: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return nn.functional.mse_loss(module(x), x)

    grads = []
    for n in (1, 4):
        net = initialised(lambda: nn.Linear(3, 3), 0)
        recipe = RECIPE
        with workers() as team:
            rows = Rows.of(Vectors(vectors()))
            step_gradients(
                Phase(net, loss),
                list(net.parameters()),
                rows,
                KEYS,
                5,
                team,
                batch_size=recipe.batch_size,
                micro_batches=n,
            )
        grads.append(net.weight.grad)
    # Two orders of summing 8 float32 rows.
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-6)


def test_every_epoch_visits_every_row_once():
    rows, n = Rows.of(Vectors(vectors(10))), 10
    taken = torch.cat([rows.order(first, 4, KEYS, generator_of(KEYS, "step", first)) for first in range(0, 40, 4)])
    epochs = taken.view(4, n)
    assert all(sorted(epoch.tolist()) == list(range(n)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()


def test_the_order_does_not_depend_on_how_it_is_cut():
    rows = Rows.of(Vectors(vectors(10)))
    whole = rows.order(3, 30, KEYS, generator_of(KEYS))
    assert torch.equal(
        torch.cat([rows.order(3, 11, KEYS, generator_of(KEYS)), rows.order(14, 19, KEYS, generator_of(KEYS))]), whole
    )


def test_rows_of_weight_zero_change_no_bit():
    x = vectors(12)
    garbage = np.concatenate([np.full((2, 3), np.nan, np.float32), x[:7], np.full((5, 3), 1e9, np.float32), x[7:]])
    weight = np.array([0, 0, *[2] * 7, *[0] * 5, *[2] * 5], np.float32)
    recipe = replace(RECIPE, micro_batches=1)
    assert trained(recipe, Vectors(garbage, weight)) == trained(recipe, Vectors(x))


def test_unequal_weights_are_drawn_in_proportion():
    weight = np.array([1, 0, 2, 5], np.float32)
    rows, n = Rows.of(Vectors(vectors(4), weight)), 80_000
    counts = torch.bincount(rows.order(0, n, KEYS, generator_of(KEYS)), minlength=3).numpy()
    expected = np.array([1, 2, 5]) / 8 * n
    # 4.5 standard deviations of a binomial count.
    assert np.all(np.abs(counts - expected) < 4.5 * np.sqrt(expected * (1 - expected / n)))


def test_no_weight_at_all_is_said():
    with pytest.raises(TrajectoryFailed, match="5 rows, none of positive weight"):
        Rows.of(Vectors(vectors(5), np.zeros(5, np.float32)))


def test_divergence_is_said():
    with pytest.raises(TrajectoryFailed, match=r"family\.learning_rate=0\.01: training diverged"):
        trained(stream=Vectors(np.full((9, 3), np.nan, np.float32)))


def test_one_cycle_rises_to_its_peak_and_falls_to_zero():
    rates = [one_cycle(s, 100) for s in range(100)]
    assert rates[9] == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0 < rates[-1] < 1e-3
    assert all(one_cycle(s, n) > 0 for n in (1, 2, 3) for s in range(n))


def test_average_follows_its_formula_and_keeps_constants():
    values = [torch.full((3,), float(v)) for v in (1.0, 4.0, -2.0)]
    average, expected = [torch.zeros(3)], 0.0
    for s, value in enumerate(values):
        keep = ema_weight(s, 0.15)
        assert keep == min(0.15, (1 + s) / (10 + s))
        update_average(average, [nn.Parameter(value)], keep)
        expected = keep * expected + (1 - keep) * float(value[0])
    torch.testing.assert_close(average[0], torch.full((3,), expected))
    constant = [torch.full((3,), 0.7)]
    update_average(constant, [nn.Parameter(torch.full((3,), 0.7))], 0.995)
    assert torch.equal(constant[0], torch.full((3,), 0.7))


def test_progress_ends_at_one_and_is_told_about_a_hundred_times():
    told: list[float] = []
    recipe = replace(RECIPE, n_steps=250, micro_batches=1)
    net = initialised(lambda: nn.Linear(3, 3), 0)
    train([Phase(net, denoising_loss)], net, Rows.of(Vectors(vectors())), recipe, KEYS, Progress(told.append))
    assert told[-1] == 1.0
    assert told == sorted(told)
    assert 50 <= len(told) <= 200


def test_kept_modules_are_few_and_follow_their_arrays():
    models = [neural.module_to_arrays(initialised(lambda: nn.Linear(2, 2), seed)) for seed in range(kept.N_KEPT + 2)]
    nets = [kept.kept_module(model, "test", lambda: nn.Linear(2, 2)) for model in models]
    assert len(kept._KEPT) <= kept.N_KEPT
    assert kept.kept_module({k: v.copy() for k, v in models[-1].items()}, "test", lambda: nn.Linear(2, 2)) is nets[-1]
    models[-1]["net.bias"][:] = 3.0
    assert kept.kept_module(models[-1], "test", lambda: nn.Linear(2, 2)).bias.tolist() == [3.0, 3.0]


class InMemory:
    """Checkpoints of a process that lives on, after every third step; the fit dies after the seventh."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.saved: list[int] = []

    def load(self) -> State | None:
        return self.state

    def is_due(self, n_done: int) -> bool:
        return n_done % 3 == 0

    def save(self, n_done: int, state: State) -> None:
        self.saved.append(n_done)
        self.state = {name: array.copy() for name, array in state.items()}


class Killed(Exception):
    pass


def test_a_fit_that_goes_on_ends_with_the_bytes_of_one_that_was_never_killed():
    undisturbed, kept_states = both_trained(), InMemory()
    told: list[float] = []

    def die(share: float) -> None:
        if share > 0.55:
            raise Killed

    with pytest.raises(Killed):
        both_trained(progress=Progress(die, kept_states))
    assert kept_states.saved == [3, 6]
    assert both_trained(progress=Progress(told.append, kept_states)) == undisturbed
    assert told[0] == 7 / 12, "steps that were saved are not repeated"
    assert kept_states.saved == [3, 6, 9], "what is finished needs no checkpoint"


def test_a_fit_that_is_to_stop_saves_at_once_and_gives_up():
    kept_states, undisturbed = InMemory(), both_trained()
    steps = iter(range(100))
    stopping = lambda: next(steps) == 4  # noqa: E731
    with pytest.raises(Preempted, match="5 steps of the fit are saved"):
        both_trained(progress=Progress(checkpoints=kept_states, stopping=stopping))
    assert kept_states.saved == [3, 5], "whatever the rule says"
    assert both_trained(progress=Progress(checkpoints=kept_states)) == undisturbed


def test_a_fit_that_can_save_nothing_does_not_stop():
    assert both_trained(progress=Progress(stopping=lambda: True)) == both_trained()


@dataclass
class OnDisk:
    """Checkpoints that several processes see."""

    path: str

    def load(self) -> State | None:
        return load_file(self.path) if Path(self.path).exists() else None

    def is_due(self, n_done: int) -> bool:
        return False

    def save(self, n_done: int, state: State) -> None:
        save_file(dict(state), self.path)


@dataclass
class StoppedBeforeStep:
    """What a worker does whose rank alone is told of an end, at its own step; the others are never told."""

    path: str
    rank: int
    step: int

    def __call__(self, rank: int) -> bytes:
        asked = count(1)
        stopping = lambda: next(asked) == self.step and rank == self.rank  # noqa: E731
        try:
            return both_trained(progress=Progress(checkpoints=OnDisk(self.path), stopping=stopping))
        except Preempted as error:
            return str(error).encode()


def test_all_workers_stop_at_the_step_at_which_one_is_told(one_thread, tmp_path):
    """Then another number of them goes on from there, to the bits of one that was never told."""
    path = str(tmp_path / "state")
    (told,) = set(of_workers(3, tmp_path / "three", StoppedBeforeStep(path, rank=2, step=4)))
    assert b"4 steps of the fit are saved" in told
    assert load_file(path)["n_done"] == 4
    assert of_workers(2, tmp_path / "two", StoppedBeforeStep(path, rank=9, step=0)) == [both_trained()] * 2


def test_saving_on_the_way_changes_no_bit():
    assert both_trained(progress=Progress(checkpoints=InMemory())) == both_trained()


def test_a_phase_trains_its_own_module_alone():
    maker, judge, phases = rivals()
    before = bytes_of(maker)
    with workers() as team:
        training = Training(phases, maker, 1e-2, 0.0)
        training.only(judge)
        step_gradients(
            phases[0],
            training.trained(phases[0]),
            Rows.of(Vectors(vectors())),
            KEYS,
            0,
            team,
            batch_size=8,
            micro_batches=2,
        )
        training.step(phases[0], 1.0)
    assert all(p.grad is None for p in maker.parameters())
    assert bytes_of(maker) == before
    assert judge.weight.grad.abs().sum() > 0
    training.only(None)
    assert all(p.requires_grad for module in (maker, judge) for p in module.parameters())


def test_phases_take_turns():
    judge, penalty, maker = rivals()[2]
    assert [list(judge.turns(s)) for s in range(3)] == [[0, 1], [2, 3], [4, 5]]
    assert [list(penalty.turns(s)) for s in range(7)] == [[0], [], [], [1], [], [], [2]]
    assert [list(maker.turns(s)) for s in range(3)] == [[0], [1], [2]]


def test_statistics_are_of_the_whole_batch():
    told = []
    for n in (1, 4):
        judge = rivals()[1]
        with workers() as team:
            rows = Rows.of(Vectors(vectors()))

            def loss(module, x, label, generator):
                return module(x).mean(), x.mean(0)

            told.append(
                step_gradients(
                    Phase(judge, loss), list(judge.parameters()), rows, KEYS, 2, team, batch_size=8, micro_batches=n
                )
            )
    torch.testing.assert_close(told[0], told[1])


def test_phases_of_one_module_share_an_optimiser():
    maker, judge, phases = rivals()
    assert Training(phases, maker, 1e-2, 0.0).modules == [judge, maker]
