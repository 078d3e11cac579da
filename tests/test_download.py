"""The kind download through a real daemon: folders, archives, uploads, and files that are not what they should be."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, accounted, events, final, push, until
from tests.origin import Origin, Page
from tests.transfer_fixtures import S3

BODY = os.urandom(400_000)


def start(daemon: Daemon, **more: Any) -> None:
    daemon.start(**{"allow_hosts": "* 127.0.0.1", "retry_delay": 0.02, **more})


def download(ident: str, *files: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": ident, "kind": "download", "files": list(files), **more}


def listed(origin: Origin, **bodies: bytes | Page) -> list[dict[str, str]]:
    return [{"url": origin.put(f"/{name}", body), "name": name + ".bin"} for name, body in bodies.items()]


def below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sums(body: bytes) -> tuple[int, str]:
    return len(body), hashlib.sha256(body).hexdigest()


def failed(end: dict[str, Any]) -> dict[str, str]:
    """{name: code} of the files that failed."""
    assert (end["event"], end["error"]["code"]) == ("dead", "partial"), end
    return {entry["fn"]: entry["error"].partition(":")[0] for entry in end["error"]["files"]}


def test_files_in_their_folder(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon)
    files = listed(origin, a=BODY, b=b"", c=Page(BODY[:70_000], chunked=True), d=Page(BODY, length=-1))
    files.append({"url": origin.put("/e.txt?x=1", b"e"), "name": "sub/e", "sha256": sums(b"e")[1].upper()})
    origin.put("/e.txt", b"e")
    local = daemon.folder / "local.dat"
    local.write_bytes(BODY)
    files.append({"url": str(local), "name": "local"})
    push(r, download("d", *files, reply_to="reply:d"))
    end = final(r, "d")
    assert end["event"] == "done", end
    folder = daemon.state / "downloads" / "d"
    expected = {
        "a.bin": BODY,
        "b.bin": b"",
        "c.bin": BODY[:70_000],
        "d.bin": BODY,
        "sub/e.txt": b"e",
        "local.dat": BODY,
    }
    assert below(folder) == expected
    for n, (name, output) in enumerate(zip(expected, end["outputs"], strict=True), 1):
        size, digest = sums(expected[name])
        assert output == {"n": n, "url": f"file://{folder}/{name}", "bytes": size, "sha256": digest}
        assert (folder / name).stat().st_mode & 0o777 == 0o644
    told = [json.loads(text) for text in reversed(r.lrange("reply:d", 0, -1))]
    assert [event["event"] for event in told] == ["started", *["output"] * 6, "done"]
    assert r.hget("videod:job:d", "percent") == "100"
    accounted(r, ["d"])


BAD = {
    "files: is missing": {},
    "files: is not a list": {"files": []},
    "files[0].url: is missing": {"files": [{"name": "a"}]},
    "files[0].name: is missing": {"files": [{"url": "https://192.0.2.1/a"}]},
    "files[0].sha256: is not 64": {"files": [{"url": "https://192.0.2.1/a", "name": "a", "sha256": "abc"}]},
    "files[1].url: this host": {"files": [{"url": "https://192.0.2.1/a", "name": "a"},
                                          {"url": "http://127.0.0.9/b", "name": "b"}]},
    "files[0].url: outside of": {"files": [{"url": "file:///etc/passwd", "name": "a"}]},
    "zip: is neither": {"files": [{"url": "https://192.0.2.1/a", "name": "a"}], "zip": "yes"},
    "upload: outside": {"files": [{"url": "https://192.0.2.1/a", "name": "a"}], "upload": "file:///etc/"},
    "upload: two files": {"files": [{"url": "https://192.0.2.1/a", "name": n} for n in "ab"], "upload": "CLIPS/x"},
}  # fmt: skip


def test_bad_messages(daemon: Daemon, r) -> None:
    start(daemon)
    for n, more in enumerate(BAD.values()):
        push(r, json.dumps({"id": f"b{n}", "kind": "download", **more}).replace("CLIPS", f"file:{daemon.clips}"))
    for n, text in enumerate(BAD):
        end = final(r, f"b{n}")
        assert end["event"] == "dead" and end["error"]["message"].startswith(text), end
        assert [event["event"] for event in events(r, f"b{n}")] == ["dead"]


def test_files_that_are_not_what_they_should_be(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon, deny_hosts="127.0.0.9", max_source_bytes=1_000_000, max_attempts=2)
    origin.redirect("/away", f"http://127.0.0.9:{origin.port}/a")
    origin.redirect("/round", "/round")
    origin.redirect("/near", origin.url + "/a")
    files = listed(
        origin,
        a=BODY,
        wrong=BODY,
        short=Page(BODY, length=len(BODY) + 1),
        big=Page(os.urandom(1_000_001)),
        endless=Page(os.urandom(1_500_000), length=-1),
        login=Page(b"x", user="a:b"),
        coded=Page(b"x", headers={"Content-Encoding": "gzip"}),
        silent=Page(silent=True),
    )
    files[1]["sha256"] = "0" * 64
    files += [{"url": origin.url + path, "name": path[1:]} for path in ("/away", "/round", "/near")]
    push(r, download("w", *files))
    end = final(r, "w")
    assert failed(end) == {
        "wrong.bin": "damaged", "short.bin": "fetch_failed", "big.bin": "too_big", "endless.bin": "too_big",
        "login.bin": "denied", "coded.bin": "fetch_failed", "silent.bin": "fetch_failed",
        "away": "forbidden_source", "round": "fetch_failed",
    }  # fmt: skip
    assert below(daemon.state / "downloads" / "w") == {"a.bin": BODY, "near": BODY}
    assert len(origin.seen("/silent")) == 2 and len(origin.seen("/wrong")) == 1
    accounted(r, ["w"])


def test_a_source_that_changed_is_not_glued(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon)
    new = os.urandom(300_000)
    files = listed(origin, a=BODY)
    origin.put("/a", Page(BODY, cut_after=200_000), Page(new))
    origin.put("/b", Page(BODY, cut_after=200_000, reset=True), Page(BODY, cut_after=100_000), Page(BODY))
    origin.put("/c", Page(BODY, cut_after=200_000, etag="", last_modified=""), Page(new))
    origin.put("/d", Page(BODY, cut_after=200_000), Page(new, if_range=False))
    other = Page(BODY[::-1], etag="", last_modified="Mon, 02 Jan 2023 03:04:06 GMT", if_range=False)
    origin.put("/e", Page(BODY, cut_after=200_000, etag=""), other)
    files += [{"url": f"{origin.url}/{name}", "name": name} for name in "bcde"]
    push(r, download("c", *files))
    assert final(r, "c")["event"] == "done"
    assert below(daemon.state / "downloads" / "c") == {"a.bin": new, "b": BODY, "c": new, "d": new, "e": other.body}
    assert [seen.range for seen in origin.seen("/c")] == ["", ""]


def test_an_archive(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon)
    bodies = {f"f{n}": os.urandom(n * 20_000) for n in range(12)}
    push(r, download("z", *listed(origin, **bodies), zip=True))
    end = final(r, "z")
    assert end["event"] == "done", end
    packed = (daemon.state / "downloads/z/z.zip").read_bytes()
    (output,) = end["outputs"]
    assert output == {
        "n": 1,
        "url": f"file://{daemon.state}/downloads/z/z.zip",
        **dict(zip(("bytes", "sha256"), sums(packed), strict=True)),
    }
    opened(packed, bodies)
    assert sorted(os.listdir(daemon.state / "downloads")) == ["z"]

    push(r, download("u", *listed(origin, **bodies), zip=True, upload=f"file:{daemon.clips}/{{id}}.zip"))
    assert final(r, "u")["event"] == "done"
    opened((daemon.clips / "u.zip").read_bytes(), bodies)
    assert sorted(os.listdir(daemon.state / "downloads")) == ["z"]

    push(r, download("p", *listed(origin, **bodies), {"url": origin.url + "/none", "name": "x"}, zip=True))
    assert failed(final(r, "p")) == {"x": "not_found"}
    assert sorted(os.listdir(daemon.state / "downloads")) == ["z"]
    done = daemon.command("push", "--wait", json.dumps(download("p", {"url": origin.url + "/none", "name": "x"})))
    assert (done.returncode, done.stderr.splitlines()[-1].partition(":")[0]) == (1, "x"), done
    assert sorted(os.listdir(daemon.state / "downloads")) == ["p", "z"]
    accounted(r, ["z", "u", "p", "p"])


def opened(packed: bytes, bodies: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        assert {entry.filename: archive.read(entry) for entry in archive.infolist()} == {
            name + ".bin": body for name, body in bodies.items()
        }
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_uploads(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon)
    files = listed(origin, a=BODY, b=b"b", c=b"c")
    files[1]["name"] = "../b"
    push(r, download("u", *files, upload=f"file:{daemon.clips}/{{id}}/{{n}}-{{name}}.{{ext}}"))
    assert failed(end := final(r, "u")) == {"../b": "bad_message"}
    assert below(daemon.clips) == {"u/1-a.bin": BODY, "u/2-c.bin": b"c"}
    assert [event["n"] for event in events(r, "u") if event["event"] == "output"] == [1, 3], end
    push(r, download("h", files[0], upload=origin.url + "/put/{id}-{n}.{ext}"))
    assert final(r, "h")["event"] == "done"
    assert origin.stored == {"/put/h-1.bin": BODY}
    assert os.listdir(daemon.state / "downloads") == []


def test_kill_9_between_the_uploads(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon)
    bodies = {name: os.urandom(30_000) for name in "abc"}
    origin.put("/put/2", Page(stall_after=0, body=b"x"))
    push(r, download("k", *listed(origin, **bodies), upload=origin.url + "/put/{n}"))
    until(lambda: origin.seen("/put/2"), 20, "the second is sent")
    daemon.kill()
    origin.pages.pop("/put/2")
    daemon.start()
    end = final(r, "k")
    assert [output["n"] for output in end["outputs"]] == [1, 2, 3]
    assert [len(origin.seen("/" + name)) for name in "abc"] == [1, 1, 1], "fetched once"
    assert len(origin.seen("/put/1")) == 1 and origin.stored["/put/3"] == bodies["c"]
    assert [event["n"] for event in events(r, "k") if event["event"] == "output"] == [1, 2, 3]
    assert os.listdir(daemon.state / "downloads") == []


def test_what_others_left_in_the_folder(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon, max_attempts=2)
    folder, outside = daemon.state / "downloads" / "l", daemon.folder / "outside"
    folder.mkdir(parents=True)
    outside.write_bytes(b"outside")
    (folder / "a.bin").symlink_to(outside)
    (folder / "b.bin.part").symlink_to(outside)
    (folder / "c.bin.part").hardlink_to(outside)
    (folder / "d.bin.part").write_bytes(b"garbage" * 1000)
    (folder / "d.bin.part.note").write_text('{"url": 1, "total": true}')
    os.mkfifo(folder / "e.bin.part")
    (folder / "f.bin.part.note").symlink_to(outside)
    (folder / "g.bin").mkdir()
    (folder / "h.bin").write_bytes(b"old")
    push(r, download("l", *listed(origin, **dict.fromkeys("abcdefgh", BODY))))
    assert failed(final(r, "l")) == {"g.bin": "upload_denied"}
    assert below(folder) == dict.fromkeys([f"{name}.bin" for name in "abcdefh"], BODY)
    assert not (folder / "a.bin").is_symlink()
    assert outside.read_bytes() == b"outside"

    (folder.parent / "link").symlink_to(daemon.folder)
    push(r, download("link", *listed(origin, a=BODY)))
    assert final(r, "link")["error"]["code"] == "upload_denied"
    assert not (daemon.folder / "a.bin").exists()

    files = listed(origin, a=BODY, h=b"other", i=b"i")
    push(r, {**download("l", *files), "overwrite": False})
    until(lambda: len([e for e in events(r, "l") if e["event"] == "dead"]) == 2, 20, "it ended again")
    assert failed(events(r, "l")[-1]) == {"h.bin": "upload_denied"}
    assert (folder / "h.bin").read_bytes() == BODY and (folder / "i.bin").read_bytes() == b"i"


def test_a_source_of_its_own(daemon: Daemon, r, tls_files: tuple[Path, Path, Path]) -> None:
    ca, *pair = tls_files
    daemon.sections = f"[source localhost]\nca_file = {ca}\nuser = me\npassword = s3cret\nlimit_rate = 2M\n"
    with Origin("127.0.0.1", tls=(pair[0], pair[1])) as safe, Origin() as plain:
        url = safe.url.replace("127.0.0.1", "localhost")
        safe.put("/a", Page(BODY, user="me:s3cret"))
        plain.put("/b", b"b")
        safe.redirect("/b", plain.url + "/b")
        start(daemon, allow_hosts="* localhost 127.0.0.1")
        push(r, download("s", {"url": url + "/a", "name": "a"}, {"url": url + "/b", "name": "b"}))
        assert final(r, "s")["event"] == "done"
        assert below(daemon.state / "downloads" / "s") == {"a": BODY, "b": b"b"}
        assert "authorization" not in plain.seen("/b")[0].headers


def test_an_object_store(daemon: Daemon, r, s3: S3) -> None:
    s3.client.put_object(Bucket="videos", Key="dir/a.bin", Body=BODY)
    daemon.sections = "[storage s3]\n" + "\n".join(f"{key} = {value}" for key, value in s3.section().items()) + "\n"
    start(daemon)
    push(r, download("o", {"url": "s3://videos/dir/a.bin", "name": "a"}, {"url": "s3://videos/none", "name": "b"}))
    assert failed(final(r, "o")) == {"b": "not_found"}
    assert below(daemon.state / "downloads" / "o") == {"a.bin": BODY}


def test_what_moves_nothing_and_what_takes_too_long(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon, stall_timeout=1)
    push(r, download("s", *listed(origin, a=b"a", still=Page(BODY, stall_after=1000))))
    assert failed(final(r, "s")) == {"still.bin": "stalled"}
    assert below(daemon.state / "downloads" / "s") == {"a.bin": b"a"}
    daemon.stop()
    start(daemon, stall_timeout=60)
    push(r, {**download("t", *listed(origin, a=b"a", slow=Page(BODY, rate=20_000))), "timeout": 1})
    end = final(r, "t")
    assert end["error"]["code"] == "timeout"
    assert below(daemon.state / "downloads" / "t") == {"a.bin": b"a"}


def test_a_disk_without_room(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon)
    huge = Page(b"x", length=1 << 50)
    push(r, download("f", *listed(origin, a=b"a", huge=huge)))
    assert failed(final(r, "f")) == {"huge.bin": "too_big"}
    daemon.stop()
    start(daemon, max_source_bytes=0)
    push(r, download("g", *listed(origin, huge=huge)))
    assert final(r, "g")["error"]["code"] == "disk_full"


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_it_goes_on_after_a_drain_and_after_a_crash(daemon: Daemon, r, origin: Origin, how: str) -> None:
    start(daemon)
    push(r, download("g", *listed(origin, a=Page(BODY, stall_after=300_000))))
    part = daemon.state / "downloads/g/a.bin.part"
    until(lambda: part.exists() and part.stat().st_size >= 262_144, 20, "it is under way")
    daemon.kill() if how == "crash" else daemon.stop("--now")
    origin.put("/a", Page(BODY))
    daemon.start()
    end = final(r, "g")
    assert end["event"] == "done" and below(part.parent) == {"a.bin": BODY}
    assert origin.seen("/a")[1].range.startswith("bytes=")
    assert origin.seen("/a")[1].headers["if-range"] == Page(BODY).tag
    assert end["fetched_bytes"] <= len(BODY) - 262_144


@pytest.mark.parametrize("shared", [True, False])
def test_another_node_goes_on(daemon: Daemon, r, redis_server, origin: Origin, tmp_path: Path, shared: bool) -> None:
    """With the same folder where the first stood, else anew; what was said is not said again."""
    start(daemon, lease=2)
    folder = tmp_path / "other"
    folder.mkdir()
    other = Daemon(folder, redis_server.url)
    try:
        first = {f"f{n}": origin.put(f"/{n}", os.urandom(1000)) for n in range(20)}
        slow = origin.put("/slow", Page(BODY, stall_after=300_000))
        files = [{"fn": name, "url": url} for name, url in {**first, "slow": slow}.items()]
        push(r, {"task_id": "t", "task_info": files})
        part = daemon.state / "downloads/t/slow.part"
        reply = "batch_download_resp_t"
        until(lambda: r.llen(reply) == 21 and part.exists() and part.stat().st_size >= 262_144, 20, "it is under way")
        origin.put("/slow", Page(BODY))
        same = {"download_dir": daemon.state / "downloads"} if shared else {}
        start(other, node="other", lease=2, **same)
        daemon.kill()
        end = final(r, "batch:t", 60)
        assert (end["event"], end["node"]) == ("done", "other"), end
        said = r.lrange(reply, 0, -1)[::-1]
        assert (said[0], sorted(said[1:-2]), said[-2:]) == ("start", sorted(first), ["slow", "end"])
        made = below((daemon if shared else other).state / "downloads/t")
        assert len(made) == 21 and made["slow"] == BODY
        assert len(origin.seen("/0")) == (1 if shared else 2)
    finally:
        other.end()


def test_through_the_proxy_of_the_settings(daemon: Daemon, r, origin: Origin) -> None:
    """The origin plays the proxy: it serves absolute targets as paths."""
    url = "http://files.example.org/a.bin"
    origin.pages[url] = [Page(BODY, cut_after=100_000, user=""), Page(BODY, user="")]
    start(daemon, proxy=f"http://me:pr0xy@127.0.0.1:{origin.port}")
    push(r, download("p", {"url": url, "name": "a.bin"}))
    assert final(r, "p")["event"] == "done"
    assert below(daemon.state / "downloads/p") == {"a.bin": BODY}
    push(r, download("inside", {"url": "http://169.254.169.254/latest", "name": "b.bin"}))
    assert final(r, "inside")["error"]["code"] == "forbidden_source"
    assert [seen.path for seen in origin.seen()] == [url, url]
    assert all(seen.headers["proxy-authorization"].startswith("Basic ") for seen in origin.seen())
    assert "pr0xy" not in daemon.log + json.dumps(events(r))
