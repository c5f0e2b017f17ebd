"""A cloud's notice is heard once it is there, and not before. No Ray is started."""

import threading
import time

import pytest

from mad_ray.cli import main
from mad_ray.core.errors import InvalidInput, MadError
from mad_ray.onray.notice import AwsNotice, GcpNotice, drain, wait_for_notice
from tests.onray.metadata import metadata_service


def test_ec2_says_when_the_machine_ends():
    with metadata_service() as machine:
        notice = AwsNotice(machine.url)
        assert notice.end_s() is None
        machine.give_notice(120)
        assert machine.end_s is not None
        assert notice.end_s() == pytest.approx(machine.end_s, abs=1), "its clock tells whole seconds"
        assert len(machine.tokens) == 1, "one token serves for many questions"


def test_a_token_that_has_run_out_is_renewed():
    with metadata_service() as machine:
        notice = AwsNotice(machine.url)
        assert notice.end_s() is None
        machine.forget_tokens()
        assert notice.end_s() is None
        assert "token" not in repr(notice)


def test_compute_engine_gives_half_a_minute():
    with metadata_service() as machine:
        notice = GcpNotice(machine.url)
        assert notice.end_s() is None
        machine.give_notice(30)
        assert notice.end_s() == pytest.approx(time.time() + 30, abs=5)


@pytest.mark.parametrize("kind", [AwsNotice, GcpNotice])
def test_a_notice_is_waited_for(kind):
    with metadata_service() as machine:
        found: list[float] = []
        waiting = threading.Thread(target=lambda: found.append(wait_for_notice(kind(machine.url), 0.01)))
        waiting.start()
        while machine.asked < 3:
            time.sleep(0.01)
        assert not found
        machine.give_notice(60)
        waiting.join(timeout=30)
        assert found


def test_a_service_that_stumbles_is_asked_again():
    class Stumbling:
        url = "http://stumbles"
        answers = [None, OSError("reset"), ValueError("not text"), 17.0]  # noqa: RUF012

        def end_s(self):
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    assert wait_for_notice(Stumbling(), 0.0) == 17.0


def test_a_machine_of_another_cloud_is_told_so():
    with pytest.raises(InvalidInput, match=r"no metadata service answers at http://127.0.0.1:9 .*--metadata-url"):
        wait_for_notice(AwsNotice("http://127.0.0.1:9"), 1.0)


def test_without_a_cluster_there_is_nothing_to_drain():
    with pytest.raises(MadError, match=r"no Ray cluster answers at .*:9"):
        drain(time.time(), "127.0.0.1:9", "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "give either --cloud aws or --cloud gcp, to wait for its notice, or --now"),
        (("--now", "--cloud", "aws"), "give either --cloud"),
        (("--now", "--deadline-s", "-1"), "--deadline-s=-1: give seconds"),
        (("--cloud", "aws", "--every-s", "0"), "--every-s=0 "),
        (("--cloud", "azure"), "invalid choice: 'azure'"),
    ],
)
def test_a_bad_command_line_is_one_line(words, line, capsys):
    assert main(["drain-on-notice", *words]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
