"""Read the ini into `Settings`. Every fault is one line: file, section, key, what is allowed."""

from __future__ import annotations

import configparser
import dataclasses
import difflib
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videod.config import values as v
from videod.config.options import options
from videod.config.presets import BUILT_IN_PRESETS, Preset
from videod.config.settings import Recorder, Settings, Source, Storage, Watched, Web
from videod.config.values import file_path, host_port
from videod.errors import ConfigError, UsageError

ENVIRONMENTS = ("dev", "local", "prod")
_NAMED: Mapping[str, type] = {"preset": Preset, "storage": Storage, "source": Source, "recorder": Recorder}
_PLAIN: Mapping[str, type] = {"watch": Watched, "web": Web}
LEAST_MEMORY = 768 << 20  # ffprobe alone maps more than a quarter of a GiB
_REFERENCE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class Config:
    """One ini file as text values; `settings(env)` checks and types them."""

    file: str
    sections: Mapping[str, Mapping[str, str]]

    def settings(self, env: str) -> Settings:
        """The settings of one environment; ConfigError names what is wrong."""
        if env not in ENVIRONMENTS:
            raise UsageError(f"'{env[:60]}' is no environment: command line: choose one of {', '.join(ENVIRONMENTS)}")
        texts = {**self.sections.get("DEFAULT", {}), **self.sections.get(env, {})}
        if env == "local":
            texts.setdefault("redis", "embedded")
        read = self._read(Settings, texts, env)
        read = _with_computed(read, env)
        named, key = self._named(read["secrets_file"]), self._import_key(read["secrets_file"])
        made = _with_web(Settings(env=env, file=self.file, import_key=key, **named, **read))
        self._check_together(made)
        return made

    def _named(self, secrets_file: str) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {kind: {} for kind in _NAMED}
        for preset, texts in BUILT_IN_PRESETS.items():
            found["preset"][preset] = Preset(**self._read(Preset, texts, f"preset {preset}"))
        for section, texts in self._with_secrets(secrets_file).items():
            kind, _, title = section.partition(" ")
            if kind in _NAMED:
                base = BUILT_IN_PRESETS.get(title, {}) if kind == "preset" else {}
                found[kind][title] = _NAMED[kind](**self._read(_NAMED[kind], {**base, **texts}, section))
        for title, recorder in found["recorder"].items():
            self._check_recorder(title, recorder)
        plural = {"presets": "preset", "storage": "storage", "sources": "source", "recorders": "recorder"}
        plain = {name: kind(**self._read(kind, self.sections.get(name, {}), name)) for name, kind in _PLAIN.items()}
        return {**{name: found[kind] for name, kind in plural.items()}, **plain}

    def _check_recorder(self, title: str, recorder: Recorder) -> None:
        try:
            host_port(recorder.host or title)
        except ValueError:
            raise ConfigError(f"[recorder {title}] host: {self.file}: must be a host or host:port") from None

    def _read(self, kind: type, texts: Mapping[str, str], section: str) -> dict[str, Any]:
        declared = options(kind)
        read = {}
        for key, declaration in declared.items():
            text = texts.get(key, declaration.default)
            try:
                read[key] = declaration.parse(_expand(text.strip()))
            except ValueError as error:
                raise ConfigError(f"[{section}] {key}: {self.file}: must be {error}") from None
        return read

    def _with_secrets(self, secrets_file: str) -> Mapping[str, Mapping[str, str]]:
        """The sections, those of the secrets file merged in."""
        if not secrets_file:
            return self.sections
        try:
            status = os.stat(secrets_file)
        except OSError as error:
            raise ConfigError(f"secrets_file: {secrets_file}: {error.strerror}") from None
        if status.st_mode & 0o077:
            raise ConfigError(f"secrets_file: {secrets_file}: others can read it: chmod 600 it")
        secret = _sections(secrets_file)
        secret.pop("keys", None)
        for section, texts in secret.items():
            kind = _NAMED.get(section.partition(" ")[0])
            if kind not in (Storage, Source, Recorder) or " " not in section:
                raise ConfigError(f"[{section}]: {secrets_file}: unknown section; see videod.ini(5)")
            _refuse_unknown(texts, options(kind), section, secrets_file)
        return {**self.sections, **{name: {**self.sections.get(name, {}), **texts} for name, texts in secret.items()}}

    def _import_key(self, secrets_file: str) -> str:
        """What `[keys] import` of the secrets file says. ConfigError for anything but a key of Fernet."""
        texts = _sections(secrets_file).get("keys", {}) if secrets_file else {}
        if unknown := [name for name in texts if name != "import"]:
            raise ConfigError(f"[keys] {unknown[0]}: {secrets_file}: unknown key; see videod.ini(5)")
        try:
            return v.seal(_expand(texts.get("import", "").strip()))
        except ValueError as error:
            raise ConfigError(f"[keys] import: {secrets_file}: must be {error}") from None

    def _check_together(self, made: Settings) -> None:
        lists = [made.queue, made.batch_queue, made.abnormal_queue]
        what = ""
        if len(set(lists)) < len(lists):
            what = "queue, batch_queue, abnormal_queue: must be three names"
        elif any(name.startswith(made.prefix) for name in lists):
            what = f"queue, batch_queue, abnormal_queue: must not begin with {made.prefix}, which is the prefix"
        elif made.group and not made.user:
            what = "group: needs user beside it"
        elif made.lease <= 0:
            what = "lease: must be longer than 0"
        elif 0 < made.memory_per_job < LEAST_MEMORY:
            what = "memory_per_job: must be 768M or more, or 0"
        if what:
            name, _, why = what.partition(": ")
            raise ConfigError(f"[{made.env}] {name}: {self.file}: {why}")
        if made.web.preset not in made.presets:
            raise ConfigError(f"[web] preset: {self.file}: must be one of {', '.join(sorted(made.presets))}")
        if made.web.user_header and not made.web.trusted_proxies:
            raise ConfigError(f"[web] user_header: {self.file}: needs trusted_proxies beside it")
        if made.redis == "embedded" and len(embedded_socket(made)) > 100:
            raise ConfigError(f"[{made.env}] state_dir: {self.file}: must be shorter: a socket's path holds 107 bytes")


def embedded_socket(settings: Settings) -> str:
    """Where the private redis-server of `redis = embedded` listens."""
    return os.path.join(settings.state_dir, f"redis-{settings.env}", "redis.sock")


def _expand(text: str) -> str:
    """Replace ${NAME} by the environment's value and ${file:PATH} by a file's content."""

    def value(found: re.Match[str]) -> str:
        what = found[1]
        if what.startswith("file:"):
            try:
                return Path(what[5:]).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"readable: {what[5:]}: {getattr(error, 'strerror', None) or error}") from None
        if what not in os.environ:
            raise ValueError(f"set in the environment: {what} is not")
        return os.environ[what]

    return _REFERENCE.sub(value, text)


def _with_computed(read: dict[str, Any], env: str) -> dict[str, Any]:
    """Fill in the defaults that depend on environment, user and other settings."""
    root = os.geteuid() == 0
    home_state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    state = read["state_dir"] or (f"/var/lib/videod/{env}" if root else f"{home_state}/videod/{env}")
    defaults = {
        "state_dir": state,
        "work_dir": f"{state}/work",
        "pid_file": f"/run/videod/{env}.pid" if root else f"{state}/{env}.pid",
        "debug_log": f"/var/log/videod/{env}.log" if root else f"{state}/{env}.log",
        "download_dir": f"{state}/downloads",
        "node": re.sub(r"[^A-Za-z0-9._-]", "_", socket.gethostname())[:100].lstrip(".-") + f"-{env}",
        "max_encode": os.cpu_count() or 1,
    }
    done = {key: read[key] or defaults.get(key, read[key]) for key in read}
    done["fsync"] = read["fsync"]
    done["upload"] = read["upload"] or f"file:{state}/clips/"
    if not read["upload_paths"] and done["upload"].startswith("file:"):
        # a template's folder ends before its first {field}
        folder = file_path(done["upload"]).partition("{")[0].rpartition("/")[0]
        done["upload_paths"] = (folder or "/",)
    return done


def _with_web(read: Settings) -> Settings:
    """The folder of the web side filled in, from which jobs read uploads and into which they write results."""
    folder = read.web.folder or f"{read.state_dir}/web"
    return dataclasses.replace(
        read,
        web=dataclasses.replace(read.web, folder=folder),
        allow_paths=(*read.allow_paths, f"{folder}/uploads"),
        upload_paths=(*read.upload_paths, f"{folder}/results"),
    )


def find_file(given: str | None) -> str:
    """The ini: -c, $VIDEOD_CONFIG, the checkout's etc/videod.ini, /etc/videod.ini."""
    named = given or os.environ.get("VIDEOD_CONFIG")
    if named:
        return os.path.abspath(named)
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "setup.cfg").is_file() and (checkout / "etc/videod.ini").is_file():
        return str(checkout / "etc/videod.ini")
    return "/etc/videod.ini"


def load(file: str) -> Config:
    """Read a whole ini and check its sections and keys; ConfigError with one line otherwise."""
    sections = _sections(file)
    for section, texts in sections.items():
        kind = _PLAIN.get(section) or _NAMED.get(section.partition(" ")[0])
        plain = section in ("DEFAULT", *ENVIRONMENTS, *_PLAIN)
        if not plain and (kind is None or " " not in section):
            raise ConfigError(f"[{section}]: {file}: unknown section; see videod.ini(5)")
        _refuse_unknown(texts, options(kind or Settings), section, file)
    return Config(file, sections)


def _sections(file: str) -> dict[str, dict[str, str]]:
    # a default_section that no file can name: [DEFAULT] is read like any other and merged by Config
    parser = configparser.RawConfigParser(default_section="\n", delimiters=("=",), empty_lines_in_values=False)
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


def _refuse_unknown(texts: Mapping[str, str], declared: Mapping[str, Any], section: str, file: str) -> None:
    for key in texts:
        if key not in declared:
            near = difflib.get_close_matches(key, declared, n=1)
            guess = f", did you mean '{near[0]}'?" if near else "; see videod.ini(5)"
            raise ConfigError(f"[{section}] {key}: {file}: unknown key{guess}")
