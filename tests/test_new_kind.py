"""The kind of docs/new-kind.md, as it stands there, through the real daemon."""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import ROOT, Daemon, accounted, final, push
from tests.media_fixtures import Studio

PAGE = (ROOT / "docs/new-kind.md").read_text()


def block(head: str) -> str:
    found = re.search(rf"```{head}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder as pip would leave it: the module, and the entry point that names it."""
    folder = tmp_path / "site"
    about = folder / "still-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "still.py").write_text(block("python kind"))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: still\nVersion: 1.0\n")
    cfg = configparser.ConfigParser()
    cfg.read_string(block("ini entry"))
    points = "\n".join(line for line in cfg["options.entry_points"]["videod.kinds"].splitlines() if line)
    (about / "entry_points.txt").write_text(f"[videod.kinds]\n{points}\n")
    return folder


def test_it_runs(daemon: Daemon, r, studio: Studio, installed: Path) -> None:
    source = studio.film("mp4").path
    daemon.start({"PYTHONPATH": f"{installed}:{os.environ['PYTHONPATH']}"}, allow_paths=studio.folder)
    push(r, {"id": "a", "kind": "still", "url": str(source), "at": "0:02.4"})
    (output,) = final(r, "a", 30)["outputs"]
    path = Path(output["url"].removeprefix("file://"))
    assert path.name == "a-1.jpg" and videos.numbers(path) == [60]
    push(r, {"id": "b", "kind": "still", "url": str(source), "at": 60})
    assert final(r, "b", 30)["error"]["code"] == "out_of_range"
    push(r, {"id": "c", "kind": "still", "url": str(source), "at": "soon"})
    error = final(r, "c", 30)["error"]
    assert error["code"] == "bad_message" and error["message"].startswith("at")
    accounted(r, ["a", "b", "c"])
