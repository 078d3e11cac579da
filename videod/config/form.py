"""The form of an ini: its sections and keys as texts."""

from __future__ import annotations

import configparser
import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from videod.config import hosts as rules
from videod.errors import ConfigError

STORES = ("s3", "gs", "az", "rclone")


def sections(file: str) -> dict[str, dict[str, str]]:
    """The sections of an ini as texts; ConfigError where its form is wrong."""
    parser = _parser(strict=True)
    try:
        with open(file, encoding="utf-8") as ini:
            parser.read_file(_lines(ini), source=file)
    except FileNotFoundError:
        raise ConfigError(f"no configuration: {file}: create it, or name one with -c") from None
    except OSError as error:
        raise ConfigError(f"cannot read the configuration: {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read the configuration: {file}: it is not UTF-8") from None
    except configparser.Error as error:
        raise ConfigError(f"cannot read the configuration: {file}: {' '.join(str(error).split())}") from None
    return {name: dict(parser.items(name)) for name in parser.sections()}


def sections_left(file: str) -> dict[str, dict[str, str]]:
    """What is left of an ini whose form is wrong: of a key that stands there twice the last."""
    parser = _parser(strict=False)
    with contextlib.suppress(OSError, UnicodeDecodeError, configparser.Error), open(file, encoding="utf-8") as ini:
        try:
            parser.read_file(_lines(ini))
        except configparser.ParsingError as error:
            if isinstance(error, configparser.MissingSectionHeaderError):
                return {}
        return {name: dict(parser.items(name)) for name in parser.sections()}
    return {}


def _parser(*, strict: bool) -> configparser.RawConfigParser:
    # a default_section that no file can name: [DEFAULT] is read like any other and merged by Config
    return configparser.RawConfigParser(
        default_section="\n", delimiters=("=",), empty_lines_in_values=False, strict=strict
    )


def _lines(ini: Iterable[str]) -> Iterator[str]:
    """Without comments within values, which would end them for the parser. Later lines keep their number."""
    left_out = 0
    for line in ini:
        inside = line[:1].isspace()
        if inside and line.lstrip().startswith(("#", ";")):
            left_out += 1
            continue
        if not inside:
            yield from ["\n"] * left_out
            left_out = 0
        yield line


def untitled(kind: str, title: str) -> str:
    """What the title of a section `[kind title]` must be; '' where it is that."""
    if kind == "storage" and title not in STORES:
        return f"one of {', '.join(STORES)}"
    if kind == "preset" and not re.fullmatch(r"[\w.-]{1,64}", title):
        return "a name of letters, digits, . _ and -, up to 64"
    if kind == "source":
        try:
            rules.parse(title)
        except ValueError as error:
            return str(error)
    return ""


def unknown(texts: Mapping[str, str], declared: Mapping[str, Any], section: str, file: str) -> Iterator[str]:
    """A line for each key that is not declared."""
    for key in texts:
        if key not in declared:
            near = difflib.get_close_matches(key, declared, n=1)
            guess = f", did you mean '{near[0]}'?" if near else "; see videod.ini(5)"
            yield f"[{section}] {key}: {file}: unknown key{guess}"
