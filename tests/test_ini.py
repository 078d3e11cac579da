"""etc/videod.ini says the truth: every setting once, with its default and its prose, and works as it lies there."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon import ROOT
from videod.config import ENVIRONMENTS, Preset, Recorder, Settings, Source, Storage, Web, load
from videod.config.options import options

INI = ROOT / "etc" / "videod.ini"
OPTION = re.compile(r"# ([a-z_]+) =(?: (.*))?")
# where the commented settings of a class begin, and where they end
BLOCKS = {
    Settings: ("[DEFAULT]", "[dev]"),
    Preset: ("# [preset small]", "# ===="),
    Storage: ("# [storage s3]", "# ===="),
    Source: ("# [source videos.example.org]", "# ===="),
    Recorder: ("# [recorder yard]", "# ===="),
    Web: ("# [web]", "# ===="),
}


def block(section: type) -> str:
    begin, end = BLOCKS[section]
    text = INI.read_text().partition(f"\n{begin}\n")[2]
    return text.partition(f"\n{end}")[0]


def named(section: type) -> list[tuple[str, str]]:
    found = map(OPTION.fullmatch, block(section).splitlines())
    return [(match[1], match[2] or "") for match in found if match]


@pytest.mark.parametrize("section", BLOCKS, ids=lambda s: s.__name__)
def test_every_setting_once_in_order_with_its_default(section: type) -> None:
    assert named(section) == [(key, option.default) for key, option in options(section).items()]


@pytest.mark.parametrize("section", BLOCKS, ids=lambda s: s.__name__)
def test_every_setting_has_its_prose(section: type) -> None:
    declared = options(section)
    for paragraph in block(section).split("\n\n"):
        lines = paragraph.splitlines()
        keys = [match[1] for match in map(OPTION.fullmatch, lines) if match]
        prose = " ".join(line for line in lines if not OPTION.fullmatch(line))
        if not keys:
            continue
        assert len(prose) > 15, keys
        # all of a paragraph's keys are live or none
        assert {declared[key].live for key in keys} == {bool(re.search(r"\bLive\.", prose))}, keys


def uncommented(tmp_path: Path) -> Path:
    made = tmp_path / "all.ini"
    commented = re.compile(r"^# (?=\[[a-z]+ |\[watch\]|\[web\]|[a-z_]+ =( |$))", re.MULTILINE)
    made.write_text(commented.sub("", INI.read_text()))
    return made


def facts(settings: Settings) -> dict[str, object]:
    made = dataclasses.asdict(settings)
    for name in ("file", "presets", "storage", "sources", "recorders"):
        del made[name]
    return made


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_uncommenting_everything_changes_nothing(tmp_path: Path, env: str) -> None:
    whole = load(str(uncommented(tmp_path))).settings(env)
    assert facts(whole) == facts(load(str(INI)).settings(env))
    assert set(whole.presets) == {"default", "html5", "classic", "hls", "small"}
    assert set(whole.storage) == {"s3"} and set(whole.sources) == {"videos.example.org"}
    assert set(whole.recorders) == {"yard"}


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_as_it_lies_there_it_sets_what_it_says(tmp_path: Path, env: str) -> None:
    empty = tmp_path / "empty.ini"
    empty.write_text("")
    ours, bare = facts(load(str(INI)).settings(env)), facts(load(str(empty)).settings(env))
    changed = {key for key in ours if ours[key] != bare[key]}
    assert changed == ({"log_level"} if env == "dev" else set())


def python_of_all() -> bool:
    """Whether the user nobody may run our Python and read the checkout."""
    run = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", "import redis, videod"]
    return subprocess.run(run, capture_output=True, cwd=ROOT).returncode == 0


@pytest.mark.skipif(os.geteuid() == 0 and not python_of_all(), reason="nobody may not run this Python")
def test_start_local_at_once_without_root(tmp_path: Path) -> None:
    """From a checkout, by an ordinary user, with nothing set up: a Redis of its own, a job, a stop."""
    state = Path(f"/tmp/videod-local-{os.getpid()}")  # short: it is part of a socket's path
    state.mkdir(mode=0o777)
    state.chmod(0o777)
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    environ = {**os.environ, "XDG_STATE_HOME": str(state), "HOME": str(state)}

    def videod(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [*drop, sys.executable, "-P", "-m", "videod", *argv]
        return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60)

    try:
        done = videod("start", "local")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
        pushed = videod("push", "--wait", '{"id": "one", "kind": "sleep"}')
        assert pushed.returncode == 0, pushed
        assert list((state / "videod/local").glob("redis*/redis.sock"))
    finally:
        assert videod("stop", "local").returncode == 0
        shutil.rmtree(state)
