"""Look at a video without taking it: what it is, and a few pictures, for the price of these.

The first output is a JSON document, the others are JPEGs: what a page shows on which a clip is chosen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from videod import obtain
from videod.config.settings import Settings
from videod.context import Context
from videod.deliver import deliver, place
from videod.errors import OutOfRange
from videod.events import Output
from videod.job import Job
from videod.media import stills
from videod.media.filters import upright
from videod.media.model import Media, Source
from videod.transfer.upload import Target
from videod.transfer.urls import name_of

# shares of the whole job, in percent
FETCH, MAKE, UPLOAD = 60, 30, 10
FEW, MOST = 6, 24
# seconds from a time in which its picture is looked for
NEAR = 1.0
# pixels
HEIGHT = 240


@dataclass(frozen=True)
class Params:
    """`at`: seconds of the pictures; none: `pictures` of them, evenly over the video."""

    url: str
    at: tuple[float, ...]
    pictures: int
    template: str

    @classmethod
    def read(cls, job: Job, settings: Settings) -> Params:
        """From a message. BadMessage, ForbiddenSource, UploadDenied, each naming the field."""
        fields = job.fields
        url = obtain.address(job, settings)
        at = fields.seconds("at")
        pictures = fields.whole("pictures", 1, MOST) or FEW
        made = cls(url, () if at is None else (at,), pictures, fields.text("upload") or settings.upload)
        keys = {made.target(job, settings, n).key for n in (1, 2, 3)}
        if len(keys) < 3:
            raise fields.bad("upload", "gives the pictures one name: put {n} into it")
        return made

    def target(self, job: Job, settings: Settings, n: int) -> Target:
        """Where output `n` goes. BadMessage, UploadDenied."""
        return place(job, self.template, n, name_of(self.url), "json" if n == 1 else "jpg", settings)


def run(params: Params, ctx: Context) -> Sequence[Output]:
    """Make all outputs."""
    ctx.progress.begin("fetch", FETCH)
    seconds = obtain.length(params.url, ctx)
    found = _parts(params, float(seconds), ctx) if seconds else None
    if found is None:
        source = obtain.whole(params.url, ctx)
        frames = source.frames
        seconds = frames.seconds(frames.after(len(frames.pts) - 1))
        found = [obtain.of_whole(source, wish) for wish in _held(params, source, float(seconds))]
    ctx.progress.begin("encode", MAKE)
    small = replace(ctx.settings.presets["default"], max_height=HEIGHT, square=True, sdr=True)
    pictures = list[tuple[Path, float]]()
    for n, ready in enumerate(found):
        out = ctx.scratch / f"picture-{n}.jpg"
        stills.still(ready.source, ready.plan, small, out, ctx.tools)
        pictures.append((out, float(ready.bounds[0])))
        ctx.progress.update((n + 1) / len(found))
    about = ctx.scratch / "about.json"
    about.write_text(json.dumps(_about(found[0].source.media, float(seconds or 0))), encoding="utf-8")
    _deliver(params, about, pictures, ctx)
    return ctx.outputs


def _times(params: Params, seconds: float) -> list[float]:
    # in the middle of equal parts: the first and last pictures of most videos are black
    return [*params.at] or [seconds * (n + 0.5) / params.pictures for n in range(params.pictures)]


def _parts(params: Params, seconds: float, ctx: Context) -> list[obtain.Ready] | None:
    wishes = [obtain.Wish(time, time + NEAR, "encode", "mp4") for time in _times(params, seconds)]
    try:
        return obtain.parts(params.url, wishes, ctx)
    except OutOfRange as why:
        if params.at and params.at[0] >= seconds:
            raise
        ctx.log.info(f"the source is fetched whole: a picture stays for long: {why}")
        return None


def _held(params: Params, source: Source, seconds: float) -> list[obtain.Wish]:
    """For each time the first frame from there on, else the last."""
    frames = source.frames
    last = float(frames.seconds(frames.pts[-1]))
    if params.at and params.at[0] >= seconds:
        raise OutOfRange(f"at is {params.at[0]:g} s and the video ends at {seconds:.3f} s", stage="cut")
    return [obtain.Wish(min(time, last), None, "encode", "mp4") for time in _times(params, seconds)]


def _about(media: Media, seconds: float) -> dict[str, Any]:
    video, (width, height) = media.video, upright(media.video)
    made: dict[str, Any] = {"duration": round(seconds, 6), "width": width, "height": height, "video": video.codec}
    made |= {"rate": round(float(video.rate), 3)} if video.rate else {}
    return {**made, "audio": [track.codec for track in media.audio], "title": media.title}


def _deliver(params: Params, about: Path, pictures: Sequence[tuple[Path, float]], ctx: Context) -> None:
    share = UPLOAD / (1 + len(pictures))
    for n, (path, at) in enumerate([(about, None), *pictures], 1):
        sent = deliver(path, params.target(ctx.job, ctx.settings, n), ctx, share)
        ctx.output(Output(n=n, url=sent.url, bytes=sent.bytes, sha256=sent.sha256, start=at))
    ctx.log.info(f"{len(pictures)} pictures")
