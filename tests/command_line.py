"""Commands in this process, as a user types them."""

import pytest

from mad_ray.cli import main


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command, in this process."""
    capsys.readouterr()
    code = main(argv)
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line on stderr of a command that exits with 2."""
    code, _, err = call(capsys, *argv)
    assert code == 2
    assert err.startswith("mad-ray: ")
    assert err.count("\n") == 1, err
    return err
