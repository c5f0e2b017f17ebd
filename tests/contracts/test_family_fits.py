"""What every family promises of its fits: workers share one, a killed one goes on, and the bytes are the same."""

import socket
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from mad_ray.families.family import Model
from mad_ray.families.progress import Progress, State
from mad_ray.ledger.tensors import decode_tensors, encode_tensors
from mad_ray.steady import one_thread
from tests.contracts.family_case import Case
from tests.contracts.fitting import CASES, SHARED, fit, quick, same_arrays


class Killed(BaseException):
    """A fit's process is gone."""


@dataclass
class InMemory:
    """Checkpoints after every step, as bytes."""

    saved: list[tuple[int, bytes]] = field(default_factory=list)

    def load(self) -> State | None:
        return decode_tensors(self.saved[-1][1]) if self.saved else None

    def is_due(self, n_done: int) -> bool:
        return True

    def save(self, n_done: int, state: State) -> None:
        self.saved.append((n_done, encode_tensors(dict(state))))


@dataclass
class Killer:
    """Told shares; kills the fit at the first of at least one half that is not the end, if there is one."""

    told: list[float] = field(default_factory=list)

    def __call__(self, share: float) -> None:
        self.told.append(share)
        if 0.5 <= share < 1:
            raise Killed


@pytest.mark.parametrize("name", SHARED)
def test_a_killed_fit_goes_on_where_it_was_and_ends_with_the_same_bytes(name: str) -> None:
    case, kept, killer = CASES[name], InMemory(), Killer()
    whole: list[float] = []
    assert same_arrays(fit(case, progress=Progress(whole.append, InMemory())), quick(name)), "checkpoints change no bit"
    with pytest.raises(Killed):
        fit(case, progress=Progress(killer, kept))
    rest: list[float] = []
    model = fit(case, progress=Progress(rest.append, kept))
    assert same_arrays(model, quick(name))
    assert killer.told + rest == whole, "no step twice, none left out"
    assert [n for n, _ in kept.saved] == list(range(1, kept.saved[-1][0] + 1))


@pytest.mark.parametrize("name", [name for name in CASES if name not in SHARED])
def test_a_fit_that_was_killed_leaves_nothing_for_the_next(name: str) -> None:
    def kill(share: float) -> None:
        raise Killed

    kept = InMemory()
    with pytest.raises(Killed):
        fit(CASES[name], progress=Progress(kill, kept))
    assert same_arrays(fit(CASES[name], progress=Progress(checkpoints=kept)), quick(name))


def halved(case: Case) -> Case:
    """The case, its batches in two parts: one for each worker."""
    return replace(case, family=replace(case.family, micro_batches=2))


def work(rank: int, n_workers: int, port: int, folder: str) -> None:
    """One of a group that somebody else set up, as a Ray Train worker finds it; fits one family after another."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": n_workers, "LOCAL_WORLD_SIZE": n_workers}
    with pytest.MonkeyPatch.context() as patch, one_thread():
        for name, value in (names | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}).items():
            patch.setenv(name, str(value))
        torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=60))
        try:
            for name in SHARED:
                _write(Path(folder, f"{name}-{rank}"), halved(CASES[name]))
        finally:
            torch.distributed.destroy_process_group()


def _write(path: Path, case: Case) -> None:
    """The model, or why there is none: the other families are still to be tried."""
    try:
        path.with_suffix(".model").write_bytes(encode_tensors(fit(case)))
    except Exception as error:
        path.with_suffix(".error").write_text(repr(error))


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the models that each of two workers ended with; one group for all families: it costs seconds."""
    folder = tmp_path_factory.mktemp("two-workers")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(work, (2, port, str(folder)), nprocs=2)
    return folder


@pytest.mark.parametrize("name", SHARED)
def test_two_workers_train_the_model_of_one(name: str, of_two: Path) -> None:
    assert not [path.read_text() for path in of_two.glob(f"{name}-*.error")]
    with one_thread():
        alone: Model = fit(halved(CASES[name]))
    for rank in (0, 1):
        together = decode_tensors(Path(of_two, f"{name}-{rank}.model").read_bytes())
        assert same_arrays(together, dict(sorted(alone.items())))
