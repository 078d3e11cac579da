"""`make`: its help, its choice of Python, and what install and uninstall lay and leave."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import ROOT
from videod import __version__
from videod.config import load

ENVIRON = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL")}
OURS = Path(sys.prefix) == ROOT / ".venv"
in_venv = pytest.mark.skipif(not OURS, reason="not in the .venv of make")


def make(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-C", str(ROOT), *argv], capture_output=True, text=True, env=ENVIRON, timeout=300)


def test_help_lists_every_target() -> None:
    shown = re.findall(r"^  make ([a-z-]+) +\S", make("--no-print-directory").stdout, flags=re.MULTILINE)
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert targets and set(shown) == set(targets[1].split())


def test_python_is_chosen() -> None:
    def tool(**more: str) -> subprocess.CompletedProcess[str]:
        run = ["sh", str(ROOT / "tools/python")]
        return subprocess.run(run, capture_output=True, text=True, env={**ENVIRON, **more})

    found = tool()
    assert found.returncode == 0
    version = subprocess.run([found.stdout.strip(), "--version"], capture_output=True, text=True).stdout
    assert re.match(r"Python 3\.1[1-9]", version)
    named = tool(PYTHON=sys.executable)
    assert Path(named.stdout.strip()).samefile(sys.executable)
    missing = tool(PYTHON="/nowhere/python3")
    assert missing.returncode == 5 and missing.stderr.count("\n") == 1
    assert missing.stderr.startswith("videod: no Python 3.11 or newer")


@in_venv
def test_second_venv_has_nothing_to_do() -> None:
    done = make("venv")
    assert done.returncode == 0 and "pip" not in done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An installation below a DESTDIR."""
    folder = tmp_path_factory.mktemp("root")
    done = make("install", f"DESTDIR={folder}")
    assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder)


@in_venv
def test_install_follows_the_fhs(root: Path) -> None:
    modes = {
        "usr/bin/videod": 0o755,
        "usr/lib/systemd/system/videod.service": 0o644,
        "usr/lib/systemd/system/videod-watch@.service": 0o644,
        "usr/lib/systemd/system/videod-web.service": 0o644,
        "usr/lib/sysusers.d/videod.conf": 0o644,
        "usr/lib/tmpfiles.d/videod.conf": 0o644,
        "usr/share/man/man8/videod.8": 0o644,
        "usr/share/man/man5/videod.ini.5": 0o644,
        "usr/share/bash-completion/completions/videod": 0o644,
        "usr/share/zsh/site-functions/_videod": 0o644,
        "usr/share/doc/videod/install.md": 0o644,
        "etc/videod.ini": 0o640,
        "etc/default/videod": 0o644,
        "etc/init.d/videod": 0o755,
        "etc/logrotate.d/videod": 0o644,
    }
    for name, mode in modes.items():
        assert (root / name).stat().st_mode & 0o777 == mode, name
    assert {path.name for path in root.iterdir()} == {"usr", "etc"}
    for path in root.rglob("*"):  # nothing knows where it was built
        if path.is_file() and path.suffix not in (".pyc", ".so"):
            assert str(root).encode() not in path.read_bytes(), path


@in_venv
def test_installed_prod_names_its_files(root: Path) -> None:
    made = load(str(root / "etc/videod.ini")).settings("prod")
    assert made.pid_file == "/run/videod/prod.pid" and made.debug_log == "/var/log/videod/prod.log"
    assert made.state_dir == "/var/lib/videod/prod" and made.user == "videod"
    assert load(str(root / "etc/videod.ini")).settings("local").user == ""


@in_venv
def test_installed_command_stands_alone(root: Path, tmp_path: Path) -> None:
    """Neither the checkout, nor .venv, nor a file of a library's name in the current folder is used."""
    for trap in ("redis.py", "daemon.py", "videod.py"):
        (tmp_path / trap).write_text("raise SystemExit(99)")
    command = tmp_path / "videod"
    command.write_text((root / "usr/bin/videod").read_text().replace('"/usr/lib', f'"{root}/usr/lib'))
    command.chmod(0o755)
    assert not command.read_text().startswith(f"#!{ROOT}")
    environ = {**ENVIRON, "PYTHONPATH": str(tmp_path)}

    def videod(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([command, *argv], capture_output=True, text=True, cwd=tmp_path, env=environ)

    assert videod("--version").stdout == f"videod {__version__}\n"
    ini = tmp_path / "v.ini"
    ini.write_text(f"[local]\nstate_dir = {tmp_path}/s\npid_file = {tmp_path}/s/p\ndebug_log = {tmp_path}/s/l\n")
    done = videod("-c", str(ini), "check", "local")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "/etc/videod.ini" in videod("status", "prod").stderr or Path("/etc/videod.ini").exists()


@in_venv
def test_other_folders_are_taken_up_everywhere(tmp_path: Path) -> None:
    environ = {**ENVIRON, "DESTDIR": str(tmp_path), "PREFIX": "/opt/v", "SYSCONFDIR": "/opt/v/etc", "UNITDIR": "/u"}
    done = subprocess.run(["sh", str(ROOT / "tools/layout")], capture_output=True, text=True, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    command = (tmp_path / "opt/v/bin/videod").read_text().replace('"/opt/v/lib', f'"{tmp_path}/opt/v/lib')
    assert 'setdefault("VIDEOD_CONFIG", "/opt/v/etc/videod.ini")' in command
    for name in ("u/videod.service", "opt/v/etc/init.d/videod", "opt/v/share/doc/videod/supervisor.conf"):
        text = (tmp_path / name).read_text()
        assert "/opt/v/bin/videod" in text and "/opt/v/etc/videod.ini" in text
        assert "/usr/bin/videod" not in text and "/etc/videod.ini" not in text.replace("/opt/v/etc/videod.ini", "")


@in_venv
def test_links_of_the_installed_documents_lead_somewhere(root: Path) -> None:
    folder = root / "usr/share/doc/videod"
    for path in folder.glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)", path.read_text()):
            if not link.startswith(("http:", "https:")):
                there = root / link[1:] if link.startswith("/") else folder / link
                assert there.exists(), (path.name, link)


@in_venv
def test_install_keeps_settings_and_uninstall_leaves_them(root: Path) -> None:
    ini, log = root / "etc/videod.ini", root / "etc/logrotate.d/videod"
    ini.write_text("[prod]\nmax_worker = 7\n")
    environ = {
        **ENVIRON,
        "DESTDIR": str(root),
        "PREFIX": "/usr",
        "SYSCONFDIR": "/etc",
        "UNITDIR": "/usr/lib/systemd/system",
    }
    assert subprocess.run(["sh", str(ROOT / "tools/layout")], env=environ).returncode == 0
    assert ini.read_text() == "[prod]\nmax_worker = 7\n"
    assert make("uninstall", f"DESTDIR={root}").returncode == 0
    left = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert left == {"etc/videod.ini", "etc/default/videod", str(log.relative_to(root))}
