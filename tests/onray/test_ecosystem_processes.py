"""Two members that feed on each other, and their pool: through Ray as in one process."""

from typing import Any

from tests.onray.processes import Study

PING_PONG: dict[str, Any] = {
    "name": "ping-pong",
    "n_generations": 3,
    "seeds": 2,
    "data": {"name": "gaussian", "d": 2},
    "family": {"name": "lab"},
    "loop": {"n_initial": 100, "n_synthetic": 100},
    "metrics": {"n": 200, "names": ["frechet"]},
    # Labels beyond ASCII reach Ray's metrics too.
    "cases": {"both": {"ecosystem": {"members": {"A": {"eats": {"B": 1}}, "B": {"eats": {"A": 1}, "lag": 2}}}}},
}


def test_members_meet_through_ray_as_in_one_process(tmp_path):
    here = Study(tmp_path / "here", PING_PONG, sets=("run.runtime=local",))
    there = Study(tmp_path / "there", PING_PONG)
    for study in (here, there):
        done = study.run()
        assert done.returncode == 0, done.stdout + done.stderr
        assert "both · B" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr
    assert there.digests() == here.digests()
    # Two members and a pool, of two seeds each: the lab's family fits one at a time.
    assert [len(of) for of in there.digests().values()] == [3] * 6
