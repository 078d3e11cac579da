"""Make the pictures of docs/web.md, by the browser of the tests:  python -m tests.screens [FOLDER]

A private Redis, a daemon, `videod web` and made videos; what is seen is what they did.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page as Window
from playwright.sync_api import sync_playwright

from tests.browser import FLAGS
from tests.conftest import RedisServer, pytest_configure
from tests.daemon import ROOT, Daemon, final, push
from tests.origin import Origin, Page
from tests.videos import ffmpeg
from tests.web import Web

SIZE = {"width": 960, "height": 760}


@contextmanager
def farm(folder: Path) -> Iterator[tuple[Daemon, Web, Any]]:
    """All that serves, in `folder`."""
    server = RedisServer(folder)
    server.start()
    daemon = Daemon(folder, server.url)
    daemon.node = daemon.settings["node"] = "video1"
    daemon.start(allow_hosts="* 127.0.0.1", max_attempts=5, retry_delay=600)
    web = Web(daemon).start()
    try:
        yield daemon, web, server.client()
    finally:
        web.stop()
        daemon.end()
        server.kill()


def film(path: Path, seconds: int) -> bytes:
    """A picture that shows its time, with a tone."""
    picture = ("-f", "lavfi", "-i", f"testsrc2=s=640x360:r=25:d={seconds}", "-f", "lavfi", "-i", f"sine=d={seconds}")
    ffmpeg(*picture, "-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-c:a", "aac", "-shortest", str(path))
    return path.read_bytes()


def visitors(window: Window, web: Web, out: Path, video: Path, url: str) -> None:
    """Upload, wait, watch; choose a clip."""
    window.goto(web.url)
    window.set_input_files("#files", str(video))
    window.click("#send")
    window.wait_for_selector("#job[data-state=running] #percent", timeout=60_000)
    window.wait_for_function("Number(document.querySelector('#percent')?.value) > 35", timeout=60_000)
    window.screenshot(path=out / "waiting.png")
    window.wait_for_selector("#job[data-state=done] video", timeout=120_000)
    window.goto(web.url + "/clip")
    window.fill("#address", url)
    window.click("main form button")
    window.wait_for_selector("#player", timeout=60_000)
    window.wait_for_function("document.querySelector('#player').readyState > 1")
    for picture, button in ((1, "start"), (4, "end")):
        window.click(f".picture >> nth={picture}")
        window.wait_for_function("!document.querySelector('#player').seeking")
        window.click(f"[data-set={button}]")
    window.screenshot(path=out / "clip.png", full_page=True)


def main() -> None:
    """Write the pictures."""
    pytest_configure()
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/screens"
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="videod-screens-"))
    try:
        with farm(folder) as (_, web, r), Origin() as origin, sync_playwright() as driver:
            body = film(folder / "Harbour, morning.avi.mp4", 60)
            url = origin.put("/harbour.mp4", body)
            ffmpeg(
                "-i",
                str(folder / "Harbour, morning.avi.mp4"),
                "-c:v",
                "mpeg4",
                "-q:v",
                "4",
                str(folder / "Harbour.avi"),
            )
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            window = browser.new_page(viewport=SIZE, bypass_csp=True)
            visitors(window, web, out, folder / "Harbour.avi", url)
            for n in range(9):
                push(r, {"id": f"talk-{n}", "url": url, "start": n * 5, "duration": 6})
            push(r, {"id": "gone", "url": origin.url + "/gone.mp4"})
            push(r, {"id": "later", "url": origin.put("/later.mp4", Page(status=503))})
            for ident in ("gone", *(f"talk-{n}" for n in range(9))):
                final(r, ident, 120)
            window.goto(web.url + "/admin")
            window.screenshot(path=out / "farm.png", full_page=True)
            browser.close()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
