"""Make an output and prove it: encode or copy, verify, and where that fails once more, slow and sure."""

from __future__ import annotations

import shlex
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from videod.config.presets import Preset
from videod.errors import Damaged, EncodeFailed, TooBig
from videod.media import argv, filters
from videod.media.ahead import Ahead
from videod.media.bounds import most_bytes, most_frames
from videod.media.copying import audible, prepare
from videod.media.damage import damage, decoded
from videod.media.model import Cut, Media, Plan, Source
from videod.media.ownsound import with_own_sound
from videod.media.plan import MICRO, micro, plan
from videod.media.probe import Bounds
from videod.media.reading import GAP, Complaints
from videod.media.room import check_room
from videod.media.smart import smart_cut
from videod.media.sound import Span
from videod.media.verify import flaw
from videod.process import Tools
from videod.redact import hide

OnProgress = Callable[[float], None]
_NO_MEMORY = ("Cannot allocate memory", "malloc of size", "std::bad_alloc")


@dataclass
class _Work:
    """One output in the making."""

    source: Source
    plan: Plan
    out: Path
    preset: Preset
    tools: Tools
    settings: Bounds
    on_progress: OnProgress
    threads: int
    keep_sound: bool
    ahead: Ahead

    def run(self, command: list[str]) -> tuple[int, Complaints]:
        """Run ffmpeg, telling its progress; the exit code and its complaints.

        Raises DiskFull, and EncodeFailed where ffmpeg itself is at fault or makes far more than was asked for.
        """
        complaints, total, most = Complaints(), float(self.plan.duration) or 1.0, most_frames(self.plan)

        def take(line: str) -> None:
            name, _, value = line.partition("=")
            value = value.strip()
            if name == "out_time_us" and value.isdigit():
                self.on_progress(min(1.0, int(value) / MICRO / total))
            elif name == "frame" and value.isdigit() and int(value) > most:
                raise EncodeFailed(f"ffmpeg made more than {most} frames of {self.plan.count}", stage="cut")

        self.out.unlink(missing_ok=True)
        limits = self.tools.limits.within(most_bytes(self.source.media, self.plan, self.preset))
        result = self.tools.run(command, on_line=take, on_error_line=complaints.take, may_fail=True, limits=limits)
        complaints.check_size()
        check_room(result)
        if result.code and any(mark in result.tail for mark in _NO_MEMORY):
            text = "ffmpeg needs more memory than it may use: memory_per_job: raise it for videos like this"
            raise EncodeFailed(text, detail=result.tail, stage="cut")
        if not result.code and not self.out.exists():
            raise EncodeFailed("ffmpeg ended well and wrote nothing", detail=result.tail, stage="cut")
        if result.code and not complaints.lines:
            # it said nothing of the media: the tool itself is at fault, and the source must not be blamed
            text = f"{hide(shlex.join(command))[:1000]}\n{result.tail}"
            raise EncodeFailed(f"ffmpeg ended with exit code {result.code}", detail=text, stage="cut")
        return result.code, complaints


def cut(
    source: Source,
    wanted: Plan,
    out: Path,
    preset: Preset,
    tools: Tools,
    settings: Bounds,
    on_progress: OnProgress = lambda part: None,
    threads: int = 0,
    *,
    keep_sound: bool = False,
    ahead: Ahead | None = None,
) -> Cut:
    """Make `out` from `source` as `wanted` says; its container is `preset.container`.

    `on_progress` gets 0 to 1. `threads` of the decoder and the encoder, 0: as many as cores. `keep_sound`: copy
    sound that fits beside an encoded picture, too. `ahead`: the other cuts of the source. Raises Damaged where the
    source is broken inside the wanted part, EncodeFailed where ffmpeg cannot do it, TooBig over max_duration, DiskFull,
    and what Tools.run does.
    """
    if settings.max_duration and wanted.duration > settings.max_duration:
        raise TooBig(f"the output would last {float(wanted.duration):.0f} s: over max_duration")
    work = _Work(source, wanted, out, preset, tools, settings, on_progress, threads, keep_sound, ahead or Ahead())
    ways = {"smart": _smart, "encode": _encode}
    return ways.get(wanted.cut, _copy)(work)


def _smart(work: _Work) -> Cut:
    """Copy what can be copied; where anything is in the way of that, encode all."""
    spans, silent = _audible(work)
    made = smart_cut(work.source, work.plan, work.out, work.preset, work.tools, work.settings, work.threads, work.ahead)
    if not isinstance(made, str):
        wrong, media = _flaw(work, work.plan.pts, _begun(work, spans), encoded=False)
        if media and not wrong:
            return replace(_cut(work, media, work.plan.count, "smart", silent), copied=made)
        made = wrong
    work.plan = replace(work.plan, cut="encode", why=made)
    return _encode(work)


def _encode(work: _Work) -> Cut:
    spans, silent = _audible(work)
    own, spans = spans, [replace(span, first=Fraction(0)) for span in spans]
    wanted = filters.kept(work.plan, work.preset)
    wrong, checked = "", False
    # twice in any case: a tool may fail for a reason that passes, and the second time is slow and sure
    for seek in [work.plan.seek is not None, False]:
        command = argv.encode(work.source, work.plan, work.preset, work.out, seek=seek, threads=work.threads)
        code, complaints = work.run(command)
        wrong, media = ("", None) if code else _flaw(work, wanted, spans, encoded=True)
        # a complaint may belong to what lies beside the wanted part, and a hole needs not be complained about
        if (complaints.lines or wrong or work.source.frames.doubts) and not checked:
            checked = True
            if _refuse_damage(work) and seek:
                media, wrong = None, "decoding began too late"
        if media and not wrong:
            if work.keep_sound:
                _keep_sound(work, wanted, own)
            return _cut(work, media, len(wanted), "encode", silent)
        wrong = wrong or "\n".join(complaints.lines[:3])
    raise EncodeFailed("the output is not what was asked for", detail=wrong, stage="cut")


def _begun(work: _Work, spans: list[Span]) -> list[Span]:
    """What a smart cut must hold of the sound: tracks that it encodes begin with silence where they set in late."""
    kept = [track.codec == "aac" and not work.plan.exact_sound for track in work.source.media.audio]
    return [span if keep else replace(span, first=Fraction(0)) for span, keep in zip(spans, kept, strict=True)]


def _keep_sound(work: _Work, wanted: array[int], spans: list[Span]) -> None:
    """Put the source's own sound in the place of what was encoded, if all stays as it should be."""
    own = work.out.with_name(f"own-{work.out.name}")
    try:
        why = with_own_sound(work.source, work.plan, work.out, own, work.preset, work.tools, work.settings)
        heard = _begun(work, spans)
        if not why and not flaw(own, wanted, work.plan.time_base, heard, None, work.tools, work.settings)[0]:
            own.replace(work.out)
    finally:
        own.unlink(missing_ok=True)


def _copy(work: _Work) -> Cut:
    spans, silent = _audible(work)
    wrong, container = "packets are missing", work.preset.container
    for seek in [True, False] if work.plan.seek is not None else [False]:
        found = prepare(work.source, work.plan, container, spans, work.tools, seek=seek)
        if found is None:
            continue
        picks, sounds = found
        command = argv.copy(work.source, work.plan, container, work.out, work.preset, picks, seek=seek)
        code, complaints = work.run(command)
        wrong, media = (
            ("\n".join(complaints.lines), None) if code else _flaw(work, work.plan.pts, sounds, encoded=False)
        )
        if media and not wrong:
            wrong = _refuse_broken(work)
            if not wrong:
                return _cut(work, media, work.plan.count, work.plan.cut, silent)
            break
    _refuse_damage(work)
    # what cannot be copied without a flaw is encoded: the frames asked for come first
    again = plan(work.source.media, work.source.frames, *_seconds(work.plan), "encode")
    why = f"a copy had a flaw ({wrong}): encoded"
    work.plan = replace(again, warnings=(*work.plan.warnings, why), sound=work.plan.sound)
    return _encode(work)


def _flaw(work: _Work, wanted: array[int], spans: list[Span], *, encoded: bool) -> tuple[str, Media | None]:
    # otherwise the first wanted frame decides: a broadcast may change its size on the way
    media, size = work.source.media, None
    if encoded and filters.scaled(media.video, work.preset):
        size = filters.target(media.video, work.preset)
    elif not encoded and media.formats != ("nut",):
        size = filters.upright(media.video)
    return flaw(work.out, wanted, work.plan.time_base, spans, size, work.tools, work.settings)


def _refuse_broken(work: _Work) -> str:
    """Decode a copied output once; what the decoder complains about lies in the source. If not, what it says: the
    copy lacks what lies before it, as parameter sets that come once."""
    result = decoded(work.out, work.tools, work.threads, work.source.media.max_pixels)
    if missing := work.plan.count - result.frames:
        what = f"{missing} frames cannot be decoded"
        raise Damaged("the video is broken inside the wanted part", detail=what, stage="cut")
    # packets that could not be read are missed by nobody who decodes the others
    if (result.complaints or work.source.frames.doubts) and _refuse_damage(work):
        # the pictures that an open GOP shows before its key frame are not in the copy: a gap is no fault of it
        return next((line for line in result.complaints if GAP not in line), "")
    return ""


def _refuse_damage(work: _Work) -> bool:
    """Raise Damaged if the wanted part is; whether decoding has to begin before the key frame next to it."""
    found = damage(work.source, work.plan, work.preset, work.tools)
    if found.what:
        raise Damaged("the video is broken inside the wanted part", detail=found.what, stage="cut")
    return found.late


def _audible(work: _Work) -> tuple[list[Span], tuple[str, ...]]:
    work.source, spans = audible(work.source, work.plan, work.tools)
    silent = sum(track.silent for track in work.source.media.audio)
    return spans, (f"{silent} sound tracks have nothing in this part: silence",) if silent else ()


def _seconds(of: Plan) -> tuple[float, float]:
    return micro(of.start) / MICRO, micro(of.end) / MICRO


def _cut(work: _Work, made: Media, frames: int, how: str, warnings: tuple[str, ...]) -> Cut:
    start, end = _seconds(work.plan)
    width, height = filters.upright(made.video)
    left_out = argv.dropped(work.source.media, work.preset.container, copied=how == "copy")
    said = (*work.plan.warnings, *warnings, *left_out)
    work.on_progress(1.0)
    why = work.plan.why if how == "encode" else ""
    return Cut(start, end, frames, round(end - start, 6), how, width, height, said, why=why)
