"""Coded video for tests: films as configuration and samples, what ffmpeg reads in their headers, what decoders show."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.videos import ffmpeg, ffprobe, run
from videod.codec.nal import join_stream, split
from videod.codec.records import AvcConfig


@dataclass(frozen=True)
class Film:
    """An encoded film: its configuration and its samples in decoding order."""

    path: Path
    config: AvcConfig
    samples: list[bytes]

    def stream(self) -> bytes:
        """All of it as a byte stream."""
        return byte_stream(self.config, self.samples)


def record(path: Path, kind: bytes) -> bytes:
    """The body of a configuration box, found by its name."""
    data = path.read_bytes()
    at = data.index(kind)
    return data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]


def samples(path: Path) -> list[bytes]:
    """The samples of the first picture track, as ffprobe finds them."""
    data = path.read_bytes()
    packets = ffprobe(path, "-select_streams", "v:0", "-show_entries", "packet=pos,size")["packets"]
    return [data[int(p["pos"]) : int(p["pos"]) + int(p["size"])] for p in packets]


def byte_stream(config: AvcConfig, pieces: Sequence[bytes]) -> bytes:
    """Sets and samples as a byte stream."""
    nals = [nal for sample in pieces for nal in split(sample, config.length_size)]
    return join_stream([*config.sps, *config.pps, *nals])


def load(path: Path) -> Film:
    """An MP4 of ours."""
    return Film(path, AvcConfig.read(record(path, b"avcC")), samples(path))


@functools.cache
def raw(size: str, frames: int) -> bytes:
    """Pictures with motion, noise and fades, as YUV4MPEG."""
    chain = f"testsrc2=s={size}:r=25,noise=alls=12:allf=t:all_seed=7,fade=in:4:12"
    argv = ["-f", "lavfi", "-i", chain, "-frames:v", str(frames), "-pix_fmt", "yuv420p"]
    return ffmpeg(*argv, "-f", "yuv4mpegpipe", "-")


def encode(out: Path, pictures: bytes, *argv: str) -> Film:
    """Encode YUV4MPEG pictures by x264 as `argv` says, quickly unless that says otherwise."""
    source = ["-f", "yuv4mpegpipe", "-i", "-", "-c:v", "libx264", "-preset", "veryfast", "-threads", "1"]
    ffmpeg(*source, *argv, "-enc_time_base", "-1", str(out), feed=pictures)
    return load(out)


def spoken(stream: bytes, codec: str = "h264") -> tuple[list[str], str]:
    """What libavcodec decodes a byte stream to: a hash for each picture, in the order shown; and its complaints."""
    argv = ["ffmpeg", "-nostdin", "-v", "warning", "-err_detect", "explode", "-f", codec, "-i", "-"]
    argv += ["-fps_mode", "passthrough", "-f", "framemd5", "-"]
    done = subprocess.run(argv, input=stream, capture_output=True, timeout=120)
    return _hashes(done.stdout.decode()), done.stderr.decode(errors="replace")


def _hashes(text: str) -> list[str]:
    return [line.rsplit(",", 1)[1].strip() for line in text.splitlines() if line and not line.startswith("#")]


def shown(stream: bytes, codec: str = "h264") -> list[str]:
    """The same, of a stream without fault."""
    hashes, told = spoken(stream, codec)
    assert told == "", told
    return hashes


@functools.cache
def has_element(name: str) -> bool:
    """Whether GStreamer with this element is installed."""
    if not shutil.which("gst-inspect-1.0"):
        return False
    return subprocess.run(["gst-inspect-1.0", name], capture_output=True, timeout=60).returncode == 0


def has_openh264() -> bool:
    """Whether there is openh264: a decoder of H.264 that is not libavcodec."""
    return has_element("openh264dec")


def has_libde265() -> bool:
    """Whether there is libde265: a decoder of HEVC that is not libavcodec."""
    return has_element("libde265dec")


def shown_by_openh264(stream: bytes, size: tuple[int, int], folder: Path) -> list[str]:
    """As `shown`, by openh264."""
    return _shown_by(("h264parse", "!", "openh264dec"), stream, size, folder)


def shown_by_libde265(stream: bytes, size: tuple[int, int], folder: Path) -> list[str]:
    """As `shown`, by libde265."""
    return _shown_by(("h265parse", "!", "libde265dec"), stream, size, folder)


def _shown_by(decoder: Sequence[str], stream: bytes, size: tuple[int, int], folder: Path) -> list[str]:
    there, plain = folder / "decoder.in", folder / "decoder.out"
    there.write_bytes(stream)
    argv = ["gst-launch-1.0", "-q", "filesrc", f"location={there}", "!", *decoder, "!", "videoconvert", "!"]
    run(*argv, "video/x-raw,format=I420", "!", "filesink", f"location={plain}")
    data = plain.read_bytes()
    # GStreamer begins the rows of each plane at multiples of four bytes
    width, height = size
    rows = [(width, height), (width // 2, height // 2), (width // 2, height // 2)]
    picture = sum(-(-row // 4) * 4 * count for row, count in rows)
    assert len(data) % picture == 0
    packed = bytearray()
    at = 0
    for _ in range(len(data) // picture):
        for row, count in rows:
            stride = -(-row // 4) * 4
            packed += b"".join(data[at + n * stride : at + n * stride + row] for n in range(count))
            at += stride * count
    argv = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-i", "-", "-f", "framemd5", "-"]
    return _hashes(ffmpeg(*argv, feed=bytes(packed)).decode())


@dataclass
class Unit:
    """The syntax elements of one NAL unit as ffmpeg's trace_headers tells them.

    `fields`: the last value of each name; `lists`: all values of a name, indices taken off; `end`: the bit, counted
    from the NAL unit's header on, behind the last element that is no alignment.
    """

    kind: str
    fields: dict[str, int]
    lists: dict[str, list[int]]
    places: dict[str, int]
    end: int


_ELEMENT = re.compile(r"\] +(\d+) +(\S+) +([01]+) = (-?\d+)$")
_TITLE = re.compile(r"\] ([A-Z][A-Za-z ]+[a-z])$")


def trace(path: Path, title: Callable[[str], bool]) -> list[Unit]:
    """Each unit whose title is wanted."""
    argv = ["ffmpeg", "-nostdin", "-v", "trace", "-i", str(path), "-map", "0:v:0", "-c", "copy"]
    argv += ["-bsf:v", "trace_headers", "-f", "null", "-"]
    done = subprocess.run(argv, capture_output=True, timeout=120)
    units: list[Unit] = []
    for line in done.stderr.decode(errors="replace").splitlines():
        if "[trace_headers" not in line:
            continue
        if match := _ELEMENT.search(line):
            if not units:
                continue
            at, name, bits, value = match.groups()
            bare = re.sub(r"\[.*", "", name)
            units[-1].fields[bare] = int(value)
            units[-1].lists.setdefault(bare, []).append(int(value))
            units[-1].places[bare] = int(at)
            if not bare.startswith("cabac_alignment"):
                units[-1].end = int(at) + len(bits)
        elif match := _TITLE.search(line):
            units.append(Unit(match[1], {}, {}, {}, 0))
    return [unit for unit in units if title(unit.kind)]
