"""Making clips on the web side: by address, or of an upload; no browser."""

from __future__ import annotations

import html
import json
import re
import secrets
from collections.abc import Iterator

import pytest

from tests import videos
from tests.daemon import Daemon
from tests.media_fixtures import Studio
from tests.origin import Origin
from tests.test_web_login import PASSWORDS, section
from tests.web import Client, Web, serving
from videod.config import Settings
from videod.jobqueue import Connection
from videod.jobqueue.pages import Page, Pages

pytest.importorskip("starlette")


@pytest.fixture
def web(daemon: Daemon, r) -> Iterator[Web]:
    daemon.start(allow_hosts="* 127.0.0.1", max_worker=2)
    with serving(daemon) as made:
        yield made


def looked(client: Client, **form: str) -> str:
    """The page on which a clip is chosen, when it is there."""
    done = client.post("/clip", form, on="/clip")
    assert done.status == 303, done.data.decode()
    place = done.headers["location"]
    assert client.ended(place.replace("/clip/", "/j/"))["state"] == "done"
    return place


def test_a_clip_by_address(client: Client, daemon: Daemon, studio: Studio, origin: Origin) -> None:
    film = studio.film("mp4")
    url = origin.put("/talk%20%3Cb%3E.mp4", film.path.read_bytes())
    place = looked(client, address=url + "?sig=a&b=c")
    page = client.page(place)
    assert "320 × 180" in page and "25 frames" in page and "talk &lt;b&gt;.mp4" in page
    (src,) = re.findall(r'<video id="player"[^>]* src="([^"]*)"', page)
    assert html.unescape(src) == url + "?sig=a&b=c"
    assert f"media-src 'self' http://127.0.0.1:{origin.port};" in client.get(place).headers["content-security-policy"]
    pictures = re.findall(r'<img src="([^"]*)"', page)
    assert len(pictures) == 8
    picture = client.get(pictures[3])
    assert picture.headers["content-type"] == "image/jpeg" and picture.data[:2] == b"\xff\xd8"
    done = client.post(place, {"start": "1.5", "end": "0:03.1"}, on=place)
    job = done.headers["location"]
    state = client.ended(job)
    assert state["state"] == "done" and state["outputs"][0]["duration"] == pytest.approx(1.6)
    (daemon.folder / "clip.mp4").write_bytes(client.get(state["outputs"][0]["href"]).data)
    wanted = [number for _, number in film.expected(1.5, 3.1)]
    assert videos.look(daemon.folder / "clip.mp4").numbers == wanted
    home = client.page("/")
    assert "talk &lt;b&gt;, 0:01.5–0:03.1.mp4" in home and f'href="{job}"' in home and place not in home
    assert client.get(place.replace("/clip/", "/j/")).headers["location"] == place


def test_a_clip_of_an_upload(client: Client, studio: Studio) -> None:
    film = studio.film("mp4")
    client.upload(film.path, "mine.mp4")
    (token,) = re.findall(r'name="upload" value="([^"]*)"', client.page("/clip"))
    place = looked(client, upload=token)
    assert f'src="{place}/source"' in client.page(place)
    part = client.get(f"{place}/source", headers={"Range": "bytes=0-9"})
    assert part.status == 206 and part.data == film.path.read_bytes()[:10]
    assert "sandbox" in part.headers["content-security-policy"]
    state = client.ended(client.post(place, {"start": "5", "end": ""}, on=place).headers["location"])
    assert state["outputs"][0]["duration"] == pytest.approx(1.0)
    stranger = Client(client.web)
    assert stranger.post("/clip", {"upload": token}, on="/clip").status == 404
    assert "mine.mp4" not in stranger.page("/clip")


@pytest.mark.parametrize(
    "address",
    ["", "http://[", "https://[::1", "file:///etc/passwd", "/etc/passwd", "ftp://example.org/a", "javascript:alert(1)", "http://10.0.0.1/a.mp4",
     "http://169.254.169.254/latest", "http://192.168.1.1/a.mp4", "https://" + "x" * 5000],
)  # fmt: skip
def test_addresses_that_are_none(client: Client, r, address: str) -> None:
    done = client.post("/clip", {"address": address}, on="/clip")
    assert done.status == 400 and 'role="alert"' in done.data.decode()
    if not address.startswith("http"):
        assert "http:// or https://" in done.data.decode()
    assert not r.keys("videod:job:*")


def test_times_that_are_wrong(client: Client, r, studio: Studio, origin: Origin) -> None:
    place = looked(client, address=origin.put("/a.mp4", studio.film("silent").path.read_bytes()))
    for start, end, said in (
        ("3", "2", "after the start"), ("soon", "", "Times are"), ("", "", "Set a start"), ("-1", "2", "Times are"),
    ):  # fmt: skip
        done = client.post(place, {"start": start, "end": end}, on=place)
        assert done.status == 400 and said in done.data.decode(), (start, end)
        typed = re.findall(r'name="(?:start|end)" value="([^"]*)"', done.data.decode())
        assert typed == [html.escape(start), html.escape(end)]
    done = client.post(place, {"start": "100", "end": ""}, on=place)
    assert done.status == 400 and "The video ends at 0:06." in done.data.decode()
    # an end past that of the video is its end, for who agrees
    done = client.post(place, {"start": "5", "end": "50"}, on=place)
    page = done.data.decode()
    assert done.status == 400 and "The video ends at 0:06: this is the end now." in page
    assert re.findall(r'name="(?:start|end)" value="([^"]*)"', page) == ["5", "6"]
    state = client.ended(client.post(place, {"start": "5", "end": "6.05"}, on=place).headers["location"])
    assert state["outputs"][0]["duration"] == pytest.approx(1.0)


def test_an_address_is_its_visitors_alone(daemon: Daemon, web: Web, studio: Studio, origin: Origin) -> None:
    """It may hold a login; and the browser of an admin who looks must not go where a user wants it to."""
    web.stop()
    daemon.sections = section()
    daemon.write()
    web.start()
    anna, root = Client(web), Client(web)
    for client, name in ((anna, "anna"), (root, "root")):
        assert client.log_in(name, PASSWORDS[name]).status == 303
    address = origin.put("/a.mp4", studio.film("silent").path.read_bytes()) + "?sig=s3cret"
    place = looked(anna, address=address)
    assert "s3cret" in anna.page(place)
    seen = root.get(place)
    assert seen.status == 200 and b"s3cret" not in seen.data and str(origin.port).encode() not in seen.data
    assert str(origin.port) not in seen.headers["content-security-policy"]
    assert "s3cret" in anna.page(again := place.replace("/clip/", "/clip?look="))
    assert "s3cret" not in root.page(again)


def test_what_cannot_be_looked_at(client: Client, origin: Origin) -> None:
    place = client.post("/clip", {"address": origin.put("/a", b"<!doctype html>")}, on="/clip").headers["location"]
    assert client.ended(place.replace("/clip/", "/j/"))["state"] == "dead"
    page = client.page(place)
    assert "no moving picture" in page and "Choose another video" in page
    # a clip may be asked for all the same: it ends as the look did
    done = client.post(place, {"start": "1"}, on="/clip")
    assert done.status == 303 and client.ended(done.headers["location"])["state"] == "dead"


def test_a_server_that_cannot_be_found(daemon: Daemon, web: Web, client: Client) -> None:
    """Who waits in a browser is told at once why, and goes back to the address; nobody else sees it."""
    daemon.end()
    daemon.start(max_attempts=5, retry_delay=600)
    address = "http://no-such-host.invalid/a.mp4?sig=s3cret"
    place = client.post("/clip", {"address": address}, on="/clip").headers["location"]
    assert client.ended(place.replace("/clip/", "/j/"))["state"] == "dead"
    page = client.page(place)
    assert "cannot be found or reached" in page
    (back,) = re.findall(r'href="(/clip[?][^"]*)"', page)
    assert f'value="{html.escape(address)}"' in client.page(back) and "s3cret" not in back
    assert "s3cret" not in client.page("/clip?look=nope") + client.page("/clip?look=w" + "x" * 24)


def test_jobs_of_strangers_reach_no_private_network(client: Client, r, studio: Studio, origin: Origin) -> None:
    place = looked(client, address=origin.put("/a.mp4", studio.film("silent").path.read_bytes()))
    message = json.loads(r.hget("videod:page:" + place.rpartition("/")[2], "message"))
    assert message["public_only"] is True and message["kind"] == "look"


def test_looks_push_no_video_from_the_first_page(web: Web, settings: Settings, connection: Connection) -> None:
    pages, client = Pages(settings, connection), Client(web)
    owner = re.search(r'data-owner="([^"]+)"', client.page("/"))[1]

    def submit(name: str, kind: str) -> None:
        ident = "w" + secrets.token_urlsafe(18)
        pages.submit(Page(ident, owner, name, "", json.dumps({"id": ident, "kind": kind}), ""), None)

    submit("the film.mp4", "clip")
    for n in range(60):
        submit(f"seen {n}", "look")
    assert "the film.mp4" in (shown := client.page("/")) and "seen" not in shown
