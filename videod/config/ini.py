"""Read the ini into `Settings`. Every fault is one line: file, section, key, what is allowed."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videod.config import form
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


@dataclass
class Faults:
    """What is wrong, a line each, and which keys have their default instead: (section, key)."""

    lines: list[str] = field(default_factory=list)
    keys: set[tuple[str, str]] = field(default_factory=set)

    def add(self, line: str, section: str = "", key: str = "") -> None:
        """One more."""
        self.lines.append(line)
        self.keys.add((section, key))


@dataclass(frozen=True)
class Salvage:
    """What can be read of an ini; `sure` where what is wrong cannot be about the place of the daemon."""

    settings: Settings
    faults: tuple[str, ...]
    sure: bool


@dataclass(frozen=True)
class Config:
    """One ini file as text values; `settings(env)` checks and types them. `faults`: of its form; `torn`: not whole."""

    file: str
    sections: Mapping[str, Mapping[str, str]]
    faults: tuple[str, ...] = ()
    torn: bool = False

    def settings(self, env: str) -> Settings:
        """The settings of one environment; ConfigError names what is wrong."""
        made = self.salvaged(env)
        if made.faults:
            raise ConfigError(made.faults[0])
        return made.settings

    def salvaged(self, env: str) -> Salvage:
        """The same with the default for each key that is wrong, and all that is. UsageError."""
        if env not in ENVIRONMENTS:
            raise UsageError(f"'{env[:60]}' is no environment: command line: choose one of {', '.join(ENVIRONMENTS)}")
        texts = {**self.sections.get("DEFAULT", {}), **self.sections.get(env, {})}
        if env == "local":
            texts.setdefault("redis", "embedded")
        faults = Faults()
        read = self._read(Settings, texts, env, faults)
        read = _with_computed(read, env)
        secret = _secret(read["secrets_file"], faults)
        key = self._import_key(secret.pop("keys", {}), read["secrets_file"], faults)
        named = self._named(_merged(self.sections, secret), faults)
        made = _with_web(Settings(env=env, file=self.file, import_key=key, **named, **read))
        for section, keys, why in _together(made):
            if faults.keys.isdisjoint((section, name) for name in keys):
                faults.add(f"[{section}] {', '.join(keys)}: {self.file}: {why}")
        sure = not self.torn and faults.keys.isdisjoint({(env, "pid_file"), (env, "state_dir")})
        # a value may go over lines
        lines = tuple(" ".join(line.split()) for line in (*self.faults, *faults.lines))
        return Salvage(made, lines, sure)

    def _named(self, sections: Mapping[str, Mapping[str, str]], faults: Faults) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {kind: {} for kind in _NAMED}
        for preset, texts in BUILT_IN_PRESETS.items():
            found["preset"][preset] = Preset(**self._read(Preset, texts, f"preset {preset}", faults))
        for section, texts in sections.items():
            kind, _, title = section.partition(" ")
            if kind in _NAMED:
                base = BUILT_IN_PRESETS.get(title, {}) if kind == "preset" else {}
                found[kind][title] = _NAMED[kind](**self._read(_NAMED[kind], {**base, **texts}, section, faults))
        for title, recorder in found["recorder"].items():
            self._check_recorder(title, recorder, faults)
        plural = {"presets": "preset", "storage": "storage", "sources": "source", "recorders": "recorder"}
        plain = {name: kind(**self._read(kind, sections.get(name, {}), name, faults)) for name, kind in _PLAIN.items()}
        return {**{name: found[kind] for name, kind in plural.items()}, **plain}

    def _check_recorder(self, title: str, recorder: Recorder, faults: Faults) -> None:
        try:
            host_port(recorder.host or title)
        except ValueError:
            faults.add(f"[recorder {title}] host: {self.file}: must be a host or host:port")

    def _read(self, kind: type, texts: Mapping[str, str], section: str, faults: Faults) -> dict[str, Any]:
        declared = options(kind)
        read = {}
        for key, declaration in declared.items():
            text = texts.get(key, declaration.default)
            try:
                read[key] = declaration.parse(_expand(text.strip()))
            except ValueError as error:
                faults.add(f"[{section}] {key}: {self.file}: must be {error}", section, key)
                read[key] = declaration.parse(declaration.default)
        return read

    def _import_key(self, texts: Mapping[str, str], secrets_file: str, faults: Faults) -> str:
        """What `[keys] import` of the secrets file says: a key of Fernet."""
        for name in texts:
            if name != "import":
                faults.add(f"[keys] {name}: {secrets_file}: unknown key; see videod.ini(5)")
        try:
            return v.seal(_expand(texts.get("import", "").strip()))
        except ValueError as error:
            faults.add(f"[keys] import: {secrets_file}: must be {error}")
            return ""


def _secret(secrets_file: str, faults: Faults) -> dict[str, dict[str, str]]:
    """The sections of the secrets file."""
    if not secrets_file:
        return {}
    try:
        if os.stat(secrets_file).st_mode & 0o077:
            faults.add(f"secrets_file: {secrets_file}: others can read it: chmod 600 it")
            return {}
        secret = form.sections(secrets_file)
    except OSError as error:
        faults.add(f"secrets_file: {secrets_file}: {error.strerror}")
        return {}
    except ConfigError as error:
        faults.add(str(error))
        return {}
    for section, texts in secret.items():
        kind = _NAMED.get(section.partition(" ")[0])
        if section == "keys":
            continue
        if kind not in (Storage, Source, Recorder) or " " not in section:
            faults.add(f"[{section}]: {secrets_file}: unknown section; see videod.ini(5)")
            continue
        for line in form.unknown(texts, options(kind), section, secrets_file):
            faults.add(line)
    return secret


def _merged(
    sections: Mapping[str, Mapping[str, str]], secret: Mapping[str, Mapping[str, str]]
) -> Mapping[str, Mapping[str, str]]:
    return {**sections, **{name: {**sections.get(name, {}), **texts} for name, texts in secret.items()}}


def _together(made: Settings) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Which keys do not go together: section, keys, why."""
    lists, env = ("queue", "batch_queue", "abnormal_queue"), made.env
    names = [made.queue, made.batch_queue, made.abnormal_queue]
    if len(set(names)) < len(names):
        yield env, lists, "must be three names"
    elif any(name.startswith(made.prefix) for name in names):
        yield env, lists, f"must not begin with {made.prefix}, which is the prefix"
    elif made.batch_reply_prefix.startswith(made.prefix):
        yield env, ("batch_reply_prefix",), f"must not begin with {made.prefix}, which is the prefix"
    if made.group and not made.user:
        yield env, ("group",), "needs user beside it"
    if made.lease <= 0:
        yield env, ("lease",), "must be longer than 0"
    if 0 < made.memory_per_job < LEAST_MEMORY:
        yield env, ("memory_per_job",), "must be 768M or more, or 0"
    if made.web.preset not in made.presets:
        yield "web", ("preset",), f"must be one of {', '.join(sorted(made.presets))}"
    if made.web.user_header and not made.web.trusted_proxies:
        yield "web", ("user_header",), "needs trusted_proxies beside it"
    if made.redis == "embedded" and len(embedded_socket(made)) > 100:
        yield env, ("state_dir",), "must be shorter: a socket's path holds 107 bytes"


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
    sections = form.sections(file)
    if faults := _form(sections, file):
        raise ConfigError(faults[0])
    return Config(file, sections)


def salvage(file: str) -> Config:
    """Read what can be read of an ini, and all that is wrong with its form."""
    try:
        sections = form.sections(file)
    except ConfigError as error:
        sections = form.sections_left(file)
        return Config(file, sections, (str(error), *_form(sections, file)), torn=True)
    return Config(file, sections, tuple(_form(sections, file)))


def _form(sections: Mapping[str, Mapping[str, str]], file: str) -> list[str]:
    found = []
    for section, texts in sections.items():
        name, _, title = section.partition(" ")
        kind = _PLAIN.get(section) or _NAMED.get(name)
        plain = section in ("DEFAULT", *ENVIRONMENTS, *_PLAIN)
        if not plain and (kind is None or " " not in section):
            found.append(f"[{section}]: {file}: unknown section; see videod.ini(5)")
        elif not plain and (allowed := form.untitled(name, title)):
            found.append(f"[{section}]: {file}: what stands behind {name} must be {allowed}")
        else:
            found += form.unknown(texts, options(kind or Settings), section, file)
    return found
