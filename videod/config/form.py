"""The form of an ini: its sections and keys as texts."""

from __future__ import annotations

import configparser
import contextlib
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from videod.errors import ConfigError


def sections(file: str) -> dict[str, dict[str, str]]:
    """The sections of an ini as texts; ConfigError where its form is wrong."""
    parser = _parser(strict=True)
    try:
        with open(file, encoding="utf-8") as ini:
            parser.read_file(ini, source=file)
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
            parser.read_file(ini)
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


def unknown(texts: Mapping[str, str], declared: Mapping[str, Any], section: str, file: str) -> Iterator[str]:
    """A line for each key that is not declared."""
    for key in texts:
        if key not in declared:
            near = difflib.get_close_matches(key, declared, n=1)
            guess = f", did you mean '{near[0]}'?" if near else "; see videod.ini(5)"
            yield f"[{section}] {key}: {file}: unknown key{guess}"
