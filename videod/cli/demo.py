"""demo: the whole chain on this machine: a private Redis, a made video, one clip, its frames counted."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from videod.cancel import Cancel
from videod.cli import daemon, web
from videod.cli.push import prepared, queue
from videod.cli.wait import Watch, report
from videod.cli.where import config, connect, look
from videod.config import Settings
from videod.errors import UsageError
from videod.fields import seconds
from videod.process import Guardian, Tools

Say = Callable[[str], None]
SECONDS, RATE = 20, 25
INI = """# made by `videod demo`
[local]
redis = embedded
state_dir = {folder}/state
pid_file = {folder}/state/demo.pid
debug_log = {folder}/videod.log
allow_paths = {folder}{more}
allow_hosts = * {host}
upload = file:{folder}/
min_free = 100M
[web]
listen = 127.0.0.1:{port}
"""
PORT = 8080


def demo(arguments: argparse.Namespace) -> int:
    """Make a video (or take --url), start a daemon of our own, cut one clip, count its frames, stop."""
    folder = Path(arguments.dir).absolute()
    say: Say = _silent if arguments.json else _aloud
    if arguments.url and Path(arguments.url).is_file():
        arguments.url = str(Path(arguments.url).resolve())
    elif arguments.url and ":" not in arguments.url:
        raise UsageError(f"neither a file nor an address: --url: {arguments.url!r}")
    begin, end = _times(arguments)
    settings = _settings(folder, arguments.url or "", say, web=arguments.web)
    if arguments.web:
        return _web(settings, folder, say)
    address = arguments.url or str(_video(folder, say))
    message = {"url": address, "start": begin, "end": end}
    if look(settings).running:  # of a demo that was broken off
        daemon.halt(settings, now=True, quiet=True)
    say(f"starting a daemon with a private Redis: {folder}/videod.ini, log {settings.debug_log}")
    daemon.launch(settings, settings.file)
    try:
        record = _clip(settings, message, say, as_json=arguments.json)
        code = report(record, as_json=False) if not arguments.json else int(record["state"] != "done")
        frames = [_count(output["url"]) for output in record.get("outputs") or []]
    finally:
        daemon.halt(settings, now=False, quiet=True)
    if arguments.json:
        print(json.dumps({**record, "counted": frames}))
    elif frames:
        say(f"counted by ffprobe: {frames[0]} frames; the daemon is stopped")
        say("upload, wait and watch in a browser: videod demo --web, or make demo WEB=1")
    return code


def _web(settings: Settings, folder: Path, say: Say) -> int:
    """The pages, with a video to try them with, until Ctrl-C."""
    video = _video(folder, say)
    if look(settings).running:
        daemon.halt(settings, now=True, quiet=True)
    daemon.launch(settings, settings.file)
    try:
        say(f"a video to upload: {video}\nopen http://{settings.web.listen}/ in a browser; Ctrl-C ends it")
        return web.run(settings)
    finally:
        daemon.halt(settings, now=True, quiet=True)


def _aloud(text: str) -> None:
    print(text, flush=True)


def _silent(text: str) -> None:
    """Of --json: nothing but the document goes to stdout."""


def _settings(folder: Path, url: str, say: Say, *, web: bool) -> Settings:
    if re.search(r"[\s${}]", str(folder)):
        raise UsageError(f"a folder without blanks and ${{}}: --dir: not {str(folder)!r}")
    folder.mkdir(parents=True, exist_ok=True)
    ini, port = folder / "videod.ini", _port()
    if web and port != PORT:
        say(f"port {PORT} is taken: another one")
    # what is named on the command line is meant: the file's folder, the host even on this machine
    more = f", {Path(url).parent}" if url.startswith("/") else ""
    host = urlsplit(url).netloc.rpartition("@")[2] if "://" in url else ""
    ini.write_text(INI.format(folder=folder, more=more, host=host, port=port))
    return config(str(ini)).settings("local")


def _port() -> int:
    """The usual one, or any where that is taken."""
    for port in (PORT, 0):
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return int(found.getsockname()[1])
    return PORT


def _times(arguments: argparse.Namespace) -> tuple[float, float]:
    given = []
    for name, default in (("start", 2.0), ("end", 5.0)):
        try:
            text = getattr(arguments, name)
            given.append(seconds(text) if text else default)
        except ValueError as error:
            raise UsageError(f"{error}: --{name}: not {getattr(arguments, name)!r}") from None
    if given[1] <= given[0]:
        if arguments.end:
            raise UsageError(f"is not after the start: --end: {arguments.end!r}")
        given[1] = given[0] + 3
    return given[0], given[1]


def _video(folder: Path, say: Say) -> Path:
    """A video whose picture shows its own time, with a beep each second."""
    video = folder / "source.mp4"
    if video.exists():
        return video
    say(f"making a video of {SECONDS} s: {video}")
    picture = f"testsrc2=size=640x360:rate={RATE}:duration={SECONDS}"
    sound = f"sine=frequency=220:beep_factor=4:duration={SECONDS}:sample_rate=48000"
    argv = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    argv += ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "125", "-c:a", "aac"]
    half = folder / "source.part.mp4"
    _run([*argv, "-f", "mp4", str(half)])
    half.replace(video)
    return video


def _clip(settings: Settings, message: dict[str, Any], say: Say, *, as_json: bool) -> dict[str, Any]:
    raw = prepared(json.dumps(message).encode(), settings)
    connection = connect(settings)
    watch = Watch(connection, settings, raw)
    say(f"pushing {raw.decode()}")
    queue(connection, settings, raw)
    return watch.to_the_end(quiet=as_json)


def _count(url: str) -> int:
    argv = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_frames", "-of", "csv=p=0"]
    argv += ["-show_entries", "stream=nb_read_frames", "file:" + url.removeprefix("file://")]
    return int(_run(argv).split(b",")[0])


def _run(argv: list[str]) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        guardian = Guardian(f"demo:{os.getpid()}")
        try:
            return Tools(guardian, Cancel(), Path(scratch)).run(argv).stdout
        finally:
            guardian.close()
