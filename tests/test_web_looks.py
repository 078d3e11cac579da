"""How the pages look and read: axe finds nothing serious, they fit a phone, a keyboard is enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Eyes
from tests.daemon import Daemon, final, push, until
from tests.media_fixtures import Studio

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
SERIOUS = {"serious", "critical"}
PHONE = {"width": 360, "height": 700}
DESK = {"width": 1280, "height": 900}


def fits_and_reads(eyes: Eyes, name: str) -> None:
    """In both colours, and at both widths."""
    found = []
    for scheme, size in (("light", PHONE), ("dark", DESK)):
        eyes.page.emulate_media(color_scheme=scheme)
        eyes.page.set_viewport_size(size)
        wide = eyes.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found += [f"{name}: {wide} pixels too wide at {size['width']}"] if wide > 0 else []
        answer = axe.Axe().run(eyes.page).response
        found += [
            f"{name}, {scheme}, {size['width']}: {wrong['id']}: {wrong['nodes'][0]['html'][:200]}"
            for wrong in answer["violations"]
            if wrong["impact"] in SERIOUS
        ]
    assert not found, "\n".join(found)


def test_pages_of_who_waits(eyes: Eyes, daemon: Daemon, studio: Studio, tmp_path: Path) -> None:
    page = eyes.page
    page.goto(eyes.web.url)
    fits_and_reads(eyes, "upload")
    long = tmp_path / ("a name without end " * 10 + "<b>.mp4")
    long.write_bytes(studio.film("silent").path.read_bytes())
    eyes.upload(long)
    eyes.at_job()
    eyes.state("queued")
    fits_and_reads(eyes, "queued")
    daemon.start()
    eyes.state("done")
    fits_and_reads(eyes, "done")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(studio.film("silent").path.read_bytes()[:3000])
    eyes.upload(broken)
    eyes.at_job()
    eyes.state("dead")
    fits_and_reads(eyes, "dead")
    page.goto(eyes.web.url)
    fits_and_reads(eyes, "list")
    page.goto(eyes.web.url + "/j/w" + "x" * 24)
    fits_and_reads(eyes, "missing")


def test_pages_of_the_clip_maker(eyes: Eyes, daemon: Daemon, studio: Studio) -> None:
    page = eyes.page
    daemon.start()
    eyes.upload(studio.film("mp4").path)
    eyes.at_job()
    page.goto(eyes.web.url + "/clip")
    fits_and_reads(eyes, "clip")
    page.click("main li button")
    page.wait_for_selector("#player")
    until(lambda: page.evaluate("document.querySelector('#player').readyState > 0"), 10, "it is so")
    fits_and_reads(eyes, "choose")
    # by keyboard alone: a picture, start, another picture, end, and off it goes
    for selector in (".picture >> nth=2", "[data-set=start]", ".picture >> nth=5", "[data-set=end]"):
        page.focus(selector)
        page.keyboard.press("Enter")
        until(lambda: page.evaluate("!document.querySelector('#player').seeking"), 10, "it is so")
    start, end = float(page.input_value("#start")), float(page.input_value("#end"))
    assert 0 < start < end < 6
    page.focus("#end")
    page.keyboard.press("Enter")
    eyes.at_job()
    eyes.state("done")
    until(lambda: page.evaluate("document.querySelector('video').readyState > 0"), 10, "it is there")
    assert page.evaluate("document.querySelector('video').duration") == pytest.approx(end - start, abs=0.1)


def test_pages_of_the_sysadmin(eyes: Eyes, daemon: Daemon, studio: Studio, r) -> None:
    daemon.write(allow_paths=studio.folder)
    daemon.start()
    push(
        r,
        {"id": "one-" + "x" * 100, "url": str(studio.film("silent").path), "end": 1},
        "{not JSON",
        {"id": "sleeps", "kind": "sleep", "seconds": 60},
    )
    final(r, "one-" + "x" * 100)
    for place in ("", "/jobs", "/jobs?state=dead&text=x", "/jobs/one-" + "x" * 100, "/dead"):
        eyes.page.goto(f"{eyes.web.url}/admin{place}")
        fits_and_reads(eyes, place)


def test_tables_and_charts_are_read_on_a_phone_and_a_desk(eyes: Eyes, daemon: Daemon, studio: Studio, r) -> None:
    """Nothing is cut, too small or out of line."""
    page = eyes.page
    daemon.start()
    push(r, {"id": "bad", "kind": "sleep", "fail": "damaged"}, {"id": "long-" + "x" * 100, "kind": "sleep"})
    final(r, "bad"), final(r, "long-" + "x" * 100)
    r.hset("videod:job:bad", mapping={"origin": "o" * 100, "fetched_bytes": 3 << 20, "stages": '{"fetch": 1}'})
    page.set_viewport_size({"width": 375, "height": 800})
    page.goto(f"{eyes.web.url}/admin")
    heights = "[...document.querySelectorAll('.chart text')].map(e => e.getBoundingClientRect().height)"
    assert min(page.evaluate(heights)) > 9, "labels of charts"
    assert page.evaluate("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('[aria-label=Queues]'))")
    assert page.inner_text(".legend").split() == ["done", "failed", "cancelled"]
    assert "CPU seconds" in page.inner_text("main")
    page.goto(f"{eyes.web.url}/admin/jobs/bad")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    facts = page.inner_text(".facts")
    assert "Fetched\t3.0 MiB" in facts and "Taken from\tooo" in facts and "_" not in facts and "UTC" in facts
    assert page.inner_text("h1") == "sleep bad"
    eyes.upload(studio.film("silent").path)
    eyes.at_job()
    eyes.state("done")
    eyes.upload(studio.film("silent").path)
    eyes.at_job()
    eyes.state("done")
    r.hset("videod:job:" + page.url.rpartition("/")[2], "state", "cancelled")
    page.goto(eyes.web.url)
    assert page.locator("#videos .cancelled").count() == page.locator("#videos .done").count() == 1
    lefts = page.evaluate("[...document.querySelectorAll('#videos .state')].map(e => e.getBoundingClientRect().left)")
    assert len(set(lefts)) == 1, f"states out of line: {lefts}"
    page.set_viewport_size({"width": 1200, "height": 800})
    page.goto(f"{eyes.web.url}/admin/jobs")
    wide = page.evaluate("document.querySelector('.jobs th:last-child').getBoundingClientRect().width")
    assert wide > 350, "the column What"
    tops = page.evaluate("[...document.querySelectorAll('.filters label')].map(e => e.getBoundingClientRect().top)")
    assert len(set(tops)) <= 2, f"labels out of line: {tops}"


def test_a_keyboard_is_enough(eyes: Eyes, web: Any) -> None:
    page = eyes.page
    page.goto(web.url)
    seen: list[str] = []
    where: Callable[[], str] = lambda: page.evaluate("document.activeElement.id || document.activeElement.className")  # noqa: E731
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(where())
    assert seen[0] == "skip" and "files" in seen and "send" in seen
    page.goto(web.url)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
