"""Recordings as network video recorders keep them: H.264 and G.711 in an MPEG program stream, with their own header.

ffmpeg's muxer knows neither G.711 nor the map that names it, so the stream is put together here (ISO 13818-1).
"""

from __future__ import annotations

from pathlib import Path

from tests.videos import ffmpeg

CLOCK = 90_000
VIDEO, SOUND = 0xE0, 0xC0
# stream types of the program stream map: H.264, G.711 A-law as these recorders number it
H264, ALAW = 0x1B, 0x90
IMKH = b"IMKH" + bytes.fromhex("0101000002000100107110017110401f000000fa00000000000000000000000000000000")


def recording(master: Path, start: float = 0.0, seconds: float = 2.0, *, sound: bool = True, own: bool = True) -> bytes:
    """A part of a master as a recorder would hand it out. `own`: with the recorder's own header in front."""
    part = ["-ss", f"{start:g}", "-t", f"{seconds:g}", "-i", str(master)]
    x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-x264-params", "aud=1:repeat-headers=1"]
    stream = ffmpeg(*part, "-map", "0:v", *x264, "-f", "h264", "-")
    heard = (
        ffmpeg(*part, "-map", "0:a", "-ar", "8000", "-ac", "1", "-c:a", "pcm_alaw", "-f", "alaw", "-") if sound else b""
    )
    units = [b"\0\0\0\1\x09" + unit for unit in stream.split(b"\0\0\0\1\x09")[1:]]
    made = bytearray(IMKH if own else b"")
    for n, unit in enumerate(units):
        at = CLOCK + n * CLOCK // 25
        made += _pack(at)
        if n % 25 == 0:
            made += _map(sound)
        made += _pes(VIDEO, at, unit)
        made += _pes(SOUND, at, heard[n * 320 : n * 320 + 320]) if heard[n * 320 :] else b""
    return bytes(made)


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


def _map(sound: bool) -> bytes:
    streams = bytes([H264, VIDEO, 0, 0]) + (bytes([ALAW, SOUND, 0, 0]) if sound else b"")
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
