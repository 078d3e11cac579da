"""Pages of the sysadmin in Chromium: they keep themselves true, fit a phone, and complain of nothing."""

from __future__ import annotations

from typing import Any

from tests.daemon import Daemon, final, push
from tests.web import Web


def test_pages_keep_themselves_true(chromium: Any, daemon: Daemon, r, web: Web) -> None:
    daemon.command("start", "prod")
    context = chromium.new_context(viewport={"width": 360, "height": 740})
    page, complaints = context.new_page(), list[str]()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(f"{web.url}/admin")
    page.evaluate("window.mark = 1")
    push(r, {"id": "bad", "kind": "sleep", "fail": "damaged"})
    final(r, "bad")
    page.wait_for_selector("text=0 done, 1 failed (100.0 %)", timeout=20_000)
    assert page.evaluate("window.mark") == 1, "it was not loaded anew"
    for path in ("/admin", "/admin/jobs", "/admin/jobs/bad", "/admin/dead"):
        page.goto(web.url + path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.click("button[aria-label='Drop bad']")
    page.wait_for_selector("text=None.")
    assert r.llen("videod:dead") == 0
    page.goto(f"{web.url}/admin")
    page.click("#pause-all")
    page.wait_for_selector("#paused")
    page.click("#resume-all")
    page.wait_for_selector("#paused", state="detached")
    assert complaints == []
    context.close()
