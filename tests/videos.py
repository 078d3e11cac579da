"""Videos made for tests, and eyes and ears to read back what is in a file.

Each picture carries its number as a barcode of 12 bits and turns white in one corner at each full second,
when a beep of 40 ms sounds, too. So a test can tell which frames a clip holds, whatever its time stamps
claim, and whether sound and picture still go together.
"""

from __future__ import annotations

import array
import json
import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

WIDTH, HEIGHT, CELL, BITS = 320, 180, 16, 12
RATE = 48_000
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-g", "25", "-bf", "3", "-sc_threshold", "0")
AAC = ("-c:a", "aac", "-b:a", "64k")


def run(*argv: str, feed: bytes = b"") -> bytes:
    """Run a tool, give its output; its complaints become the test's error."""
    done = subprocess.run(argv, input=feed, capture_output=True, timeout=120)
    assert done.returncode == 0, f"{argv}: {done.stderr.decode(errors='replace')[-2000:]}"
    return done.stdout


def ffmpeg(*argv: str, feed: bytes = b"") -> bytes:
    """Run ffmpeg quietly."""
    return run("ffmpeg", "-nostdin", "-v", "error", "-y", *argv, feed=feed)


def picture(number: int, flash: bool) -> bytes:
    """One gray picture: a moving ramp, the barcode and the corner that flashes."""
    ramp = bytes((x + number * 3) % 200 + 20 for x in range(WIDTH))
    rows = bytearray(ramp * HEIGHT)
    cells = b"".join(bytes([235 if number >> bit & 1 else 16]) * CELL for bit in range(BITS))
    line = (
        bytes([16]) * 8 + cells + bytes([16]) * (240 - 8 - len(cells)) + bytes([235 if flash else 16]) * (WIDTH - 240)
    )
    for y in range(32):
        rows[y * WIDTH : (y + 1) * WIDTH] = line
    return bytes(rows)


def flashes(rate: Fraction, count: int) -> list[int]:
    """The numbers of the frames that flash: the first at or after each full second."""
    return [math.ceil(second * rate) for second in range(math.ceil(count / rate)) if math.ceil(second * rate) < count]


def beeps(seconds: float) -> bytes:
    """Mono samples: a beep at each full second."""
    tone = [int(16000 * math.sin(2 * math.pi * 1000 * n / RATE)) for n in range(RATE // 25)]
    second = array.array("h", tone + [0] * (RATE - len(tone)))
    return (second * math.ceil(seconds)).tobytes()[: int(seconds * RATE) * 2]


def make_master(out: Path, rate: str = "25", seconds: float = 6.0) -> Path:
    """A lossless file with numbered pictures and beeps, from which the others are made."""
    fps = Fraction(rate)
    count = int(seconds * fps)
    bright = set(flashes(fps, count))
    raw = out.with_suffix(".gray")
    with raw.open("wb") as file:
        for number in range(count):
            file.write(picture(number, number in bright))
    sound = out.with_suffix(".s16")
    sound.write_bytes(beeps(seconds))
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", rate, "-i", str(raw)]
    source += ["-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", str(sound)]
    ffmpeg(*source, "-c:v", "ffv1", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le", "-f", "nut", str(out))
    raw.unlink()
    sound.unlink()
    return out


def numbers(path: Path, *filters: str) -> list[int]:
    """The numbers of the pictures in a file, in the order shown."""
    chain = ",".join([*filters, f"scale={WIDTH}:{HEIGHT}", "format=gray"])
    argv = ["-i", f"file:{path}", "-map", "0:v:0", "-vf", chain, "-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    return [number for number, _ in _read(ffmpeg(*argv))]


def _read(raw: bytes) -> list[tuple[int, bool]]:
    size, found = WIDTH * HEIGHT, []
    for at in range(0, len(raw) - size + 1, size):
        row = at + 16 * WIDTH
        number = sum((raw[row + 16 + bit * CELL] > 128) << bit for bit in range(BITS))
        found.append((number, raw[row + 280] > 128))
    return found


@dataclass(frozen=True)
class Seen:
    """What a player would show: (seconds, number, flash) of each picture; (seconds) of each beep by track."""

    pictures: list[tuple[float, int, bool]]
    beeps: list[list[float]]

    @property
    def numbers(self) -> list[int]:
        """The pictures' numbers."""
        return [number for _, number, _ in self.pictures]

    def worst_sync(self, track: int = 0) -> float:
        """The largest distance of a flash from its beep, in seconds; there must be both."""
        flashes = [time for time, _, flash in self.pictures if flash]
        # a beep at the very end may be cut off so much that nobody hears it
        last = self.pictures[-1][0]
        pairs = [min(abs(time - beep) for beep in self.beeps[track]) for time in flashes if time < last - 0.05]
        assert pairs, "no flash to compare with"
        return max(pairs)


def look(path: Path) -> Seen:
    """Decode a file and see and hear what is in it; times count from the first picture."""
    about = ffprobe(path, "-show_streams", "-show_format")
    tracks = [s for s in about["streams"] if s["codec_type"] == "audio"]
    chain = f"scale={WIDTH}:{HEIGHT},format=gray"
    argv = ["-i", f"file:{path}", "-map", "0:v:0", "-vf", chain, "-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    shown = _read(ffmpeg("-copyts", *argv))
    times = sorted(frame_times(path))
    assert len(times) == len(shown), f"{len(times)} packets are shown, {len(shown)} can be decoded"
    first = times[0]
    pictures = [(time - first, number, flash) for time, (number, flash) in zip(times, shown, strict=True)]
    return Seen(pictures, [_hear(path, n, first) for n in range(len(tracks))])


def frame_times(path: Path) -> list[float]:
    """When each shown picture's packet is to be shown, in seconds of the file's clock."""
    packets = ffprobe(path, "-select_streams", "v:0", "-show_entries", "packet=pts_time,flags")["packets"]
    return [float(p["pts_time"]) for p in packets if "D" not in p["flags"]]


def _hear(path: Path, track: int, first: float) -> list[float]:
    # padded to the first picture's time, or cut there: sample 0 is the moment of the first picture
    chain = f"asetpts=PTS-({first})/TB,aresample={RATE}:async=1:min_hard_comp=0.001:first_pts=0"
    chain += ",aformat=channel_layouts=mono"
    argv = ["-copyts", "-i", f"file:{path}", "-map", f"0:a:{track}", "-af", chain, "-f", "s16le", "-"]
    samples = array.array("h", ffmpeg(*argv))
    found: list[float] = []
    quiet = RATE
    for n, sample in enumerate(samples):
        if abs(sample) > 3000:
            if quiet > RATE // 10:
                found.append(n / RATE)
            quiet = 0
        else:
            quiet += 1
    return found


def ffprobe(path: Path, *argv: str) -> dict[str, list[dict[str, str]]]:
    """What ffprobe says, as JSON."""
    made: dict[str, list[dict[str, str]]] = json.loads(
        run("ffprobe", "-v", "error", "-of", "json", *argv, f"file:{path}")
    )
    return made


def encode(master: Path, out: Path, *argv: str, picture: Sequence[str] = X264, sound: Sequence[str] = AAC) -> Path:
    """Encode a master into `out` with further options of ffmpeg."""
    ffmpeg("-i", str(master), *picture, *sound, *argv, str(out))
    return out


def rewrap(source: Path, out: Path, *argv: str) -> Path:
    """Copy the streams of `source` into `out`."""
    ffmpeg("-i", str(source), "-c", "copy", *argv, str(out))
    return out
