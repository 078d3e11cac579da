"""A minute of chaos; `make soak` runs it for longer."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.daemon import ROOT


@pytest.mark.long
def test_a_minute_of_chaos() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--minutes", "1", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all promises kept" in done.stdout
