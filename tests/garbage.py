"""Makers of what is no sound video at all, or pretends to be one: each writes a file below a folder."""

from __future__ import annotations

import io
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.videos import ffmpeg

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta"}


def png(width: int, height: int) -> bytes:
    """A PNG whose header promises a picture of this size, and whose data is a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")


def archive() -> bytes:
    """A zip."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("video.mp4", bytes(10_000))
    return made.getvalue()


def golomb(*numbers: int) -> str:
    """Numbers as H.264 writes them, in bits."""
    return "".join("0" * (len(bits := bin(n + 1)[2:]) - 1) + bits for n in numbers)


def parameters(wide: int, high: int) -> bytes:
    """A parameter set of H.264 for pictures of so many macro blocks of 16 pixels."""
    bits = golomb(0, 0, 0, 1) + "0" + golomb(wide - 1, high - 1) + "11" + "0" + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    return b"\0\0\0\1\x67" + bytes([66, 0, 51]) + int(bits, 2).to_bytes(len(bits) // 8, "big")


def huge_h264(plain: bytes, out: Path) -> None:
    """MPEG-TS whose H.264 says that its pictures are 65520x65520."""
    stream = ffmpeg("-i", "pipe:0", "-an", "-c", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "mpegts", "pipe:1",
                    feed=plain)  # fmt: skip
    at = stream.find(b"\0\0\0\1\x67")
    sps = parameters(4095, 4095)
    out.write_bytes(stream[:at] + sps + stream[at + len(sps) :])


def huge_entry(plain: bytes) -> bytes:
    """An MP4 whose header says 65535x65535."""
    at = plain.index(b"avc1", plain.index(b"stsd")) + 4 + 24
    return plain[:at] + b"\xff\xff\xff\xff" + plain[at + 4 :]


def huge_mjpeg(out: Path, side: int) -> None:
    """AVI of 64x64 whose JPEG pictures say that they are `side` pixels wide and high."""
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:d=3", "-c:v", "mjpeg", "-f", "avi", str(out))
    stream, at = bytearray(out.read_bytes()), -1
    while (at := stream.find(b"\xff\xc0\0\x11\x08", at + 1)) >= 0:
        stream[at + 5 : at + 9] = struct.pack(">HH", side, side)
    out.write_bytes(stream)


def borders(data: bytes, low: int = 0, high: int | None = None) -> Iterator[int]:
    """Where the boxes of an MP4 begin, those inside of others too."""
    high, at = len(data) if high is None else high, low
    while at + 8 <= high:
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        yield at
        if kind in CONTAINERS:
            yield from borders(data, at + 8, at + size)
        at += max(8, size)


def outgrown(plain: bytes, out: Path) -> None:
    """MPEG-TS of 3 s in 320x180, in which pictures of 6400x6400 follow."""
    large = ["-f", "lavfi", "-i", "color=black:s=6400x6400:r=5:d=0.4", "-c:v", "libx264", "-preset", "ultrafast"]
    ffmpeg(*large, "-bf", "0", "-output_ts_offset", "3", "-f", "mpegts", str(out))
    out.write_bytes(plain + out.read_bytes())


def endless_box(data: bytes, kind: bytes) -> bytes:
    """An MP4 in which one box has a size of 2^63: the longest that its 64 bits with a sign can say, and one."""
    at = data.index(kind) - 4
    return data[:at] + b"\0\0\0\1" + kind + struct.pack(">Q", 1 << 63) + data[at + 8 :]


def flipped(data: bytes, seed: int) -> bytes:
    """With some bytes changed at random: 1 to 40 of them, half of the time in the first kilobyte."""
    luck, made = random.Random(seed), bytearray(data)
    reach = len(made) if seed % 2 else min(len(made), 1024)
    for _ in range(luck.randint(1, 40)):
        made[luck.randrange(reach)] = luck.randrange(256)
    return bytes(made)


def sparse(path: Path, head: bytes, size: int) -> None:
    """`head` and then nothing, up to `size`, without taking up space."""
    path.write_bytes(head)
    os.truncate(path, size)


def crowded(folder: Path, plain: Path, out: Path) -> None:
    """100 sound tracks with long titles, 1000 chapters, a comment of 1 MB, a language that is a novel."""
    words = folder / "meta"
    chapters = "".join(f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={n}\nEND={n + 1}\ntitle=c{n}\n" for n in range(1000))
    words.write_text(f";FFMETADATA1\ncomment={'y' * 1_000_000}\ntitle={'z' * 20_000}\n{chapters}")
    tracks = [word for _ in range(100) for word in ("-map", "0:a")]
    titles = ["-metadata:s:v", "language=" + "l" * 100_000]
    titles += [word for n in range(100) for word in (f"-metadata:s:a:{n}", "title=" + "t" * 9000)]
    ffmpeg("-i", str(plain), "-f", "ffmetadata", "-i", str(words), "-map", "0:v", *tracks, "-map_metadata", "1",
           "-map_chapters", "1", *titles, "-c", "copy", str(out))  # fmt: skip


def many_frames(out: Path, seconds: int) -> None:
    """A thousand pictures of 16x16 a second."""
    ffmpeg("-f", "lavfi", "-i", f"color=s=16x16:r=1000:d={seconds}", "-c:v", "mpeg4", "-g", "250", "-f", "avi",
           str(out))  # fmt: skip


def bomb(out: Path, frames: int) -> None:
    """A small file of large black pictures."""
    black = f"color=black:s=5600x5600:r=1:d={frames}"
    ffmpeg("-f", "lavfi", "-i", black, "-c:v", "mpeg4", "-q:v", "31", "-g", "9999", str(out))
