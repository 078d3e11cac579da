"""Completion: each shell reads its script, and bash really completes with it."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASH = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
declare -F _shtab_videod >/dev/null || exit 9
complete -p videod | grep -q _shtab_videod || exit 8
_shtab_videod "videod" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module", params=["bash", "zsh", "tcsh"])
def shell(request: pytest.FixtureRequest) -> str:
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@functools.cache
def printed(shell: str) -> str:
    done = subprocess.run([sys.executable, "-m", "videod", "completion", shell], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def script(shell: str, folder: Path) -> Path:
    made = folder / f"videod.{shell}"
    made.write_text(printed(shell))
    return made


def test_shell_reads_it(shell: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [shell, "-f" if shell != "bash" else "--norc", "-c", f"source {script(shell, tmp_path)}"],
        capture_output=True, text=True, input="",
    )  # fmt: skip
    # zsh's function wants its completion system, which is not loaded here
    assert done.stderr == "" or "compdef" in done.stderr or "_arguments" in done.stderr, done.stderr
    if shell == "zsh":
        assert subprocess.run(["zsh", "-n", script(shell, tmp_path)]).returncode == 0


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("videod sta", {"start", "status"}),
        ("videod re", {"restart", "reload", "retry", "resume", "report"}),
        ("videod start l", {"local"}),
        ("videod stop prod --n", {"--now"}),
        ("videod push --w", {"--wait"}),
        ("videod list --state de", {"dead"}),
        ("videod log -e p", {"prod"}),
        ("videod completion z", {"zsh"}),
    ],
)
def test_bash_completes(tmp_path: Path, typed: str, offered: set[str]) -> None:
    argv = ["bash", "--norc", "-c", BASH, "bash", str(script("bash", tmp_path)), *typed.split()]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, set(done.stdout.split())) == (0, offered), done


def test_bash_completes_files(tmp_path: Path) -> None:
    (tmp_path / "my.ini").touch()
    argv = ["bash", "--norc", "-c", BASH, "bash", str(script("bash", tmp_path)), "videod", "-c", "my"]
    assert subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path).stdout.split() == ["my.ini"]
