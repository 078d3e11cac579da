"""A real browser on the pages of `videod web`: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web import Web

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--mute-audio", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    pytest.importorskip("starlette")
    if not shutil.which("chromium"):
        pytest.skip("no chromium")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


class Eyes:
    """One window; notes what the page complains of."""

    def __init__(self, context: Any, web: Web) -> None:
        self.page = context.new_page()
        self.web = web
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self._note(said))

    def _note(self, said: Any) -> None:
        # a lost connection is no fault of the page
        if said.type == "error" and "Failed to load resource" not in said.text:
            self.complaints.append(said.text)

    def upload(self, *files: Path) -> None:
        self.page.goto(self.web.url)
        self.page.set_input_files("#files", [str(file) for file in files])
        self.page.click("#send")

    def at_job(self) -> None:
        self.page.wait_for_url("**/j/w*", timeout=20_000)

    def state(self, wanted: str, seconds: float = 40) -> None:
        self.page.wait_for_selector(f"#job[data-state={wanted}]", timeout=seconds * 1000)


@pytest.fixture
def eyes(chromium: Any, web: Web) -> Iterator[Eyes]:
    context = chromium.new_context()
    made = Eyes(context, web)
    yield made
    context.close()
    assert made.complaints == []
