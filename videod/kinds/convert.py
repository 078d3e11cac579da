"""Make a video that plays in a browser: fetch → probe → fit → copy or encode → verify → upload.

What fits already is copied. A poster, a sheet of small pictures and an HLS ladder are made from the result, if they
are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from videod import obtain
from videod.config.presets import Preset
from videod.config.settings import Settings
from videod.context import Context
from videod.deliver import deliver, paced, place
from videod.errors import BadMessage
from videod.events import Output
from videod.job import Job
from videod.media import ladder, stills
from videod.media.cut import cut
from videod.media.fitting import misfit
from videod.media.model import Cut, Plan, Source
from videod.media.plan import SPLICED, plan
from videod.media.probe import probe
from videod.transfer import upload
from videod.transfer.urls import name_of

# shares of the whole job, in percent
FETCH, ENCODE, UPLOAD = 30, 55, 15
# of the encoding, that of a ladder
LADDER = 0.6
# the preset of ladders, and the ends of names
HLS = "hls"
POSTER, SPRITE, CUES, MASTER = ".jpg", "-sprite.jpg", ".vtt", f"-hls/{ladder.MASTER}"


@dataclass(frozen=True)
class Params:
    """What to make of a source. `ends`: those of the names of further outputs, `template` says where they go."""

    url: str
    preset: Preset
    target: upload.Target
    template: str
    ends: tuple[str, ...]

    @classmethod
    def read(cls, job: Job, settings: Settings) -> Params:
        """From a message. BadMessage, ForbiddenSource, UploadDenied, each naming the field."""
        fields = job.fields
        url = obtain.address(job, settings)
        name = fields.text("preset", 64) or "html5"
        if name not in settings.presets:
            raise fields.bad("preset", f"'{name}' is none of {', '.join(sorted(settings.presets))}")
        preset, template = settings.presets[name], fields.text("upload") or settings.upload
        target = place(job, template, 1, name_of(url), preset.container, settings)
        ends = [POSTER] * fields.flag("poster") + [SPRITE, CUES] * fields.flag("sprite")
        ends += [MASTER] * fields.flag("hls", name == HLS)
        if ends and (preset.container, preset.video) != ("mp4", "h264"):
            raise fields.bad("preset", f"'{name}' makes no H.264 in MP4, of which poster, sprite and hls are made")
        made = cls(url, preset, target, template, tuple(ends))
        if target.key in {made.beside(end, job, settings).key for end in ends}:
            raise BadMessage("gives the video and what is made of it one name", field="upload")
        return made

    def beside(self, end: str, job: Job, settings: Settings) -> upload.Target:
        """Where a further output goes: under the name of the video, with another end. BadMessage, UploadDenied."""
        template = upload.beside(self.template, end)
        return place(job, template, 1, name_of(self.url), self.preset.container, settings)


def run(params: Params, ctx: Context) -> Sequence[Output]:
    """Make all outputs."""
    ctx.progress.begin("fetch", FETCH)
    wish = obtain.Wish(None, None, "encode", params.preset.container)
    found = obtain.parts(params.url, [wish], ctx)
    source = found[0].source if found else obtain.whole(params.url, ctx)
    video = ctx.scratch / f"video.{params.preset.container}"
    made = _video(source, video, params, ctx)
    more = _Extras(params, made, video, ctx)
    files = [file for end in params.ends for file in more.make(end)]
    share = UPLOAD / (1 + len(files))
    # last of all what others name: who sees it finds the rest
    for path, end in files:
        sent = deliver(path, params.beside(end, ctx.job, ctx.settings), ctx, share)
        ctx.log.info(f"{end.lstrip('.-')}: {obtain.megabytes(sent.bytes)} at {sent.url}")
        if end in params.ends:
            more.sent.append(sent)
    sent = deliver(video, params.target, ctx, share)
    how = f"{made.cut}, {made.frames} frames, {obtain.megabytes(sent.bytes)}"
    ctx.log.info(f"video: {how} at {sent.url}")
    ctx.output(Output(
        n=1, url=sent.url, bytes=sent.bytes, sha256=sent.sha256, start=made.start, end=made.end, asked=(None, None),
        frames=made.frames, duration=made.duration, cut=made.cut, width=made.width, height=made.height,
        warning="; ".join(made.warnings) or None,
    ))  # fmt: skip
    for n, extra in enumerate(more.sent, 2):
        ctx.output(Output(n=n, url=extra.url, bytes=extra.bytes, sha256=extra.sha256))
    return ctx.outputs


def _video(source: Source, out: Path, params: Params, ctx: Context) -> Cut:
    preset = params.preset
    wanted = plan(source.media, source.frames, None, None, "encode", preset.container)
    why = misfit(source, wanted, preset)
    if not why:
        wanted = _as_it_is(source, preset)
    ctx.log.info(f"the picture is encoded: {why or wanted.why}" if wanted.cut == "encode" else "the picture is copied")
    ctx.progress.begin("encode", ENCODE * ((1 - LADDER) if MASTER in params.ends else 1))
    with nullcontext(0) if wanted.cut == "copy" else ctx.tools.encoding() as threads:
        pace = paced(ctx, float(wanted.duration), "x")
        made = cut(source, wanted, out, preset, ctx.tools, ctx.settings, pace, threads, keep_sound=True)
    if not why and made.why:
        ctx.log.info(f"all frames were encoded: {made.why}")
    for text in made.warnings:
        ctx.log.warn(text)
    return replace(made, cut="copy" if made.cut == "smart" else made.cut)


def _as_it_is(source: Source, preset: Preset) -> Plan:
    """All samples of the picture, and sound that is AAC. A copy by ffmpeg where that cannot be spliced."""
    media, frames = source.media, source.frames
    spliced = media.video.codec in SPLICED and preset.container in {"mp4", "mov"}
    return plan(media, frames, None, None, "smart" if spliced else "copy", preset.container)


class _Extras:
    """What is made of a finished video. `sent`: the outputs among it."""

    def __init__(self, params: Params, made: Cut, video: Path, ctx: Context) -> None:
        self._params, self._made, self._video, self._ctx = params, made, video, ctx
        self._sheet = stills.sheet_of(made.duration, made.width, made.height)
        self.sent: list[upload.Sent] = []

    def make(self, end: str) -> list[tuple[Path, str]]:
        """The files of one further output, each with the end of its name."""
        if end == MASTER:
            return [(path, f"-hls/{path.name}") for path in self._ladder()]
        out, seconds, tools = self._ctx.scratch / f"extra{end}", self._made.duration, self._ctx.tools
        if end == POSTER:
            stills.poster(self._video, seconds, out, tools)
        elif end == SPRITE:
            stills.sprite(self._video, seconds, self._sheet, out, tools)
        else:
            name = self._params.beside(SPRITE, self._ctx.job, self._ctx.settings).url.rpartition("/")[2]
            out.write_text(stills.cues(self._sheet, seconds, name), encoding="utf-8")
        return [(out, end)]

    def _ladder(self) -> Sequence[Path]:
        ctx, made = self._ctx, self._made
        ctx.progress.begin("encode", ENCODE * LADDER)
        media, preset = probe(str(self._video), ctx.tools, ctx.settings), ctx.settings.presets[HLS]
        pace = paced(ctx, made.duration, "x")

        def tell(frame: int) -> None:
            pace(min(1.0, frame / made.frames))

        with ctx.tools.encoding() as threads:
            out = ctx.scratch / "ladder"
            return ladder.ladder(media, made.frames, out, preset, ctx.tools, ctx.settings, threads, tell)
