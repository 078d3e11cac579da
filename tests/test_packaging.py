"""Wheel and sdist hold what they must and work in an empty environment; pins and packages cover what is used."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import ROOT
from videod import __version__
from videod.boot import TOOLS

CLEAN = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def tracked() -> set[str]:
    """What git knows of; the test is for a checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name for name in done.stdout.split("\n") if name and (ROOT / name).exists()}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the checkout, built: nobody else's files are touched."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"
    for name in sorted(tracked()):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, env=CLEAN)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    yield folder
    shutil.rmtree(folder)


def test_wheel_holds_the_package_whole(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    assert wheel.name == f"videod-{__version__}-py3-none-any.whl"
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {name for name in tracked() if name.startswith("videod/")}
    assert wanted - held == set()
    assert {name.partition("/")[0] for name in held} == {"videod", f"videod-{__version__}.dist-info"}
    assert "videod/py.typed" in held and "videod/jobqueue/scripts/finish.lua" in held


def test_sdist_holds_all_of_the_checkout(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        held = {member.name.partition("/")[2] for member in tar if member.isfile()}
        modes = {member.name.partition("/")[2]: member.mode for member in tar}
    left_out = {name for name in tracked() - held if not name.startswith((".git", ".ci/"))}
    assert left_out == set()
    assert modes["bin/videod"] & 0o111 and modes["init/videod.init"] & 0o111


def installed(folder: Path, what: str) -> Path:
    venv.create(folder, with_pip=True, symlinks=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", what]
    done = subprocess.run(pip, capture_output=True, text=True, env=CLEAN)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def check_command(bin_folder: Path, tmp_path: Path) -> None:
    def videod(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [bin_folder / "videod", *argv]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=CLEAN, timeout=60)

    assert videod("--version").stdout == f"videod {__version__}\n"
    ini = tmp_path / "v.ini"
    paths = f"state_dir={tmp_path}/s\npid_file={tmp_path}/s/pid\ndebug_log={tmp_path}/s/log\n"
    ini.write_text(f"[local]\nredis = embedded\nmin_free = 0\nallow_paths = {tmp_path}\n{paths}")
    assert videod("-c", str(ini), "start", "local").returncode == 0
    try:
        # the scripts in Lua came along, or nothing could be claimed
        done = videod("-c", str(ini), "push", "--wait", f"{tmp_path}/nowhere.mp4")
        assert "not_found" in done.stderr, done
    finally:
        assert videod("-c", str(ini), "stop", "local").returncode == 0


def test_wheel_works_in_an_empty_environment(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    check_command(installed(tmp_path / "venv", str(wheel)), tmp_path)


@pytest.mark.long
def test_sdist_works_in_an_empty_environment(dist: Path, tmp_path: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    check_command(installed(tmp_path / "venv", f"{archive}[s3]"), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("redis", ["redis>=5,<6", "redis>=6,<7", "redis>=7,<8"])
def test_works_with_older_clients(dist: Path, tmp_path: Path, redis: str) -> None:
    (wheel,) = dist.glob("*.whl")
    bin_folder = installed(tmp_path / "venv", str(wheel))
    pip = [bin_folder / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", redis]
    assert subprocess.run(pip, env=CLEAN).returncode == 0
    check_command(bin_folder, tmp_path)


# ------------------------------------------------------------- what is named where
def pins(file: str) -> dict[str, str]:
    """{name: version} of a requirements file, without those for another Python."""
    markers = pytest.importorskip("packaging.requirements")
    found = {}
    for line in (ROOT / file).read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text and not text.startswith("-"):
            need = markers.Requirement(text)
            (pin,) = need.specifier
            assert pin.operator == "==", text
            if need.marker is None or need.marker.evaluate():
                found[plain(need.name)] = pin.version
    return found


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt", "requirements-build.txt"])
def test_what_runs_here_is_what_is_pinned(file: str) -> None:
    if Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("not in the .venv of make")
    for name, version in pins(file).items():
        assert importlib.metadata.version(name) == version, name


def test_pins_are_complete() -> None:
    """Whatever a pinned library needs on this Python is pinned too: nothing comes in by chance."""
    markers = pytest.importorskip("packaging.requirements")
    run = pins("requirements.txt")
    every = {**run, **pins("requirements-build.txt"), **pins("requirements-dev.txt")}
    for known, names in ((run, run), (every, every)):
        for name in names:
            for text in importlib.metadata.requires(name) or []:
                need = markers.Requirement(text)
                if need.marker is None or need.marker.evaluate({"extra": ""}):
                    assert plain(need.name) in known, f"{name} needs {need.name}"


def test_what_setup_cfg_asks_for_is_pinned_and_explained() -> None:
    markers = pytest.importorskip("packaging.requirements")
    cfg = configparser.ConfigParser()
    cfg.read(ROOT / "setup.cfg")
    asked = [line for line in cfg["options"]["install_requires"].splitlines() if line]
    asked += [line for text in cfg["options.extras_require"].values() for line in text.splitlines() if line]
    known, reasons = pins("requirements.txt"), (ROOT / "docs/dependencies.md").read_text()
    for text in asked:
        need = markers.Requirement(text)
        assert need.specifier.contains(known[plain(need.name)]), text
        assert f"| {need.name} |" in reasons
    imported = {name for path in (ROOT / "videod").rglob("*.py") for name in imports(path)}
    other = {"python-multipart": "python_multipart", "argon2-cffi": "argon2", "prometheus-client": "prometheus_client"}
    wanted = [plain(markers.Requirement(text).name) for text in asked]
    names = {other.get(name, name.removeprefix("python-")) for name in wanted}
    assert imported - set(sys.stdlib_module_names) - {"videod"} == names


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module).partition(".")[0]


def packages() -> list[list[str]]:
    lines = [line.partition("#")[0].split() for line in (ROOT / "packages.txt").read_text().splitlines()]
    return [line for line in lines if line]


def test_every_tool_comes_with_a_package() -> None:
    brought = {tool for line in packages() if line[0] == "run" for tool in line[2].split(",")}
    assert {*TOOLS, "redis-server"} - brought == set()
    reasons = (ROOT / "docs/dependencies.md").read_text()
    for group, name, *_ in packages():
        assert group in ("run", "build", "test", "all")
        assert re.search(rf"^\|.*\b{re.escape(name)}\b.*\|", reasons, flags=re.MULTILINE), name


def test_without_apt_one_line_says_what_to_install(tmp_path: Path) -> None:
    for tool in ("sh", "sed", "tr", "dirname", "id", "env", "python3", "nice"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    # the script adds sbin to its PATH; what lies there is no tool of ours
    done = subprocess.run(
        [tmp_path / "sh", ROOT / "tools/packages", "run"], capture_output=True, text=True, env={"PATH": str(tmp_path)}
    )
    assert done.returncode == 5
    assert re.fullmatch(r"videod: not installed:( [a-z-]+)+ \(by their Debian names\): .*\n", done.stderr), done.stderr
    assert "ffmpeg" in done.stderr and "redis-server" in done.stderr and "coreutils" not in done.stderr
