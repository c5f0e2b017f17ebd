"""Children of a process that has everything imported: starting one takes milliseconds."""

import importlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path


def forked(act: Callable[[], None], errors: Path) -> int:
    """Run it in a child; how the child ended: 0, or minus the signal. What it says when it fails goes to `errors`.

    The caller must not have computed anything with torch, whose threads no child would have.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.stdout = io.StringIO()
            act()
            code = 0
        except BaseException:
            errors.write_text(traceback.format_exc())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def was_killed(code: int) -> bool:
    return code == -signal.SIGKILL


def import_all(names: Iterable[str]) -> None:
    """What a child had to import, so that the next ones need not."""
    for name in names:
        with suppress(Exception):
            importlib.import_module(name)


def in_parts(act: Callable[[int], None], n_parts: int) -> None:
    """act(0), act(1), ... each in a process of its own, at the same time. RuntimeError if one fails."""
    sys.stdout.flush()
    children = []
    for i in range(n_parts):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                act(i)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(codes):
        raise RuntimeError(f"workers ended with {codes}")
