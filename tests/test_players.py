"""What browsers show of smart cuts: every frame, in order, also where copied and encoded ones meet."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import videos
from tests.daemon import Daemon, until
from tests.hardcases import CASES
from tests.media_fixtures import Studio
from tests.origin import Origin, Page
from tests.test_convert import convert, expected, path_of

pytestmark = pytest.mark.long

CHROMIUM = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
CHROMIUM += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio"]
CHROMIUM += ["--autoplay-policy=no-user-gesture-required", "--user-data-dir={profile}", "{url}"]
FIREFOX = ["firefox-esr", "--headless", "--no-remote", "--profile", "{profile}", "{url}"]
PREFERENCES = {
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "privacy.resistFingerprinting": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-sc_threshold", "0")
SOURCES = {
    "high": (*H264, "-bf", "3"),
    "baseline": (*H264, "-profile:v", "baseline"),
    "main-fields": (*H264, "-profile:v", "main", "-x264-params", "fake-interlaced=1"),
    "high-refs": (*H264, "-bf", "5", "-refs", "6", "-x264-params", "b-pyramid=normal:weightp=2"),
}


class Browser:
    """A headless browser with a profile of its own, for one page."""

    def __init__(self, name: str, folder: Path, url: str) -> None:
        folder.mkdir()
        lines = [f"user_pref({json.dumps(key)}, {json.dumps(value)});" for key, value in PREFERENCES.items()]
        (folder / "user.js").write_text("\n".join(lines))
        argv = [part.format(profile=folder, url=url) for part in (CHROMIUM if name == "chromium" else FIREFOX)]
        environ = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
        with open(folder / "said", "wb") as said:
            self._process = subprocess.Popen(argv, env=environ, stdout=said, stderr=said, start_new_session=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *exc: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def show(browser: str, folder: Path, origin: Origin, **plan: Any) -> dict[str, Any]:
    """What a browser tells of a plan, see player.html."""
    page = Path(__file__).with_name("player.html").read_bytes()
    origin.put("/player.html", Page(page, headers={"Content-Type": "text/html", "Cache-Control": "no-store"}))
    report = f"/report-{len(origin.seen())}"
    told = json.dumps({**plan, "report": report}).encode()
    origin.put("/plan.json", Page(told, headers={"Content-Type": "application/json", "Cache-Control": "no-store"}))
    with Browser(browser, folder, origin.url + "/player.html"):
        said = until(lambda: origin.stored.get(report), 120, f"{browser}: {report}")
    made: dict[str, Any] = json.loads(said)
    return made


def cut(studio: Studio, name: str) -> tuple[Path, list[int]]:
    """A smart cut with an encoded head, copied frames and an encoded tail; the numbers of its frames."""
    source = videos.encode(studio.master(), studio.new(f"{name}.mp4"), picture=SOURCES[name])
    out, made = studio.cut(source, 0.52, 4.47, "smart")
    assert (made.cut, made.frames) == ("smart", 99) and 60 < made.copied < 90
    return out, list(range(13, 112))


def codecs(path: Path) -> str:
    """The MIME type for media source extensions."""
    config = path.read_bytes().partition(b"avcC")[2]
    return f'video/mp4; codecs="avc1.{config[1:4].hex()}, mp4a.40.2"'


@pytest.mark.parametrize("how", ["file", "fragments"])
@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("browser", ["chromium", "firefox-esr"])
def test_every_frame_is_shown(
    studio: Studio,
    origin: Origin,
    tmp_path: Path,
    browser: str,
    name: str,
    how: str,
) -> None:
    if not shutil.which(browser):
        pytest.skip(f"no {browser}")
    path, wanted = cut(studio, name)
    times = sorted(videos.frame_times(path))
    if how == "fragments":
        fragments = "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets"
        path = videos.rewrap(path, studio.new("fragments.mp4"), "-movflags", fragments)
    url = origin.put("/clip.mp4", Page(path.read_bytes(), headers={"Content-Type": "video/mp4"}))
    order = list(range(len(wanted)))
    random.Random(name).shuffle(order)
    # the middle of each frame
    seeks = [(times[n] + 0.02, wanted[n]) for n in order]
    mime = codecs(path) if how == "fragments" else ""
    said = show(browser, tmp_path / "profile", origin, url=url, seeks=seeks, mime=mime)
    assert "error" not in said, said
    assert said["shown"] == [wanted[n] for n in order]
    played = said["played"]
    # what is painted depends on the machine, what is decoded does not
    assert played == sorted(played) and set(played) <= set(wanted) and len(played) > 5
    assert abs(said["duration"] - len(wanted) / 25) <= 0.05


@pytest.mark.parametrize("name", sorted({case.film for case in CASES if expected(case.film) == "done"}))
def test_what_convert_makes_is_played(
    daemon: Daemon, r, studio: Studio, origin: Origin, tmp_path: Path, name: str
) -> None:
    if not shutil.which("chromium"):
        pytest.skip("no chromium")
    daemon.start(allow_paths=studio.folder)
    done = convert(r, name.replace(" ", "-"), studio.film(name).path)
    path = path_of(done["outputs"][0])
    wanted, times = videos.numbers(path), sorted(videos.frame_times(path))
    url = origin.put("/clip.mp4", Page(path.read_bytes(), headers={"Content-Type": "video/mp4"}))
    some = sorted({0, len(wanted) // 3, len(wanted) // 2, len(wanted) - 1})
    ends = [*times[1:], times[-1] + 0.02]
    seeks = [((times[n] + ends[n]) / 2 - times[0], wanted[n]) for n in some]
    said = show("chromium", tmp_path / "profile", origin, url=url, seeks=seeks, rate=4)
    assert "error" not in said, said
    assert said["shown"] == [wanted[n] for n in some]
    # the only frame is shown before it plays
    assert set(said["played"]) <= set(wanted) and (said["played"] or len(wanted) == 1)
