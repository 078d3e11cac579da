"""Recordings as network video recorders keep them: an MPEG program stream, with their own header in front.

ffmpeg's muxer knows neither G.711 nor the map that names it, so the stream is put together here (ISO 13818-1).
"""

from __future__ import annotations

from pathlib import Path

from tests.videos import ffmpeg

CLOCK = 90_000
VIDEO, SOUND = 0xE0, 0xC0
# stream types of the program stream map, G.711 A-law as these recorders number it
TYPES = {"h264": 0x1B, "hevc": 0x24, "alaw": 0x90, "aac": 0x0F}
# how an access unit begins, with its delimiter
DELIMITERS = {"h264": b"\0\0\0\1\x09", "hevc": b"\0\0\0\1\x46\1"}
IMKH = b"IMKH" + bytes.fromhex("0101000002000100107110017110401f000000fa00000000000000000000000000000000")


def recording(
    master: Path,
    start: float = 0.0,
    seconds: float = 2.0,
    *,
    picture: str = "h264",
    sound: str = "alaw",
    own: bool = True,
) -> bytes:
    """A part of a master as a recorder would hand it out. `own`: with the recorder's own header in front."""
    part = ["-ss", f"{start:g}", "-t", f"{seconds:g}", "-i", str(master)]
    coders = {
        "h264": ["libx264", "-bf", "0", "-g", "25", "-x264-params", "aud=1:repeat-headers=1"],
        "hevc": ["libx265", "-x265-params", "aud=1:repeat-headers=1:bframes=0:keyint=25:log-level=error"],
    }
    argv = [*part, "-map", "0:v", "-c:v", *coders[picture], "-preset", "ultrafast"]
    delimiter = DELIMITERS[picture]
    units = [delimiter + unit for unit in ffmpeg(*argv, "-f", picture, "-").split(delimiter)[1:]]
    heard = _heard(part, sound, len(units))
    made = bytearray(IMKH if own else b"")
    for n, unit in enumerate(units):
        at = CLOCK + n * CLOCK // 25
        made += _pack(at)
        if n % 25 == 0:
            made += _map(TYPES[picture], TYPES.get(sound, 0))
        made += _pes(VIDEO, at, unit)
        made += b"".join(_pes(SOUND, CLOCK + late, data) for late, data in heard[n])
    return bytes(made)


def _heard(part: list[str], sound: str, count: int) -> list[list[tuple[int, bytes]]]:
    """For each picture the coded sound that belongs there, each with its time."""
    made: list[list[tuple[int, bytes]]] = [[] for _ in range(count)]
    if sound == "alaw":
        raw = ffmpeg(*part, "-map", "0:a", "-ar", "8000", "-ac", "1", "-c:a", "pcm_alaw", "-f", "alaw", "-")
        pieces = [raw[at : at + 320] for at in range(0, len(raw), 320)]
        times = [n * CLOCK // 25 for n in range(len(pieces))]
    elif sound == "aac":
        raw = ffmpeg(*part, "-map", "0:a", "-ar", "16000", "-ac", "1", "-c:a", "aac", "-f", "adts", "-")
        pieces = [b"\xff\xf1" + piece for piece in raw.split(b"\xff\xf1")[1:]]
        times = [n * CLOCK * 1024 // 16000 for n in range(len(pieces))]
    else:
        return made
    for time, piece in zip(times, pieces, strict=True):
        made[min(count - 1, time * 25 // CLOCK)].append((time, piece))
    return made


def _pack(at: int) -> bytes:
    bits = (
        0b01 << 46
        | (at >> 30 & 7) << 43
        | 1 << 42
        | (at >> 15 & 0x7FFF) << 27
        | 1 << 26
        | (at & 0x7FFF) << 11
        | 1 << 10
        | 1
    )
    return b"\0\0\1\xba" + bits.to_bytes(6, "big") + (25_000 << 2 | 3).to_bytes(3, "big") + b"\xf8"


def _map(picture: int, sound: int) -> bytes:
    streams = bytes([picture, VIDEO, 0, 0]) + (bytes([sound, SOUND, 0, 0]) if sound else b"")
    body = b"\xe0\xff" + b"\0\0" + len(streams).to_bytes(2, "big") + streams
    made = b"\0\0\1\xbc" + (len(body) + 4).to_bytes(2, "big") + body
    return made + _crc(made).to_bytes(4, "big")


def _crc(data: bytes) -> int:
    """CRC-32 of MPEG-2: that of zlib without its reflections."""
    made = 0xFFFFFFFF
    for byte in data:
        made ^= byte << 24
        for _ in range(8):
            made = (made << 1 ^ 0x04C11DB7 if made & 0x80000000 else made << 1) & 0xFFFFFFFF
    return made


def _pes(ident: int, at: int, data: bytes) -> bytes:
    made = b""
    for begin in range(0, len(data), 60_000):
        piece = data[begin : begin + 60_000]
        stamp = _stamp(at) if not begin else b""
        head = b"\x80" + (b"\x80" if stamp else b"\0") + bytes([len(stamp)]) + stamp
        made += b"\0\0\1" + bytes([ident]) + (len(head) + len(piece)).to_bytes(2, "big") + head + piece
    return made


def _stamp(at: int) -> bytes:
    bits = 0b0010 << 36 | (at >> 30 & 7) << 33 | 1 << 32 | (at >> 15 & 0x7FFF) << 17 | 1 << 16 | (at & 0x7FFF) << 1 | 1
    return bits.to_bytes(5, "big")
