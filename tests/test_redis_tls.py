"""TLS and an ACL user with exactly the rights that docs/operations.md names; what is wrong is one line."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import ROOT, Daemon, events, final, push, until
from tests.ports import free_port
from tests.redis_servers import BINARY, Tcp, Watched, short_folder, version
from videod.jobqueue import rights

SECRET = "s3cret-pass"
OLD = "v=6." in version()


def acl_line() -> str:
    text = (ROOT / "docs/operations.md").read_text()
    found = re.search(r"^```acl\n(user videod .*)\n```$", text, re.MULTILINE)
    assert found
    return found[1].replace("PASSWORD", SECRET)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    pem, key = folder / f"{name}.pem", folder / f"{name}.key"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = [*make.split(), "-keyout", str(key), "-out", str(pem)]
    subprocess.run(command, check=True, capture_output=True)
    return pem, key


class TlsServer:
    """A redis-server that speaks TLS alone and knows our user alone."""

    def __init__(self, folder: Path, user: str) -> None:
        self.pem, key = certificate(folder, "server")
        (folder / "acl").write_text(f"user default off\n{user}\nuser root on >root ~* &* +@all\n")
        self.port = free_port()
        options = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no", "--save", ""]
        options += ["--tls-cert-file", str(self.pem), "--tls-key-file", str(key), "--tls-ca-cert-file", str(self.pem)]
        options += ["--aclfile", str(folder / "acl"), "--dir", str(folder), "--bind", "127.0.0.1"]
        self.process = subprocess.Popen([BINARY, *options], stdout=subprocess.DEVNULL)

    def url(self, *, password: str = SECRET, ca: Path | None = None, host: str = "localhost") -> str:
        return f"rediss://videod:{password}@{host}:{self.port}/0?ssl_ca_certs={ca or self.pem}"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


def started(daemon: Daemon) -> bool:
    return daemon.command("start", "prod").returncode == 0


def test_the_rights_of_the_page_are_those_that_are_used() -> None:
    named = {word[1:].upper() for word in acl_line().split() if word[0] == "+"}
    assert named == {*rights.needed(), *rights.BASIC}
    sent = set()
    for file in (ROOT / "videod/jobqueue").glob("*.py"):
        if file.name != "connection.py":
            sent |= set(re.findall(r'(?:call\(|\[\()\s*"([A-Z]+)"', file.read_text()))
    assert sent | {"WAIT"} == set(rights.DIRECT)


def test_tls_and_a_user_with_the_rights_of_the_page(daemon: Daemon, folder: Path) -> None:
    server = TlsServer(folder, acl_line())
    try:
        daemon.write(redis=server.url())
        until(lambda: started(daemon), 10, "serves")
        push = ("push", "-e", "prod", "--wait")
        message = '{"kind":"sleep","id":"%s","reply_to":"%s"}'
        assert daemon.command(*push, message % ("a", "reply:a")).returncode == 0
        # a list that the user may not write costs its events only
        assert daemon.command(*push, message % ("b", "private")).returncode == 0
        assert "job=b" in daemon.log and "private: give the user this right: events go to the stream only" in daemon.log
        for verb in (("status",), ("list", "-e", "prod"), ("show", "a"), ("dead", "-e", "prod"), ("check", "prod")):
            done = daemon.command(*verb)
            assert done.returncode == 0, done
            assert SECRET not in done.stdout + done.stderr
        assert daemon.stop() == 0
        assert SECRET not in daemon.log
    finally:
        server.end()


def test_what_is_wrong_is_one_line(daemon: Daemon, folder: Path) -> None:
    server = TlsServer(folder, acl_line())
    other, _ = certificate(folder, "other")
    wrong = {
        server.url(password="wr0ng"): (1, "refuses user or password", "mend them in 'redis'"),
        server.url(ca=other): (1, "certificate that is not trusted", "mend ssl_ca_certs"),
        server.url(host="127.0.0.1"): (1, "certificate that is not trusted", "127.0.0.1"),
        server.url(ca=folder / "none.pem"): (6, "none.pem: No such file", "mend the address"),
        server.url() + "&socket_timeout=1": (6, "without options of rediss:// but", "ssl_ca_certs"),
    }
    try:
        daemon.write(redis=server.url())
        until(lambda: daemon.command("check", "prod").returncode == 0, 10, "answers")
        for url, (code, *words) in wrong.items():
            daemon.write(redis=url)
            done = daemon.command("start", "prod")
            assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done
            assert all(word in done.stderr for word in words), done.stderr
            assert SECRET not in done.stderr and "wr0ng" not in done.stderr
        daemon.write(redis=server.url())
    finally:
        server.end()


@pytest.mark.parametrize("end", ["killed", "stopped", "taken over"])
def test_a_reply_list_without_a_right_keeps_no_message_back(daemon: Daemon, folder: Path, end: str) -> None:
    server = Tcp(folder)
    server.start()
    other = Daemon(folder, "")
    try:
        r = server.client()
        r.execute_command("ACL", "SETUSER", *acl_line().split()[1:])
        url = f"redis://videod:{SECRET}@127.0.0.1:{server.port}/0"
        daemon.start(redis=url, max_worker=1, lease=1)
        push(r, {"id": "a", "kind": "sleep", "seconds": 30, "reply_to": "private"})
        until(lambda: r.hget("videod:job:a", "state") == "running", 10, "it runs")
        if end == "stopped":
            assert daemon.stop("--now") == 1
            assert (r.llen("video_info_queue"), r.llen(f"videod:running:{daemon.node}")) == (1, 0)
        else:
            daemon.kill()
        if end == "taken over":
            other.start(redis=url, node="other", max_worker=1, lease=1)
        else:
            daemon.start()
        begun = "other" if end == "taken over" else daemon.node
        until(lambda: r.hmget("videod:job:a", "state", "node") == ["running", begun], 20, "it runs again")
        until(lambda: [e["event"] for e in events(r, "a")] == ["started", "requeued", "started"], 10, "it is told")
        log = (other if end == "taken over" else daemon).log
        assert "job=a reply_to: " in log and "give the user this right: events go to the stream only" in log
        push(r, {"id": "w", "kind": "sleep", "reply_to": "private"})
        assert daemon.command("cancel", "-e", "prod", "w").stdout == "w: cancelled\n"
        assert final(r, "w")["event"] == "cancelled" and "private" in r.hget("videod:job:w", "warnings")
        assert daemon.command("cancel", "-e", "prod", "a").stdout == "a: cancelled\n"
    finally:
        daemon.end()
        other.end()
        server.kill()


@pytest.mark.skipif(OLD, reason="6.2 cannot say which rights a user has")
@pytest.mark.parametrize("right", ["xadd", "blmove", "wait", "info", "evalsha", "lmove"])
def test_a_right_that_is_missing_is_named_at_start(daemon: Daemon, folder: Path, right: str) -> None:
    server = Tcp(folder)
    server.start()
    try:
        user = [word for word in acl_line().split()[1:] if word != f"+{right}"]
        server.client().execute_command("ACL", "SETUSER", *user)
        daemon.write(redis=f"redis://videod:{SECRET}@127.0.0.1:{server.port}/0")
        done = daemon.command("start", "prod")
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done
        assert right in done.stderr.lower() and "right" in done.stderr and SECRET not in done.stderr
    finally:
        server.kill()


def test_sentinels_and_data_with_passwords(daemon: Daemon, folder: Path) -> None:
    watched = Watched(folder, password=SECRET)
    try:
        watched.start()
        url = watched.url.replace("://", f"://default:{SECRET}@")
        daemon.write(redis=url)
        assert "a Sentinel refuses user or password" in daemon.command("start", "prod").stderr
        daemon.start(redis=f"{url}?sentinel_password={SECRET}")
        assert daemon.command("push", "-e", "prod", "--wait", '{"kind":"sleep"}').returncode == 0
        assert SECRET not in daemon.command("status").stdout
        assert daemon.stop() == 0
        wrong = watched.url.replace("/films/", "/nobody/")
        daemon.write(redis=f"{wrong}?sentinel_password={SECRET}")
        done = daemon.command("start", "prod")
        assert "No master found for 'nobody'" in done.stderr and len(done.stderr.splitlines()) == 1
        assert SECRET not in done.stderr
    finally:
        watched.end()


def test_a_sentinel_and_its_master_by_tls(daemon: Daemon, folder: Path) -> None:
    server = TlsServer(folder, acl_line())
    port = free_port()
    lines = [f"tls-port {port}", "port 0", "tls-replication yes", "tls-auth-clients no", "bind 127.0.0.1"]
    lines += [f"tls-{what}-file {folder}/server.{end}" for what, end in (("cert", "pem"), ("key", "key"))]
    lines += [f"tls-ca-cert-file {server.pem}", f"dir {folder}", f"sentinel monitor films 127.0.0.1 {server.port} 1"]
    lines += ["sentinel auth-user films root", "sentinel auth-pass films root"]
    (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
    sentinel = subprocess.Popen([BINARY, str(folder / "sentinel.conf"), "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        # a Sentinel gives numbers for names, and the certificate has a name
        options = f"tls=yes&ssl_ca_certs={server.pem}&ssl_check_hostname=no"
        daemon.write(redis=f"redis+sentinel://videod:{SECRET}@127.0.0.1:{port}/films?{options}")
        until(lambda: started(daemon), 30, "serves")
        assert daemon.command("push", "-e", "prod", "--wait", '{"kind":"sleep"}').returncode == 0
        assert daemon.stop() == 0
    finally:
        sentinel.kill()
        sentinel.wait()
        server.end()
