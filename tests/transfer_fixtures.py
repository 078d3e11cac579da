"""What the tests of videod/transfer stand on: a job's tools, settings from an ini, real servers on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.origin import Origin, certificates
from tests.ports import free_port
from videod.cancel import Cancel
from videod.config import Config, Settings
from videod.process import Guardian, Tools

RESULT = os.urandom(3_000_000)


@pytest.fixture(scope="session")
def transfer_guardian() -> Iterator[Guardian]:
    guardian = Guardian("transfer-tests")
    yield guardian
    guardian.close()


@pytest.fixture
def tools(transfer_guardian: Guardian, tmp_path: Path) -> Tools:
    """The tools of a job whose scratch folder is `tmp_path/scratch`."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Tools(transfer_guardian, Cancel(), scratch, stall_timeout=20.0)


def settings_of(tmp_path: Path, sections: dict[str, dict[str, str]] | None = None, **keys: str) -> Settings:
    """Settings as an ini with these keys would give; loopback may be reached."""
    texts = {"state_dir": str(tmp_path / "state"), "allow_hosts": "* 127.0.0.0/8 ::1 localhost", **keys}
    return Config("test.ini", {"dev": texts, **(sections or {})}).settings("dev")


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """(CA, certificate, key) for localhost and 127.0.0.1."""
    return certificates(tmp_path_factory.mktemp("tls"))


class ArgvWatch(threading.Thread):
    """Reads every command line of this machine again and again, as any user could."""

    def __init__(self) -> None:
        super().__init__(name="argv-watch")
        self.seen: set[str] = set()
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            for entry in os.listdir("/proc"):
                if entry.isdigit():
                    try:
                        with open(f"/proc/{entry}/cmdline", "rb") as file:
                            self.seen.add(file.read().replace(b"\0", b" ").decode("utf-8", "replace"))
                    except OSError:
                        continue

    def stop(self) -> None:
        self._over.set()
        self.join()

    def of(self, tool: str) -> list[str]:
        return [line for line in self.seen if f"{tool} " in line]


@pytest.fixture
def argv_watch() -> Iterator[ArgvWatch]:
    watch = ArgvWatch()
    watch.start()
    yield watch
    watch.stop()


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Poll until `condition` holds; fails after so long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A finished output of 3 MB, readable by nobody else."""
    path = tmp_path / "result.mp4"
    path.write_bytes(RESULT)
    path.chmod(0o600)
    return path


class WebDav:
    """A real nginx of our own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "www"
        (self.root / "none").mkdir(parents=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "passwords").write_text("me:" + _crypted("s3cret") + "\n")
        temporary = "\n".join(
            f"{kind}_temp_path {folder}/tmp-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = folder / "nginx.conf"
        config.write_text(f"""
            daemon off; {"user root;" if os.geteuid() == 0 else ""} worker_processes 1;
            pid {folder}/pid; error_log {folder}/error.log;
            events {{ worker_connections 64; }}
            http {{ {temporary} access_log off; client_max_body_size 20m;
            server {{ listen 127.0.0.1:{self.port}; root {self.root}; dav_methods PUT; create_full_put_path on;
                location /none/ {{ dav_methods off; }}
                location /small/ {{ client_max_body_size 1k; }}
                location /private/ {{ auth_basic x; auth_basic_user_file {folder}/passwords; }} }} }}""")
        self._process = subprocess.Popen(["nginx", "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(config)])
        wait_for(self._answers)

    def _answers(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDav]:
    """nginx with DAV: PUT below /dav/ stores in `root`, /private/ asks for a password, /none/ allows no PUT."""
    server = WebDav(tmp_path_factory.mktemp("nginx"))
    yield server
    server.stop()


def _crypted(password: str) -> str:
    return subprocess.run(
        ["openssl", "passwd", "-apr1", "-stdin"], input=password, check=True, capture_output=True, text=True
    ).stdout.strip()


class S3:
    """moto's server on loopback, which checks signatures; one user, whose keys these are, and the bucket `videos`."""

    def __init__(self) -> None:
        import boto3
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        admin = {"endpoint_url": self.endpoint, "aws_access_key_id": "x", "aws_secret_access_key": "x"}
        iam = boto3.client("iam", region_name="us-east-1", **admin)
        iam.create_user(UserName="videod")
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        iam.put_user_policy(UserName="videod", PolicyName="p", PolicyDocument=json.dumps(policy))
        made = iam.create_access_key(UserName="videod")["AccessKey"]
        self.access_key, self.secret_key = made["AccessKeyId"], made["SecretAccessKey"]
        self.client = boto3.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )
        self.client.create_bucket(Bucket="videos")
        self._check_signatures_after("0")

    def _check_signatures_after(self, calls: str) -> None:
        where, headers = self.endpoint + "/moto-api/reset-auth", {"Content-Type": "text/plain"}
        request = urllib.request.Request(where, data=calls.encode(), method="POST", headers=headers)
        urllib.request.urlopen(request).close()

    def section(self, **other: str) -> dict[str, str]:
        """What stands in [storage s3]."""
        made = {"endpoint": self.endpoint, "access_key": self.access_key, "secret_key": self.secret_key}
        return {**made, "allow_http": "yes", "buckets": "videos missing", **other}

    def content(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket="videos", Key=key)["Body"].read())

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """One for all: moto's backend belongs to the process."""
    pytest.importorskip("moto")
    pytest.importorskip("obstore")
    server = S3()
    yield server
    server.stop()


@contextmanager
def small(folder: Path, size: str) -> Iterator[Path]:
    """A folder on a disk of its own."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 10 MiB."""
    with small(tmp_path / "disk", "10m") as folder:
        yield folder


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 KiB."""
    with small(tmp_path / "disk", "400k") as folder:
        yield folder
