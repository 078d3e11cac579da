"""Where clips go, through the real daemon: PUT to nginx, S3 with checked signatures, rclone, a bad day each."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, events, final, push
from tests.transfer_fixtures import S3, ArgvWatch, WebDav


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("video")
    return videos.encode(videos.make_master(folder / "m.mkv", seconds=3.0), folder / "v.mp4").read_bytes()


@pytest.fixture
def source(daemon: Daemon, video: bytes) -> Path:
    path = daemon.folder / "talk.mp4"
    path.write_bytes(video)
    return path


def test_put_with_a_signed_query(daemon: Daemon, r, source: Path, nginx: WebDav) -> None:
    daemon.start(allow_hosts="* 127.0.0.1")
    target = f"{nginx.url}/clips/{{id}}/{{name}}-{{n}}.{{ext}}?X-Amz-Signature=s3cretsig"
    push(r, {"id": "p", "url": str(source), "clips": [{"end": 1}, {"start": 1, "end": 2}], "upload": target})
    done = final(r, "p")
    assert done["event"] == "done", done
    for output, n in zip(done["outputs"], (1, 2), strict=True):
        assert output["url"] == f"{nginx.url}/clips/p/talk-{n}.mp4"
        made = nginx.root / f"clips/p/talk-{n}.mp4"
        assert hashlib.sha256(made.read_bytes()).hexdigest() == output["sha256"]
        assert videos.numbers(made) == list(range(25 * n - 25, 25 * n))
    assert "s3cretsig" not in daemon.log + json.dumps(events(r)) + daemon.command("show", "p").stdout
    accounted(r, ["p"])


def test_s3_with_the_secret_nowhere(daemon: Daemon, r, source: Path, s3: S3, argv_watch: ArgvWatch) -> None:
    secret = daemon.folder / "secrets.ini"
    section = "\n".join(f"{key} = {value}" for key, value in s3.section().items())
    secret.write_text(f"[storage s3]\n{section}\n")
    secret.chmod(0o600)
    daemon.start(secrets_file=secret)
    push(r, {"id": "s", "url": str(source), "end": 1, "upload": "s3://videos/{id}.{ext}"})
    done = final(r, "s")
    assert done["event"] == "done", done
    assert done["outputs"][0]["url"] == "s3://videos/s.mp4"
    assert hashlib.sha256(s3.content("s.mp4")).hexdigest() == done["outputs"][0]["sha256"]
    push(r, {"id": "same", "url": str(source), "start": 1, "end": 2, "upload": "s3://videos/s.mp4", "overwrite": False})
    push(r, {"id": "none", "url": str(source), "end": 1, "upload": "s3://missing/s.mp4"})
    push(r, {"id": "other", "url": str(source), "end": 1, "upload": "s3://not-ours/s.mp4"})
    for ident in ("same", "none", "other"):
        assert final(r, ident)["error"]["code"] == "upload_denied", ident
    shown = daemon.log + json.dumps(events(r)) + daemon.command("check", "prod").stdout + "".join(argv_watch.of(""))
    assert s3.secret_key not in shown
    accounted(r, ["s", "same", "none", "other"])


def test_the_source_may_lie_in_the_store_too(daemon: Daemon, r, video: bytes, s3: S3) -> None:
    s3.client.put_object(Bucket="videos", Key="in/talk.mp4", Body=video)
    daemon.sections = "[storage s3]\n" + "\n".join(f"{key} = {value}" for key, value in s3.section().items()) + "\n"
    daemon.start()
    push(r, {"id": "s", "url": "s3://videos/in/talk.mp4", "start": 1, "end": 2})
    done = final(r, "s")
    assert done["event"] == "done", done
    assert done["fetched_bytes"] == len(video)
    assert videos.numbers(Path(done["outputs"][0]["url"].removeprefix("file://"))) == list(range(25, 50))
    push(r, {"id": "n", "url": "s3://videos/nothing.mp4", "end": 1})
    assert final(r, "n")["error"]["code"] == "not_found"


def test_rclone(daemon: Daemon, r, source: Path) -> None:
    config = daemon.folder / "rclone.conf"
    config.write_text(f"[disk]\ntype = alias\nremote = {daemon.folder}/remote\n")
    daemon.sections = f"[storage rclone]\nconfig = {config}\nbuckets = disk\n"
    daemon.start()
    push(r, {"id": "r", "url": str(source), "end": 1, "upload": "rclone:disk:a/{id}.{ext}"})
    push(r, {"id": "n", "url": str(source), "end": 1, "upload": "rclone:other:a/{id}.{ext}"})
    done = final(r, "r")
    assert done["event"] == "done", done
    assert videos.numbers(daemon.folder / "remote/a/r.mp4") == list(range(25))
    assert final(r, "n")["error"]["code"] == "upload_denied"


def test_overwrite_false_keeps_what_is_there(daemon: Daemon, r, source: Path) -> None:
    daemon.start()
    daemon.clips.mkdir()
    (daemon.clips / "x.mp4").write_bytes(b"precious")
    message = {"url": str(source), "end": 1, "upload": f"file:{daemon.clips}/x.mp4"}
    push(r, {"id": "a", "overwrite": False, **message})
    assert final(r, "a")["error"]["code"] == "upload_denied"
    assert (daemon.clips / "x.mp4").read_bytes() == b"precious"
    push(r, {"id": "b", **message})
    assert final(r, "b")["event"] == "done"
    push(r, {"id": "c", "overwrite": False, **message})
    assert final(r, "c")["event"] == "done"  # the same content again is no harm
    assert [path.name for path in daemon.clips.iterdir()] == ["x.mp4"]


def test_an_upload_that_fails_may_pass_and_says_so(daemon: Daemon, r, source: Path, nginx: WebDav) -> None:
    daemon.start(allow_hosts="* 127.0.0.1")
    push(r, {"id": "gone", "url": str(source), "end": 1, "upload": "http://127.0.0.1:9/x.mp4"})
    push(r, {"id": "none", "url": str(source), "end": 1, "upload": f"{nginx.url}/none/x.mp4"})
    assert final(r, "gone")["error"]["code"] == "upload_failed"
    error = final(r, "none")["error"]
    assert (error["code"], error["stage"]) == ("upload_denied", "upload")
    assert r.hget("videod:job:gone", "percent") != "100"
