"""Cut clips out of a video: guard → fetch → probe → plan → cut → verify → upload → confirm.

One fetch and one probe serve all clips of a message, and one cut all clips of it that are alike. Times are seconds
from the first frame that a player shows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

from videod import obtain
from videod.config.presets import Preset
from videod.config.settings import Settings
from videod.context import Context
from videod.deliver import deliver, paced, place
from videod.errors import BadMessage, Damaged, EncodeFailed
from videod.events import Output
from videod.fields import Fields
from videod.job import Job
from videod.media.ahead import Ahead
from videod.media.cut import cut
from videod.media.model import Cut, Plan, Source
from videod.media.plan import micro
from videod.transfer import upload
from videod.transfer.urls import name_of

CUTS = ("exact", "keyframe", "encode")
CONTAINERS = ("mp4", "mov", "mkv", "ts")
# shares of the whole job, in percent: fetch and probe, then each clip's part of cutting and uploading
FETCH, CUT, UPLOAD = 40, 45, 15
# clips that are planned at once: those that touch mostly stand beside one another
TOGETHER = 8


@dataclass(frozen=True)
class Clip:
    """One clip as asked for. `cut` is `copy` for a whole video, `smart` for an exact clip without a preset;
    `target` is where it goes."""

    n: int
    start: float | None
    end: float | None
    cut: str
    preset: Preset
    target: upload.Target
    exact_sound: bool = False

    @property
    def content(self) -> tuple[object, ...]:
        """What clips that go to several places have in common."""
        return self.start, self.end, self.cut, self.preset, self.exact_sound


@dataclass(frozen=True)
class Params:
    """A source and its clips."""

    url: str
    clips: tuple[Clip, ...]

    @classmethod
    def read(cls, job: Job, settings: Settings) -> Params:
        """From a message. BadMessage, ForbiddenSource, UploadDenied, each naming the field."""
        fields = job.fields
        url = obtain.address(job, settings)
        parts = fields.objects("clips", 1000)
        if parts is not None and any(name in fields for name in ("start", "end", "duration")):
            raise fields.bad("clips", "stands beside start, end or duration: put these into its entries")
        clips = tuple(_clip(job, n, part, url, settings) for n, part in enumerate(parts or [fields], 1))
        seen: dict[str, int] = {}
        for clip in clips:
            if (first := seen.setdefault(clip.target.key, clip.n)) != clip.n:
                raise BadMessage(f"outputs {first} and {clip.n} have one name", field="upload")
        return cls(url, clips)


def _clip(job: Job, n: int, part: Fields, url: str, settings: Settings) -> Clip:
    start, end = _times(part)
    exact_sound = part.flag("exact_sound") or job.fields.flag("exact_sound")
    whole = start is None and end is None
    preset_name = part.text("preset", 64) or job.fields.text("preset", 64)
    if preset_name is not None and preset_name not in settings.presets:
        raise part.bad("preset", f"'{preset_name}' is none of {', '.join(sorted(settings.presets))}")
    asked = part.choice("cut", CUTS) or job.fields.choice("cut", CUTS)
    how = asked or ("exact" if not whole else "encode" if preset_name else "copy")
    if how == "exact" and preset_name is None:
        how = "smart"  # who names a preset wants its codec, size and quality
    preset = settings.presets[preset_name or "default"]
    template = part.text("upload") or job.fields.text("upload") or settings.upload
    container = preset.container if preset_name else _container(template)
    # the frames asked for come before what a preset leaves out
    preset = replace(preset, container=container, max_fps=0.0 if how in {"exact", "smart"} else preset.max_fps)
    target = place(job, template, n, name_of(url), container, settings)
    return Clip(n, start, end, how, preset, target, exact_sound)


def _times(part: Fields) -> tuple[float | None, float | None]:
    start, end, duration = part.seconds("start"), part.seconds("end"), part.seconds("duration")
    if end is not None and duration is not None:
        raise part.bad("duration", "stands beside end: give one of them")
    if duration is not None:
        if micro(duration) <= 0:
            raise part.bad("duration", "is 0")
        # in decimals as they were written: 0.1 + 0.2 is not 0.3 as floats
        end = float(Fraction(repr(start or 0.0)) + Fraction(repr(duration)))
    if end is not None and micro(end) <= micro(start or 0.0):
        raise part.bad("end", "is not after start")
    return start, end


def _container(template: str) -> str:
    """What the name's extension says, else MP4."""
    extension = os.path.splitext(template.partition("?")[0])[1].lstrip(".").lower()
    return extension if extension in CONTAINERS else "mp4"


def run(params: Params, ctx: Context) -> Sequence[Output]:
    """Make all clips."""
    alike: dict[tuple[object, ...], list[Clip]] = {}
    if kept := ctx.kept():
        # to cut one again would cost, and give other bytes, which must not replace it where overwrite is false
        ctx.log.info(f"{len(kept)} of {len(params.clips)} clips stand where they belong since an attempt before")
    left = [clip for clip in params.clips if clip.n not in kept]
    for clip in left:
        alike.setdefault(clip.content, []).append(clip)
    if not left:
        return ctx.outputs
    groups = list(alike.values())
    wishes = [obtain.Wish(clip.start, clip.end, clip.cut, clip.preset.container) for clip, *_ in groups]
    ctx.progress.begin("fetch", FETCH)
    share, done = 1 / len(left), 0
    if parts := obtain.parts(params.url, wishes, ctx):
        try:
            for n, ready, ahead in _with_ahead(parts):
                _make(groups[n], ready, ahead, ctx, share)
                done += 1
        except (Damaged, EncodeFailed) as failure:
            # the last word is not that of a part
            ctx.log.info(f"clip {groups[done][0].n}: {failure}: tried again with the whole source")
    if done < len(groups):
        source = obtain.whole(params.url, ctx)
        ctx.progress.begin("cut", 0)
        for n, ready, ahead in _with_ahead(obtain.of_whole(source, wish) for wish in wishes[done:]):
            _make(groups[done + n], ready, ahead, ctx, share)
    return ctx.outputs


def _with_ahead(parts: Iterable[obtain.Ready]) -> Iterator[tuple[int, obtain.Ready, Ahead]]:
    """Each part with its number, and what it has in common with others of its file: the next few, for a plan of hours
    holds a number for each frame."""
    coming, n = iter(parts), 0
    while few := list(islice(coming, TOGETHER)):
        plans: dict[str, list[Plan]] = {}
        for ready in few:
            plans.setdefault(ready.source.media.path, []).append(ready.plan)
        aheads = {path: Ahead(those) for path, those in plans.items()}
        for ready in few:
            yield n, ready, aheads[ready.source.media.path]
            n += 1


def _make(clips: Sequence[Clip], ready: obtain.Ready, ahead: Ahead, ctx: Context, share: float) -> None:
    """Cut once, for clips that are alike, and bring it to where each goes. `share` of the job is that of one clip."""
    clip = clips[0]
    source, wanted = ready.source, replace(ready.plan, exact_sound=clip.exact_sound)
    from_, to = (float(time) for time in ready.bounds)
    ctx.log.info(f"clip {clip.n}: asked {_span(clip)}; {wanted.cut} {wanted.count} frames, {from_:.6f}..{to:.6f} s")
    ctx.progress.begin("encode" if wanted.cut == "encode" else "cut", CUT * share * len(clips))
    path = ctx.scratch / f"clip-{clip.n}.{clip.preset.container}"
    made = ready.told(_cut(clip, source, wanted, path, ahead, ctx))
    if made.why:
        ctx.log.info(f"clip {clip.n}: all frames were encoded: {made.why}")
    for text in made.warnings:
        ctx.log.warn(f"clip {clip.n}: {text}")
    for clip in clips:
        _send(clip, made, path, ctx, UPLOAD * share, keep=clip is not clips[-1])


def _send(clip: Clip, made: Cut, path: Path, ctx: Context, share: float, *, keep: bool) -> None:
    sent = deliver(path, clip.target, ctx, share, keep=keep)
    how = f"{made.cut}, {made.copied} copied of" if made.copied else f"{made.cut},"
    ctx.log.info(f"clip {clip.n}: {how} {made.frames} frames, {obtain.megabytes(sent.bytes)} at {sent.url}")
    ctx.output_once(Output(
        n=clip.n, url=sent.url, bytes=sent.bytes, sha256=sent.sha256, start=made.start, end=made.end,
        asked=(clip.start, clip.end), frames=made.frames, duration=made.duration, cut=made.cut, width=made.width,
        height=made.height, warning="; ".join(made.warnings) or None,
    ))  # fmt: skip


def _cut(clip: Clip, source: Source, wanted: Plan, path: Path, ahead: Ahead, ctx: Context) -> Cut:
    """Cut; what encodes waits for its turn. The time waited is not that of the cut."""
    with ctx.tools.encoding() if wanted.cut in {"smart", "encode"} else nullcontext(0) as threads:
        pace = paced(ctx, float(wanted.duration), "x")
        return cut(source, wanted, path, clip.preset, ctx.tools, ctx.settings, pace, threads, ahead=ahead)


def _span(clip: Clip) -> str:
    start, end = (str(time) if time is not None else "" for time in (clip.start, clip.end))
    return f"{start or '0'}..{end or 'end'} {clip.cut.replace('smart', 'exact')}"
