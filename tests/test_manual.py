"""The man pages: made from the declarations, true to the parser, clean for every formatter."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon import ROOT
from videod.cli.parser import build
from videod.config.options import options
from videod.config.settings import Settings
from videod.signals import WATCHED

PAGES = [ROOT / "man" / "videod.8", ROOT / "man" / "videod.ini.5"]
COMMON = {"-h", "--help"}


def test_settings_are_generated_from_their_declarations(tmp_path: Path) -> None:
    before = PAGES[1].read_bytes()
    shutil.copytree(ROOT / "man", tmp_path / "man")
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / "videod").symlink_to(ROOT / "videod")
    page = tmp_path / "man" / "videod.ini.5"
    page.write_text(re.sub(r"(generated: \w+\n).*?(\.\\\" end)", r"\1\2", page.read_text(), flags=re.DOTALL))
    assert page.read_bytes() != before
    subprocess.run([sys.executable, tmp_path / "tools" / "manual.py"], check=True)
    assert page.read_bytes() == before, "run make man"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
@pytest.mark.parametrize(
    "command",
    [
        "man --warnings -E UTF-8 -l -Tutf8 -Z",
        "groff -ww -man -Tutf8",
        "mandoc -T lint -W warning",
    ],
)
def test_no_formatter_complains(page: Path, command: str) -> None:
    argv = command.split()
    if not shutil.which(argv[0]):
        pytest.skip(f"{argv[0]} is not installed")
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": ""}
    done = subprocess.run([*argv, str(page)], capture_output=True, text=True, env=environ)
    assert done.stderr == ""
    assert done.returncode == 0 and (argv[0] != "mandoc" or done.stdout == "")


def plain(text: str) -> str:
    """Roff without its escapes and quotes."""
    return re.sub(r"\\f[BIR]|\\&", "", text).replace("\\-", "-").replace('"', "")


def entries() -> dict[str, str]:
    """What videod(8) says of each verb: {verb: text of its entry}."""
    text = PAGES[0].read_text().partition(".SH THE DAEMON")[2].partition(".SH EXIT STATUS")[0]
    found = re.findall(r"\.TP\n\\fB([a-z]+)\\fR(.*?)(?=\n\.TP|\n\.SH|\Z)", text, flags=re.DOTALL)
    return {verb: plain(body) for verb, body in found}


def verbs() -> dict[str, argparse.ArgumentParser]:
    (action,) = [a for a in build()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(action.choices)


def test_every_verb_has_its_entry() -> None:
    assert set(entries()) == set(verbs())


@pytest.mark.parametrize("verb", verbs())
def test_every_option_is_told_and_no_other(verb: str) -> None:
    entry = entries()[verb]
    known = {option for action in verbs()[verb]._actions for option in action.option_strings} - COMMON
    told = set(re.findall(r"(?<![\w-])--?[a-z]+(?:-[a-z]+)*", entry))
    in_jobs = PAGES[0].read_text().partition(".SH JOBS")[2].partition(".SH FURTHER")[0]
    shared = {"-e", "--env"} if f"\\fB{verb}\\fR" in in_jobs else set()
    if verb == "log":  # its -e stands in the entry, once
        shared = {"--env"}
    assert told - known == set()
    assert known - told - shared == set()


def test_shared_options_are_told() -> None:
    text = plain(PAGES[0].read_text())
    for option in ("-c", "--config", "-h", "--help", "--version", "--json", "-e", "--env"):
        assert option in text


def test_every_signal_exit_code_and_variable_is_told() -> None:
    text = PAGES[0].read_text()
    for number in WATCHED:
        assert number.name in text
    codes = text.partition(".SH EXIT STATUS")[2].partition(".SH SIGNALS")[0]
    assert re.findall(r"^\.B ([0-9])$", codes, flags=re.MULTILINE) == list("0123456")
    source = "".join(path.read_text() for path in (ROOT / "videod").rglob("*.py"))
    for name in set(re.findall(r"\"(VIDEOD_[A-Z]+)\"", source)) - {"VIDEOD_OWNER"}:
        assert f".B {name}" in text


def test_every_setting_can_be_read_on_the_page() -> None:
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "300", "MAN_KEEP_FORMATTING": ""}
    shown = subprocess.run(["man", "-P", "cat", "-l", PAGES[1]], capture_output=True, text=True, env=environ).stdout
    shown = re.sub(r".\x08", "", shown)
    for key, option in options(Settings).items():
        assert re.search(rf"^ +{key} = ?{re.escape(option.default)}\s", shown, flags=re.MULTILINE), key
