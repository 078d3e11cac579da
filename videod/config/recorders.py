"""Which recorder a message means: a `[recorder NAME]`, or the host of one."""

from __future__ import annotations

from dataclasses import dataclass, field

from videod.config.settings import Recorder, Settings
from videod.config.values import host_port

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Place:
    """Where a recorder is and how to log in. `name` is that of its section, or its host where it has none.

    Without a user nobody can log in. `fingerprint`: SHA-256 of its certificate, in hex.
    """

    name: str
    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    fingerprint: str = ""
    ca_file: str = ""

    @property
    def netloc(self) -> str:
        """host:port, as an address has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """For logs and error texts."""
        return self.netloc if self.name in (self.netloc, self.host) else f"{self.name} ({self.netloc})"


def place_of(named: str, settings: Settings) -> Place:
    """The recorder of a message: the section of this name, else the one of this host. ValueError for neither form."""
    if named in settings.recorders:
        return _of(named, settings.recorders[named])
    host, port = host_port(named)
    # whoever names no port means the one of the section, or that of the scheme
    for title, section in settings.recorders.items():
        made = _of(title, section)
        if made.host == host and port in (0, made.port):
            return made
    return Place(named, "http", host, port or PORTS["http"])


def _of(title: str, section: Recorder) -> Place:
    scheme = "https" if section.tls or section.fingerprint else "http"
    host, port = host_port(section.host or title)
    login = (section.user, section.password)
    return Place(title, scheme, host, port or PORTS[scheme], *login, section.fingerprint, section.ca_file)
