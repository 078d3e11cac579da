"""Fetch recordings of a network video recorder: search → download → join → remux → verify → upload.

Times are those of the recorder's clock. What it hands out is copied into MP4; sound that MP4 cannot hold is encoded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from videod import obtain
from videod.config.recorders import Place, place_of
from videod.config.settings import Settings
from videod.context import Context
from videod.deliver import deliver, paced, place
from videod.errors import (
    BadMessage,
    Damaged,
    Denied,
    EncodeFailed,
    Encrypted,
    FetchFailed,
    ForbiddenSource,
    NotFound,
    NotVideo,
    Permanent,
    TooBig,
)
from videod.events import Output
from videod.isapi.asked import Asked
from videod.isapi.client import Client, LoginRefused
from videod.isapi.clock import Clock
from videod.isapi.finding import Found, TooMany, joined, marked
from videod.isapi.manifest import Made, Span, manifest
from videod.isapi.saving import Saved, Saver
from videod.job import Job
from videod.media.model import Cut
from videod.obtain.recorded import remux
from videod.obtain.wish import counter
from videod.transfer import fetch, upload

# shares of the whole job, in percent
FETCH, CUT, UPLOAD = 70, 15, 15
# what ends later than this before now may still be written
MARGIN = timedelta(seconds=5)
BROKEN = (Damaged, NotVideo, EncodeFailed, Encrypted)


@dataclass(frozen=True)
class Params:
    """Which recordings, and where they go."""

    recorder: Place
    asked: Asked
    keep_original: bool
    join: bool
    template: str

    @classmethod
    def read(cls, job: Job, settings: Settings) -> Params:
        """From a message. BadMessage, ForbiddenSource, UploadDenied, each naming the field."""
        fields = job.fields
        for name in ("user", "password"):
            if name in fields:
                raise fields.bad(name, "must not stand in a message: write it into [recorder NAME] of the ini")
        recorder = _recorder(job, settings)
        template = fields.text("upload") or settings.upload
        made = cls(recorder, Asked.read(fields), fields.flag("keep_original"), fields.flag("join", True), template)
        target = made.target(job, settings, 1, "name", "mp4")
        if target.key in {
            made.target(job, settings, 1, "name", end).key for end in ("-manifest.json", "-original.mpg")
        }:
            raise BadMessage("gives the video and what is told of it one name", field="upload")
        return made

    def target(self, job: Job, settings: Settings, n: int, name: str, ext: str) -> upload.Target:
        """Where output `n` goes; an `ext` that begins with `-` is of something beside it. BadMessage, UploadDenied."""
        template = self.template
        if ext.startswith("-"):
            template, ext = upload.beside(template, ext), ext.rpartition(".")[2]
        return place(job, template, n, name, ext, settings)

    def manifest(self, job: Job, settings: Settings) -> upload.Target:
        """Where the manifest goes: one for the job, under the name of the outputs without what tells them apart."""
        stem, told = os.path.splitext(self.template.partition("?")[0])[0], "manifest"
        stem += "{id}-{n}" if stem.endswith("/") else ""
        found = "{n}" in stem or "{name}" in stem
        stem = stem.replace("{n}", told).replace("{name}", told) if found else f"{stem}-{told}"
        return place(job, stem + ".json", 1, told, "json", settings)


def _recorder(job: Job, settings: Settings) -> Place:
    fields = job.fields
    try:
        found = place_of(fields.needed("recorder", 300), settings)
    except ValueError as error:
        raise fields.bad("recorder", f"is neither a [recorder NAME] of the ini nor {error}") from None
    try:
        fetch.check(f"{found.scheme}://{found.netloc}/", settings, private=not job.public_only)
    except ForbiddenSource as error:
        raise ForbiddenSource(f"recorder: {error}") from None
    return found


def run(params: Params, ctx: Context) -> Sequence[Output]:
    """Fetch them all. Raises Denied for a refused password, which is remembered for all nodes."""
    found, turn = params.recorder, ctx.turn
    # what a sheet said last counts more than the ini
    if login := turn.login():
        found = replace(found, user=login[0], password=login[1])
    if not found.user:
        raise Denied(f"no user and password for this recorder: {found.shown}: write a [recorder {found.name}]")

    def check() -> None:
        ctx.tools.check()
        turn.check()

    def refused() -> bool:
        return turn.refused(found.user, found.password)

    ctx.progress.begin("fetch", 0)
    try:
        private = not ctx.job.public_only
        with Client(found, ctx.settings, ctx.tools, check, counter(ctx), refused, private=private) as client:
            return _Work(params, ctx, client).run()
    except LoginRefused:
        turn.refuse(found.user, found.password)
        raise


class _Work:
    """One job at one recorder."""

    def __init__(self, params: Params, ctx: Context, client: Client) -> None:
        self._params, self._ctx, self._client = params, ctx, client
        self._saver = Saver(client, ctx.tools, ctx.settings.max_source_bytes, counter(ctx))
        self._broken: list[Permanent] = []
        self._originals = 0

    def run(self) -> Sequence[Output]:
        """Search, then fetch and make one output after the other."""
        ctx, params, about = self._ctx, self._params, self._client.about()
        clock = self._client.clock()
        span = params.asked.span(clock)
        tracks = params.asked.tracks or tuple(self._client.tracks())
        found = self._find(tracks, span, clock)
        shown = f"{span[0].isoformat()}..{span[1].isoformat()} of its clock"
        size = obtain.megabytes(sum(one.size for one in found))
        ctx.log.info(f"recorder {params.recorder.shown}: {about}: {len(found)} recordings, {size}, in {shown}")
        made = [Made(group) for group in (joined(found) if params.join else [[one] for one in found])]
        targets = self._targets(made)
        share = 1 / max(1, len(made))
        for n, (one, target) in enumerate(zip(made, targets, strict=True), 1):
            ctx.progress.begin("fetch", FETCH * share)
            saved = self._fetch(one, n)
            if n == len(made):
                ctx.turn.leave()  # others may talk to it while we make the last
            if saved:
                self._make(n, one, saved, target, share, len(made))
        if made:
            self._tell(about, clock, span, tracks, made)
        if self._broken:
            first, more = self._broken[0], len(self._broken) - 1
            first.message += f", and {more} more recordings are broken" if more else ""
            raise first
        return ctx.outputs

    def _find(self, tracks: Sequence[int], span: Span, clock: Clock) -> list[Found]:
        found: list[Found] = []
        try:
            for track in tracks:
                found += self._client.find(track, *span)
        except TooMany as error:
            raise TooBig(str(error)) from None
        return marked(found, clock.now(), MARGIN)

    def _targets(self, made: Sequence[Made]) -> list[upload.Target]:
        """Where the videos go. BadMessage where two have one name."""
        ctx, names, keys = self._ctx, dict[str, int](), set[str]()
        targets = []
        for n, one in enumerate(made, 1):
            first = one.found[0]
            name = f"{self._params.recorder.name}_{first.track}_{first.start:%Y%m%dT%H%M%S}"
            names[name] = names.get(name, 0) + 1
            name += f"-{names[name]}" if names[name] > 1 else ""
            one.facts["name"] = name
            target = self._params.target(ctx.job, ctx.settings, n, name, "mp4")
            if target.key in keys:
                text = f"gives {len(made)} recordings one name: put {{n}} or {{name}} into it"
                raise BadMessage(text, field="upload")
            keys.add(target.key)
            targets.append(target)
        return targets

    def _fetch(self, one: Made, n: int) -> list[Saved]:
        """The files of one output; what is still being written and cannot be had is left out."""
        ctx, saved, kept = self._ctx, list[Saved](), list[Found]()
        if ctx.tools.room:
            # files that are put together are there twice for a moment
            ctx.tools.room.wait(sum(part.size for part in one.found) * (2 if len(one.found) > 1 else 1))
        pace, done = paced(ctx, sum(part.size for part in one.found) / 1e6, " MB/s"), 0
        for k, part in enumerate(one.found, 1):

            def tell(size: int, done: int = done) -> None:
                pace(min(1.0, (done + size) / max(1, sum(part.size for part in one.found))))

            try:
                saved.append(self._saver.save(part, ctx.scratch / f"part-{n}-{k}", tell))
            except (FetchFailed, NotFound) as error:
                if not part.growing:
                    raise
                ctx.log.warn(f"left out what the recorder still writes: {error}")
                continue
            kept.append(part)
            done += saved[-1].bytes
            if saved[-1].doubt:
                ctx.log.warn(f"recording of {part.start}: {saved[-1].doubt}")
        one.facts |= {} if kept else {"error": "still being written"}
        one.found = kept or one.found
        return saved

    def _make(self, n: int, one: Made, saved: Sequence[Saved], target: upload.Target, share: float, of: int) -> None:
        ctx, keep = self._ctx, self._params.keep_original
        ctx.progress.begin("cut", CUT * share)
        out, growing = ctx.scratch / f"video-{n}.mp4", any(part.growing for part in one.found)
        made: Cut | None = None
        try:
            made = remux([part.path for part in saved], out, ctx, growing=growing, keep=keep)
        except BROKEN as error:
            ctx.log.warn(f"recording of {one.found[0].start}: {error}")
            one.facts["error"] = error.code
            self._broken.append(error)
        if made:
            doubts = [part.doubt for part in saved if part.doubt]
            doubts += ["it was still being written: this is what was there"] if growing else []
            sent = deliver(out, target, ctx, UPLOAD * share / (1 + keep))
            ctx.output(_output(n, sent, replace(made, warnings=(*made.warnings, *doubts))))
            one.url = sent.url
            one.facts |= {"bytes": sent.bytes, "frames": made.frames, "duration": made.duration}
            ctx.log.info(f"recording {n} of {of}: {made.frames} frames, {obtain.megabytes(sent.bytes)} at {sent.url}")
        for k, part in enumerate(saved, 1) if keep else ():
            self._original(n, one, part, f"-original-{k}" if len(saved) > 1 else "-original", of, share / len(saved))

    def _original(self, n: int, one: Made, part: Saved, end: str, of: int, share: float) -> None:
        ctx = self._ctx
        target = self._params.target(ctx.job, ctx.settings, n, one.facts["name"], f"{end}.{part.ext}")
        sent = deliver(part.path, target, ctx, UPLOAD * share / 2)
        self._originals += 1
        ctx.output(Output(n=of + self._originals, url=sent.url, bytes=sent.bytes, sha256=sent.sha256))
        one.originals.append({"url": sent.url, "bytes": sent.bytes, "sha256": sent.sha256})

    def _tell(self, about: str, clock: Clock, span: Span, tracks: Sequence[int], made: Sequence[Made]) -> None:
        ctx, recorder = self._ctx, self._params.recorder
        known: dict[str, Any] = {"recorder": recorder.name, "host": recorder.netloc, "about": about}
        known["utc_offset_minutes"] = round(clock.at(clock.utc(span[0])) / timedelta(minutes=1))
        path = ctx.scratch / "manifest.json"
        path.write_text(json.dumps(manifest(known, span, tracks, made), indent=1) + "\n", encoding="utf-8")
        sent = deliver(path, self._params.manifest(ctx.job, ctx.settings), ctx, 0)
        ctx.log.info(f"manifest at {sent.url}")


def _output(n: int, sent: upload.Sent, made: Cut) -> Output:
    return Output(
        n=n, url=sent.url, bytes=sent.bytes, sha256=sent.sha256, start=made.start, end=made.end, asked=(None, None),
        frames=made.frames, duration=made.duration, cut=made.cut, width=made.width, height=made.height,
        warning="; ".join(made.warnings) or None,
    )  # fmt: skip
