"""How good the encoded edges of a smart cut are: beside the source that they replace, and beside its original.

    python bench/edges.py

Originals are 6 s of moving detail, grain and a test card; sources are made of them at several qualities. Of each clip
the frames of its head are compared: PSNR and SSIM (luma, mean) of edge and source, edge and original, source and
original, and the bytes of edge and source. An edge is good where it loses less against the source than the source has
lost itself.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from videod.cancel import Cancel
from videod.config.options import options
from videod.config.presets import BUILT_IN_PRESETS, Preset
from videod.limits import Limits
from videod.media.cut import cut
from videod.media.examine import examine
from videod.media.plan import plan
from videod.process import Guardian, Tools

ORIGINALS = {
    "detail": "mandelbrot=s=1280x720:r=30:start_scale=1:end_scale=0.02:end_pts=180",
    "grain": "testsrc2=s=1280x720:r=30,noise=alls=12:allf=t",
    "card": "testsrc2=s=1280x720:r=30",
}
QUALITIES = ("18", "23", "28", "34")
SECONDS, START, GOP = 6, 1.1, 60
RUN = ("ffmpeg", "-nostdin", "-v", "error", "-y")


@dataclass(frozen=True)
class Bounds:
    """What videod.media obeys."""

    max_pixels: int = 36_000_000
    max_duration: float = 3600.0


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stderr


def compared(one: Path, first: int, other: Path, second: int, count: int) -> tuple[float, float]:
    """PSNR and SSIM of the luma of `count` frames, from frames number `first` and `second` on."""
    found = []
    for name, pattern in (("psnr", r"y:([\d.]+|inf)"), ("ssim", r"Y:([\d.]+)")):
        sides = [
            f"[{n}:v]trim=start_frame={at}:end_frame={at + count},setpts=N/30/TB,format=yuv420p[v{n}]"
            for n, at in ((0, first), (1, second))
        ]
        graph = ";".join([*sides, f"[v0][v1]{name}"])
        said = run("ffmpeg", "-nostdin", "-i", str(one), "-i", str(other), "-lavfi", graph, "-f", "null", "-")
        found.append(float(re.findall(pattern, said)[-1]))
    return found[0], found[1]


def size(path: Path, first: int, count: int) -> int:
    """Bytes of the packets of `count` frames in order of display."""
    argv = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts,size", "-of", "csv=p=0"]
    out = subprocess.run([*argv, str(path)], check=True, capture_output=True, text=True).stdout
    rows = sorted(tuple(map(int, line.split(",")[:2])) for line in out.split())
    return sum(number for _, number in rows[first : first + count])


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="videod-edges-"))
    guardian = Guardian("bench-edges")
    preset = {key: o.parse(BUILT_IN_PRESETS["default"].get(key, o.default)) for key, o in options(Preset).items()}
    print("original crf   edge/source      edge/original    source/original   bytes edge/source")
    try:
        for name, made in ORIGINALS.items():
            original = folder / f"{name}.mkv"
            run(
                *RUN,
                "-f",
                "lavfi",
                "-i",
                made,
                "-t",
                str(SECONDS),
                "-c:v",
                "ffv1",
                "-pix_fmt",
                "yuv420p",
                str(original),
            )
            for crf in QUALITIES:
                source, out = folder / "source.mp4", folder / "clip.mp4"
                codec = ["-c:v", "libx264", "-preset", "medium", "-crf", crf, "-g", str(GOP), "-sc_threshold", "0"]
                run(*RUN, "-i", str(original), *codec, str(source))
                tools = Tools(guardian, Cancel(), folder, Limits(memory=4 << 30))
                found = examine(str(source), tools, Bounds())
                wanted = plan(found.media, found.frames, START, SECONDS - 1, "smart", "mp4")
                result = cut(found, wanted, out, Preset(**preset), tools, Bounds())
                assert result.cut == "smart", result
                first = round(START * 30)
                head = GOP - first
                rows = [
                    compared(out, 0, source, first, head),
                    compared(out, 0, original, first, head),
                    compared(source, first, original, first, head),
                ]
                shown = "   ".join(f"{psnr:5.2f} dB {ssim:.4f}" for psnr, ssim in rows)
                ratio = size(out, 0, head) / size(source, first, head)
                print(f"{name:8} {crf:>3}   {shown}   {ratio:.2f}", flush=True)
    finally:
        guardian.close()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
