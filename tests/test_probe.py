"""Probing: what is in a file, told by its content; what is no video, locked, broken or too big."""

from __future__ import annotations

import math
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.films import Film
from tests.media_fixtures import Bounds, Studio
from tests.videos import X264, ffmpeg, ffprobe, rewrap
from videod.errors import Damaged, Encrypted, NotFound, NotVideo, TooBig
from videod.media.model import Media
from videod.media.probe import probe
from videod.media.whole import is_whole, looks_like_video


def look_at(studio: Studio, path: Path, bounds: Bounds = Bounds()) -> Media:
    return probe(str(path), studio.tools(), bounds)


def test_a_plain_file(studio: Studio) -> None:
    path = studio.film("mp4").path
    media = look_at(studio, path)
    video = media.video
    assert "mp4" in media.formats
    assert (media.size, media.duration, media.whole) == (path.stat().st_size, 6, True)
    assert (video.codec, video.width, video.height, video.pix_fmt) == ("h264", 320, 180, "yuv420p")
    assert (video.time_base, video.rate, video.promised, video.start) == (Fraction(1, 12800), 25, 150, 0)
    assert (video.rotation, video.sar, video.profile, video.field_order) == (0, 1, "High", "progressive")
    (track,) = media.audio
    assert (track.codec, track.sample_rate, track.channels, track.default) == ("aac", 48000, 1, True)


def test_tracks_tags_and_others(studio: Studio) -> None:
    media = look_at(studio, studio.film("two").path)
    assert media.title == "A film"
    assert [(t.codec, t.language, t.title, t.default) for t in media.audio] == [
        ("ac3", "eng", "", False),
        ("opus", "jpn", "Zweiter", True),
    ]


def test_colour_and_rotation(studio: Studio) -> None:
    hdr = look_at(studio, studio.film("hdr").path).video
    assert hdr.hdr
    assert (hdr.color_primaries, hdr.color_space, hdr.pix_fmt) == ("bt2020", "bt2020nc", "yuv420p10le")
    assert look_at(studio, studio.film("turned").path).video.rotation == -90
    interlaced = look_at(studio, studio.film("interlaced").path).video
    assert interlaced.field_order in {"tt", "tb"}


@pytest.mark.parametrize("name", ["ts", "hik", "mkv", "webm"])
def test_content_counts_and_not_the_name(studio: Studio, name: str) -> None:
    film: Film = studio.film(name)
    path = studio.new("video.mp4")
    path.write_bytes(film.path.read_bytes())
    assert look_at(studio, path).video.width == 320


@pytest.mark.parametrize(
    "name", ['-i it\'s "q" $(touch x) ;&%d %03d \u00fc.mp4', "concat:a|b.mp4", "http:__x.mp4", "a\nb.mp4"]
)
def test_hostile_names_are_names(studio: Studio, name: str) -> None:
    path = studio.folder / name
    path.write_bytes(studio.film("mp4").path.read_bytes())
    source = studio.examine(path)
    assert len(source.frames.pts) == 150
    out, made = studio.cut(path, 1.0, 1.2, source=source)
    assert made.frames == 5


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:30\n#EXTINF:30.0,\n{path}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {path}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{path}</BaseURL></MPD>',
    "html": "<!doctype html><title>404</title><p>gone\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
}


@pytest.mark.parametrize("kind", sorted(PLAYLISTS))
def test_what_names_other_files_is_no_video(studio: Studio, kind: str) -> None:
    path = studio.new("list.mp4")
    path.write_text(PLAYLISTS[kind].format(path=studio.film("ts").path))
    with pytest.raises(NotVideo):
        look_at(studio, path)


def test_nothing_sound_and_pictures_are_no_video(studio: Studio) -> None:
    empty = studio.new("empty.mp4")
    empty.write_bytes(b"")
    sound = studio.new("sound.m4a")
    ffmpeg("-i", str(studio.film("mp4").path), "-vn", "-c", "copy", str(sound))
    cover = studio.new("cover.m4a")
    art = ["-f", "lavfi", "-i", "color=red:s=64x64:d=0.04", "-map", "0:a", "-map", "1:v", "-frames:v", "1"]
    art += ["-c:a", "copy", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-disposition:v", "attached_pic"]
    ffmpeg("-i", str(studio.film("mp4").path), *art, str(cover))
    picture = studio.new("picture.mp4")
    ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", "-f", "image2", "-c:v", "png", str(picture))
    for path in (empty, sound, cover, picture):
        with pytest.raises(NotVideo):
            look_at(studio, path)
    with pytest.raises(NotFound):
        look_at(studio, studio.folder / "nowhere.mp4")


def test_the_cover_is_not_the_picture(studio: Studio) -> None:
    path = studio.new("film_with_cover.mp4")
    art = ["-f", "lavfi", "-i", "color=red:s=1280x720:d=0.04", "-map", "0", "-map", "1:v", "-c", "copy"]
    art += ["-c:v:1", "mjpeg", "-pix_fmt:v:1", "yuvj420p", "-frames:v:1", "1", "-disposition:v:1", "attached_pic"]
    ffmpeg("-i", str(studio.film("mp4").path), *art, str(path))
    media = look_at(studio, path)
    assert (media.video.codec, media.video.width) == ("h264", 320)
    assert [other.kind for other in media.others] == ["cover"]
    out, made = studio.cut(path, 1.0, 2.0)
    assert made.warnings == ("left out: cover (mjpeg)",)
    assert [s["codec_type"] for s in ffprobe(out, "-show_streams")["streams"]] == ["video", "audio"]


def test_the_default_picture_is_taken(studio: Studio) -> None:
    path = studio.new("angles.mkv")
    maps = [
        "-map",
        "0:v",
        "-map",
        "0:v",
        *X264,
        "-s:v:0",
        "640x360",
        "-disposition:v:0",
        "0",
        "-disposition:v:1",
        "default",
    ]
    ffmpeg("-i", str(studio.master()), *maps, str(path))
    assert look_at(studio, path).video.index == 1
    plain = rewrap(path, studio.new("plain.mkv"), "-map", "0", "-disposition:v", "0")
    assert look_at(studio, plain).video.width == 640


def test_encrypted(studio: Studio) -> None:
    path = studio.new("locked.mp4")
    key = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb"]
    rewrap(studio.film("mp4").path, path, *key, "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")
    with pytest.raises(Encrypted):
        look_at(studio, path)


def test_too_many_pixels(studio: Studio) -> None:
    path = studio.film("mp4").path
    assert look_at(studio, path, Bounds(max_pixels=320 * 180)).video.width == 320
    with pytest.raises(TooBig):
        look_at(studio, path, Bounds(max_pixels=320 * 180 - 1))
    with pytest.raises(TooBig):
        look_at(studio, studio.film("webm").path, Bounds(max_pixels=1000))


def test_a_video_that_cannot_be_read_is_damaged_not_foreign(studio: Studio) -> None:
    for name in ("mkv", "mp4"):
        path = studio.new(name)
        path.write_bytes(studio.film(name).path.read_bytes()[:200])
        with pytest.raises(Damaged):
            look_at(studio, path)


def test_titles_of_any_text(studio: Studio) -> None:
    title = 'a"b\\c\n\u2603 \U0001f3ac $(id)' + "x" * 4000
    path = rewrap(studio.film("mp4").path, studio.new("title.mkv"), "-metadata", f"title={title}")
    assert look_at(studio, path).title == title
    out, _ = studio.cut(path, 1.0, 1.2)
    assert ffprobe(out, "-show_format")["format"]["tags"]["title"] == title


@pytest.mark.parametrize(("name", "formats"), [("mp4", "mov"), ("mkv", "matroska"), ("avi", "avi"), ("flv", "flv")])
def test_a_file_knows_how_long_it_should_be(studio: Studio, name: str, formats: str) -> None:
    path = studio.film(name).path
    assert is_whole(str(path), (formats,))
    data = path.read_bytes()
    assert looks_like_video(data[:1024])
    for part in (0.3, 0.9, 1 - 1 / len(data)):
        short = studio.new("short")
        short.write_bytes(data[: math.ceil(len(data) * part)])
        assert not is_whole(str(short), (formats,))


@given(st.binary(max_size=300), st.sampled_from(["mov", "matroska", "avi", "flv", "mpegts"]))
def test_any_bytes_can_be_asked_for_their_length(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, formats: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(struct.pack(">I", zlib.crc32(data)) + data)
    assert is_whole(str(path), (formats,)) in {True, False}
    looks_like_video(data)


def test_a_glued_recording_is_one_straight_time_line(studio: Studio) -> None:
    film = studio.film("glued")
    source = studio.examine(film.path)
    times = [source.frames.seconds(pts) for pts in source.frames.pts]
    assert times == [Fraction(n, 25) for n in range(300)]
    # mended by a copy of the streams: the next clip of the same message uses it again
    assert source.media.formats == ("nut",)
