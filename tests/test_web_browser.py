"""`videod web` in a real browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import fcntl
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Eyes
from tests.conftest import RedisServer
from tests.daemon import Daemon, until
from tests.hostile_tools import behave, install
from tests.media_fixtures import Studio
from tests.origin import Origin, Page
from tests.test_web_login import PASSWORDS, section
from tests.web import Web

pytest.importorskip("playwright.sync_api")
pytest.importorskip("starlette")


@pytest.fixture
def video(studio: Studio) -> Path:
    return studio.film("silent").path


def test_upload_and_play_to_the_end(eyes: Eyes, daemon: Daemon, video: Path) -> None:
    eyes.upload(video)
    eyes.at_job()
    eyes.state("queued")
    assert "next in line" in eyes.page.inner_text("#words")
    daemon.start()
    eyes.state("done")
    played = eyes.page.evaluate(
        """async () => {
            const video = document.querySelector("video");
            video.playbackRate = 4;
            await video.play();
            const first = video.currentTime;
            await new Promise((done) => { video.onended = done; });
            return [first, video.currentTime, video.duration, video.videoWidth, video.error];
        }"""
    )
    first, at, duration, width, error = played
    assert error is None and width > 0 and first < at and abs(at - duration) < 0.1
    assert "ready" in eyes.page.inner_text("#said")
    assert eyes.page.get_attribute("video", "poster")
    with eyes.page.expect_download() as kept:
        eyes.page.click("text=Download")
    assert kept.value.suggested_filename == video.stem + ".mp4"


def test_what_is_no_video(eyes: Eyes, daemon: Daemon, tmp_path: Path) -> None:
    page = tmp_path / "page.mp4"
    page.write_text("<!doctype html><script>alert(1)</script>" + "x" * 1000)
    eyes.upload(page)
    eyes.page.wait_for_selector("#sending .bad")
    assert "is no video" in eyes.page.inner_text("#sending")
    seen = (
        "[...document.querySelectorAll('main *')].filter((e) => !e.children.length && e.textContent.includes('is no'))"
    )
    assert eyes.page.evaluate(f"{seen}.filter((e) => e.getBoundingClientRect().right > 0).length") == 1
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes(range(256)) * 400)
    daemon.start()
    eyes.upload(noise)
    eyes.at_job()
    eyes.state("dead")
    assert "no moving picture" in eyes.page.inner_text("#words") and daemon.node not in eyes.page.content()
    assert eyes.page.locator("#retry").count() == 0


def test_several_files_dropped(eyes: Eyes, daemon: Daemon, video: Path, tmp_path: Path) -> None:
    second = shutil.copy(video, tmp_path / '"><img src=x onerror=alert(1)>.mp4')
    eyes.page.on("dialog", lambda dialog: eyes.complaints.append(dialog.message))
    eyes.page.goto(eyes.web.url)
    data = eyes.page.evaluate_handle("() => new DataTransfer()")
    eyes.page.set_input_files("#files", [str(video), str(second)])
    eyes.page.evaluate(
        """(data) => {
            const field = document.querySelector("#files");
            for (const file of field.files) data.items.add(file);
            field.value = "";
        }""",
        data,
    )
    eyes.page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    # what is uploaded stands in the list, without a reload
    eyes.page.wait_for_selector("#videos li:nth-child(2) a")
    eyes.page.wait_for_selector("#sending li:nth-child(2) a[href^='/j/']")
    assert eyes.page.locator("#sending li .done").count() == 2
    eyes.page.reload()
    assert eyes.page.locator("main .rows:not(#sending) a").count() == 2
    assert '"><img src=x onerror=alert(1)>.mp4' in eyes.page.inner_text("main")
    eyes.page.click("text=onerror")
    eyes.state("queued")


@pytest.mark.long
def test_reload_and_restarts_at_each_stage(
    eyes: Eyes, chromium: Any, web: Web, daemon: Daemon, redis_server: RedisServer, video: Path
) -> None:
    """Each time the page says what is true: reloaded, in a second tab, and by itself when what it asks was away."""
    install(daemon.folder / "bin")
    behave(daemon.folder / "bin", "ffmpeg", "deaf")
    eyes.upload(video)
    eyes.at_job()
    for _ in range(2):
        eyes.state("queued")
        eyes.page.reload()
    assert web.stop(signal.SIGKILL) == -9
    eyes.page.wait_for_selector("#said:has-text('lost')")
    redis_server.kill()
    web.daemon.write()
    redis_server.start()
    web.start()
    daemon.start(environ={"PATH": f"{daemon.folder}/bin:/usr/sbin:/usr/bin:/bin"})
    eyes.state("running")
    eyes.page.wait_for_selector("#said:not(:has-text('lost'))", state="attached")
    eyes.page.reload()
    eyes.state("running")
    other = Eyes(eyes.page.context, web)
    other.page.goto(eyes.page.url)
    other.state("running")
    redis_server.kill()
    redis_server.start()
    other.page.click("#cancel")
    for window in (eyes, other):
        window.state("cancelled")
    assert daemon.stop("--now") in (0, 1)
    daemon.start()
    other.page.click("#retry")
    other.state("done")
    eyes.state("done")


def test_a_broken_upload_goes_on(
    eyes: Eyes, web: Web, daemon: Daemon, studio: Studio, tmp_path: Path, video: Path
) -> None:
    """The process dies in the middle, and the page is loaded anew: what is there is not sent again."""
    large = tmp_path / "large.mp4"
    large.write_bytes(video.read_bytes() + b"\0" * (40 << 20))
    session = eyes.page.context.new_cdp_session(eyes.page)
    session.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 4 << 20}
    session.send("Network.emulateNetworkConditions", slow)
    eyes.upload(large)
    uploads = Path(daemon.state) / "web/uploads"

    def there() -> int:
        return sum(file.stat().st_size for file in uploads.glob("*/file"))

    until(lambda: there() > 1 << 20, 20, "some of it is there")
    web.stop(signal.SIGKILL)
    had = there()
    eyes.page.wait_for_selector("#sending:has-text('lost')")
    web.start()
    until(lambda: there() > had, 20, "it goes on")
    eyes.page.on("dialog", lambda dialog: dialog.accept())
    eyes.page.goto(web.url)
    had = there()
    assert len(list(uploads.iterdir())) == 1
    assert "Not finished: large.mp4" in eyes.page.inner_text("#said")
    session.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    eyes.page.set_input_files("#files", str(large))
    eyes.page.click("#send")
    eyes.at_job()
    (kept,) = uploads.glob("*/file")
    assert kept.read_bytes() == large.read_bytes() and had > 1 << 20


def answered(page: Any, method: str, status: int) -> Any:
    return page.expect_response(lambda told: (told.request.method, told.status) == (method, status))


def test_stop_leaves_nothing_behind(eyes: Eyes, daemon: Daemon, video: Path) -> None:
    page, uploads = eyes.page, daemon.state / "web/uploads"
    page.goto(eyes.web.url)
    held: list[Any] = []
    page.route("**/files/*", lambda route: route.abort() if route.request.method == "PATCH" else route.continue_())
    page.set_input_files("#files", str(video))
    with answered(page, "POST", 201):
        page.click("#send")
    (file,) = uploads.glob("*/file")
    with file.open("rb") as writer:  # as the server is, until it knows that nothing more comes
        fcntl.flock(writer, fcntl.LOCK_EX)
        with answered(page, "DELETE", 423):
            page.click("#sending button")
    with answered(page, "DELETE", 204):
        pass
    assert list(uploads.iterdir()) == []
    # before its place is known
    page.route("**/files", lambda route: held.append(route))
    page.set_input_files("#files", str(video))
    with page.expect_request(lambda asked: asked.method == "POST"):
        page.click("#send")
    page.click("#sending li:last-child button")
    with answered(page, "DELETE", 204):
        held[0].continue_()
    assert list(uploads.iterdir()) == []


def test_without_javascript(chromium: Any, web: Web, daemon: Daemon, video: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(web.url)
    page.set_input_files("#files", str(video))
    page.click("#send")
    page.wait_for_url("**/j/w*")
    assert "next in line" in page.inner_text("#words")
    daemon.start()
    page.wait_for_selector("video", timeout=40_000)
    assert "ready" in page.inner_text("#words")
    context.close()


def log_in(browser: Any, web: Web, name: str, password: str) -> Eyes:
    made = Eyes(browser.new_context(), web)
    made.page.goto(web.url)
    made.page.wait_for_url("**/login?next=/")
    made.page.fill("#name", name)
    made.page.fill("#password", password)
    made.page.keyboard.press("Enter")
    made.page.wait_for_selector("#upload")
    return made


def test_two_users(chromium: Any, web: Web, daemon: Daemon, video: Path) -> None:
    web.stop()
    daemon.sections = section()
    daemon.write()
    web.start()
    anna, ben = (log_in(chromium, web, name, PASSWORDS[name]) for name in ("anna", "ben"))
    anna.upload(video)
    anna.at_job()
    ben.page.goto(anna.page.url)
    assert "There is no such page" in ben.page.inner_text("h1") and video.name not in ben.page.content()
    ben.page.goto(web.url)
    assert "There are none yet" in ben.page.inner_text("main")
    # the session ends while the page is open: it says so, and forgets what it showed
    anna.page.goto(web.url)
    kept = anna.page.context.cookies()
    anna.page.context.clear_cookies()
    anna.page.set_input_files("#files", str(video))
    anna.page.click("#send")
    anna.page.wait_for_selector("#sending .bad:has-text('You are logged out')")
    anna.page.context.add_cookies(kept)
    anna.page.goto(web.url)
    anna.page.click("text=Log out")
    anna.page.wait_for_url("**/login")
    anna.page.go_back()
    anna.page.reload()
    assert "/login" in anna.page.url
    for one in (anna, ben):
        one.page.context.close()


def test_another_site_cannot_act(eyes: Eyes, origin: Origin, video: Path) -> None:
    """Its forms, its scripts and its frames."""
    eyes.upload(video)
    eyes.at_job()
    job = eyes.page.url
    cookies = eyes.page.context.cookies()
    assert all(cookie["httpOnly"] and cookie["sameSite"] == "Lax" for cookie in cookies)
    attack = f"""<!doctype html><iframe id=f src="{job}"></iframe>
        <form method=post action="{job}/cancel"><input name=token value=x><button>win</button></form>"""
    url = origin.put("/attack.html", Page(attack.encode(), headers={"Content-Type": "text/html"}))
    eyes.page.goto(url.replace("127.0.0.1", "localhost"))
    sent = f"fetch('{job}/cancel', {{method: 'POST', credentials: 'include', mode: 'no-cors'}}).then(() => 1, () => 2)"
    eyes.page.evaluate(sent)
    frame = eyes.page.query_selector("#f").content_frame()
    assert frame is None or "silent" not in frame.content()
    eyes.page.click("button")
    eyes.page.wait_for_url("**/cancel")
    assert "Another site asked" in eyes.page.inner_text("h1")
    eyes.page.goto(job)
    eyes.state("queued")
    eyes.complaints.clear()  # what the browser says of the attack


def test_what_is_too_large(eyes: Eyes, web: Web, daemon: Daemon, tmp_path: Path) -> None:
    web.stop()
    daemon.sections = "[web]\nmax_upload = 1M\n"
    daemon.write()
    web.start()
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(2 << 20))
    eyes.upload(large)
    eyes.page.wait_for_selector("#sending .bad")
    assert "too large" in eyes.page.inner_text("#sending")
    context = eyes.page.context.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(web.url)
    page.set_input_files("#files", str(large))
    page.click("#send")
    page.wait_for_selector("h1:has-text('larger than')")
    context.close()


def test_who_is_over_a_quota_goes_on_later(eyes: Eyes, web: Web, daemon: Daemon, video: Path, tmp_path: Path) -> None:
    """What is there is not sent again."""

    def limited(line: str) -> None:
        web.stop()
        daemon.sections = f"[web]\n{line}\n"
        daemon.write()
        web.start()

    limited("quota_jobs = 1")
    eyes.upload(video)
    eyes.at_job()
    second = shutil.copy(video, tmp_path / "second.mp4")
    eyes.upload(second)
    eyes.page.wait_for_selector("#sending .bad:has-text('enough videos for today')")
    limited("")
    eyes.page.goto(web.url)
    assert "Not finished: second.mp4" in eyes.page.inner_text("#said")
    eyes.page.set_input_files("#files", str(second))
    eyes.page.click("#send")
    eyes.at_job()
    assert len(list((daemon.state / "web/uploads").iterdir())) == 2
