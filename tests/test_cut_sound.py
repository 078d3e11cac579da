"""Sound that once was cut wrongly."""

from __future__ import annotations

import array
from pathlib import Path

import pytest

from tests import videos
from tests.media_fixtures import Bounds, Studio, preset
from tests.quick import some
from videod.media.cut import cut
from videod.media.film import Film

TONE = ("-f", "lavfi", "-i", "sine=frequency=700:sample_rate=48000:duration=6", "-map", "0:v", "-map", "1:a")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-bf", "0")


@pytest.mark.parametrize("how", ["smart", "encode", "keyframe"])
@pytest.mark.parametrize("sound", ["pcm_s16le", "libmp3lame"])
def test_pictures_in_order_without_times_are_as_late_as_the_sound(studio: Studio, sound: str, how: str) -> None:
    film = videos.encode(studio.master(), studio.new("plain.avi"), picture=H264, sound=("-c:a", sound))
    out, made = studio.cut(film, 1.52, 4.2, how)
    seen = videos.look(out)
    # beside MP3 ffmpeg leaves the place of the second picture empty
    late = sound == "libmp3lame"
    wanted = list(range(25 if how == "keyframe" else 38 - late, 105 - late))
    assert seen.numbers == wanted
    # of the beep with which a copy begins nothing needs to be heard
    (heard,) = seen.beeps
    flashes = [time for time, _, flash in seen.pictures if flash and time]
    assert len(flashes) == 3 and all(min(abs(time - beep) for beep in heard) <= 0.025 for time in flashes)


def steady(studio: Studio, name: str, *sound: str) -> Path:
    """A film whose sound is one tone."""
    out = studio.folder / f"steady-{name}"
    if not out.exists():
        videos.ffmpeg("-i", str(studio.master()), *TONE, *H264, *sound, str(out))
    return out


def silence(path: Path, end: float) -> list[float]:
    """When a steady tone is not heard from the first picture to `end`, to 5 ms; without the last coded frame."""
    chain = f"aresample={videos.RATE}:async=1:min_hard_comp=0.001:first_pts=0,aformat=channel_layouts=mono"
    raw = videos.ffmpeg("-copyts", "-i", str(path), "-map", "0:a:0", "-af", chain, "-f", "s16le", "-")
    samples, step = array.array("h", raw), videos.RATE // 200
    peaks = [max(samples[at : at + step], default=0) for at in range(0, int((end - 0.03) * videos.RATE), step)]
    return [n * 0.005 for n, peak in enumerate(peaks) if peak < max(peaks) / 4]


@pytest.mark.parametrize(
    ("name", "sound"),
    [
        ("pcm.mkv", ("-c:a", "pcm_s16le")),
        pytest.param("vorbis.mkv", ("-c:a", "libvorbis"), marks=pytest.mark.long),
        pytest.param("flac.mkv", ("-c:a", "flac"), marks=pytest.mark.long),
        pytest.param("mp3.mkv", ("-c:a", "libmp3lame"), marks=pytest.mark.long),
        ("mp3.flv", ("-c:a", "libmp3lame", "-ar", "44100")),
        ("aac.mkv", ("-c:a", "aac")),
    ],
)
@pytest.mark.parametrize("bounds", [pytest.param((1.0, 3.0), marks=pytest.mark.long), (1.04, 2.3)])
def test_sound_that_is_encoded_is_whole_and_hinders_no_smart_cut(
    studio: Studio,
    name: str,
    sound: tuple[str, ...],
    bounds: tuple[float, float],
) -> None:
    out, made = studio.cut(steady(studio, name, *sound), *bounds, "smart")
    assert made.cut == "smart", made.why
    assert not silence(out, made.duration)


@pytest.mark.parametrize("codec", ["alac", "wavpack"])
@pytest.mark.parametrize(
    ("how", "container"),
    [("smart", "mp4"), pytest.param("encode", "mp4", marks=pytest.mark.long), ("keyframe", "mkv")],
)
def test_long_coded_frames_without_length(studio: Studio, codec: str, how: str, container: str) -> None:
    film = steady(studio, f"{codec}.mkv", "-c:a", codec)
    out, made = studio.cut(film, 1.04, 2.8, how, preset(container=container))
    assert made.cut == how and not [time for time in silence(out, made.duration) if time > 0.03]


def test_flac_is_copied_into_mp4(studio: Studio) -> None:
    out, made = studio.cut(steady(studio, "flac.mkv", "-c:a", "flac"), 1.52, 3.2, "keyframe")
    assert made.cut == "keyframe" and not made.warnings
    (sound,) = videos.ffprobe(out, "-show_streams", "-select_streams", "a")["streams"]
    assert sound["codec_name"] == "flac" and not silence(out, made.duration)


def partly(studio: Studio, name: str, *codecs: str) -> Path:
    """Two tracks, of which the first sounds for a second, and behind 4.5 s."""
    out = studio.folder / f"partly-{name}"
    if not out.exists():
        pause = ("-filter:a:0", "aselect='lt(t,1)+gt(t,4.5)'")
        tags = ("-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=eng", "-disposition:a:0", "default")
        tracks = ("-map", "0:v", "-map", "0:a", "-map", "0:a", "-disposition:a:1", "0")
        videos.ffmpeg("-i", str(studio.master()), *tracks, *H264, *codecs, *pause, *tags, str(out))
    return out


@pytest.mark.parametrize("how", ["smart", "encode", "keyframe"])
@pytest.mark.parametrize(("name", "codecs"), [("aac.mp4", ("-c:a", "aac")), ("two.mkv", ("-c:a:0", "libopus"))])
def test_a_track_that_is_silent_here_is_silence(
    studio: Studio,
    name: str,
    codecs: tuple[str, ...],
    how: str,
) -> None:
    out, made = studio.cut(partly(studio, name, *codecs), 2.56, 4.2, how)
    assert made.cut == how and made.warnings == ("1 sound tracks have nothing in this part: silence",)
    seen = videos.look(out)
    assert seen.beeps[0] == [] and seen.worst_sync(1) <= 0.025
    sounds = videos.ffprobe(out, "-show_streams", "-select_streams", "a")["streams"]
    assert [s["tags"]["language"] for s in sounds] == ["deu", "eng"]
    assert [s["disposition"]["default"] for s in sounds] == [1, 0]
    assert all(abs(float(s["duration"]) - made.duration) <= 0.05 for s in sounds)


@pytest.mark.parametrize(("how", "container"), [("smart", "mp4"), ("encode", "mkv"), ("keyframe", "ts")])
def test_within_a_pause(studio: Studio, how: str, container: str) -> None:
    pause = ("-af", "aselect='lt(t,1.1)+gt(t,5.2)'")
    film = videos.encode(studio.master(), studio.new("pause.mp4"), *pause, picture=H264)
    out, made = studio.cut(film, 2.5, 3.7, how, preset(container=container))
    assert made.cut == how and videos.look(out).beeps == [[]]
    assert made.warnings == ("1 sound tracks have nothing in this part: silence",)


def test_sound_of_which_nut_knows_nothing(studio: Studio) -> None:
    sound = ("-strict", "-2", "-ac", "2", "-c:a", "s302m")
    film = videos.encode(
        studio.master(), studio.new("aes.ts"), picture=(*H264, "-x264-params", "open-gop=1"), sound=sound
    )
    # with a gap of the clock that makes it damaged somewhere, so that the part is looked at by itself
    raw = bytearray(film.read_bytes())
    raw[188 * 40 : 188 * 42] = bytes(188 * 2)
    film.write_bytes(raw)
    out, made = studio.cut(film, 3.52, 5.3)
    assert videos.numbers(out) == list(range(88, 133)) and videos.look(out).worst_sync() <= 0.025


def test_a_straightened_copy_keeps_each_track(studio: Studio) -> None:
    sound = ("-map", "0:v", "-map", "0:a", "-map", "0:a", "-c:a:0", "wmav2", "-c:a:1", "pcm_s16le")
    film = videos.encode(studio.master(), studio.new("two.avi"), picture=H264, sound=sound)
    out, made = studio.cut(film, 1.52, 4.2)
    seen = videos.look(out)
    assert made.frames == len(seen.numbers) and len(seen.beeps) == 2
    # beside this sound ffmpeg leaves the places of two pictures empty, as those of a delay of the sound
    assert max(seen.worst_sync(0), seen.worst_sync(1)) <= 0.1


@pytest.mark.parametrize("sound", [("speex.flv", "libspeex", "16000"), ("true.mkv", "tta", "48000")])
@pytest.mark.parametrize("how", some(("smart", "encode", "keyframe"), "smart"))
def test_sound_whose_channels_have_no_layout(studio: Studio, sound: tuple[str, str, str], how: str) -> None:
    name, codec, rate = sound
    film = videos.encode(studio.master(), studio.new(name), picture=H264, sound=("-c:a", codec, "-ar", rate))
    out, made = studio.cut(film, 1.52, 3.3, how)
    assert made.cut == how and videos.look(out).worst_sync() <= 0.025


class Whole:
    """A remote file of which all is there."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        self.size = len(self._data)

    def read(self, start: int, length: int) -> bytes:
        return self._data[start : start + length]

    def fetch(self, *what: object) -> int:
        raise NotImplementedError


@pytest.mark.parametrize("how", ["smart", "keyframe"])
def test_the_window_of_a_remote_file_has_silent_tracks_too(studio: Studio, how: str) -> None:
    path = partly(studio, "aac.mp4", "-c:a", "aac")
    window = Film(Whole(path)).window(2.56, 4.2, how, "mp4")
    part, out = studio.new("window.mp4"), studio.new("out.mp4")
    window.write(path, part)
    source = studio.examine(part)
    made = cut(source, window.moved(source), out, preset(), studio.tools(), Bounds())
    assert made.cut == how and made.warnings == ("1 sound tracks have nothing in this part: silence",)
    seen = videos.look(out)
    assert seen.beeps[0] == [] and seen.worst_sync(1) <= 0.025


@pytest.mark.parametrize("how", ["smart", "encode"])
def test_a_window_that_begins_in_a_pause_of_the_sound_has_what_comes_behind_it(studio: Studio, how: str) -> None:
    """A sample of long duration stands for the pause: hidden by an edit list it would take what is heard next along."""
    path = studio.new("pause.mp4")
    pause = ("-af", "aselect='lt(t,0.5)+gt(t,3.7)'")
    videos.encode(studio.master(), path, *pause, picture=H264)
    window = Film(Whole(path)).window(2.52, 5.6, how, "mp4")
    part, out = studio.new("window.mp4"), studio.new("out.mp4")
    window.write(path, part)
    source = studio.examine(part)
    made = cut(source, window.moved(source), out, preset(), studio.tools(), Bounds())
    assert made.cut == how
    seen = videos.look(out)
    assert [round(beep + 2.52) for beep in seen.beeps[0]] == [4, 5]
    assert abs(seen.beeps[0][0] + 2.52 - 4) <= 0.045, seen.beeps
