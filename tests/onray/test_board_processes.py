"""The board is disposable: without it the screen misses some lines, and nothing else happens."""

import pytest

from tests.onray.processes import Study
from tests.onray.studies import SLOW


@pytest.mark.slow
def test_a_board_that_dies_is_there_again_and_nothing_waits_for_it(uninterrupted, tmp_path):
    study = Study(tmp_path, SLOW)
    driver = study.start()
    try:
        driver.until("a commit", lambda: study.keys("/ledger/"))
        (board,) = driver.descendants("ray::Board")
        board.kill()
        driver.until("another board", lambda: [b for b in driver.descendants("ray::Board") if b.pid != board.pid])
        assert driver.wait() == 0, study.screen
    finally:
        driver.stop()
    assert study.digests() == uninterrupted(SLOW)
    assert "FAILED" not in study.screen
