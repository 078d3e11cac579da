"""Coverage-guided fuzzing of whatever reads bytes that others wrote: `make fuzz SECONDS=60`.

Each target runs in a process of its own, under atheris (libFuzzer), which keeps the inputs that reach new branches. A
target may raise the errors that its reader promises; anything else, a secret that is still to be seen, or a second of
CPU time is a finding: the input lies in --out as TARGET-crash-… or TARGET-timeout-…, and
`tools/fuzz.py TARGET FILE` runs it again. Found inputs stay in --out/corpus for the next run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from fuzz_targets import TARGETS

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench" / "kind")]
CPU_SECONDS = 1.0
# trex; moof with mfhd, tfhd and a trun of two samples with all columns, and mdat
MVEX = "000000286d7665780000002074726578" + "00000000" + "0000000100000001000000000000000000000000"
FRAGMENT = "000000646d6f6f66" + "000000106d6668640000000000000001" + "0000004c74726166"
FRAGMENT += "00000010746668640002000000000001"
FRAGMENT += "000000347472756e01000f01000000020000006c" + "0000000a000000030000000000000005" * 2
FRAGMENT += "000000106d6461740000000000000000"
# EBML; Segment with Info, a picture's TrackEntry, Cues with one CuePoint, a Cluster with one key frame
MATROSKA = "1a45dfa380" + "18538067c3" + "1549a966872ad7b1830f4240" + "1654ae6b91ae8fd781018381018687565f4d50454734"
MATROSKA += "1c53bb6b8dbb8bb38100b786f78101f18134" + "1f43b6758ae78100a3858100008000"
READERS = (
    "config",
    "guardian",
    "intake",
    "isapi.clock",
    "isapi.digest",
    "isapi.document",
    "isapi.finding",
    "kinds.clip",
    "logs",
    "media.clocks",
    "media.frames",
    "media.matroska",
    "media.probe",
    "mp4.index",
    "mp4.fragments",
    "transfer.answers",
    "transfer.playlist",
    "transfer.wget",
)


def seeds() -> list[bytes]:
    """What the documents show, and a line of each other thing that is read."""
    blocks = re.findall(r"```\w*[^\n]*\n(.*?)```", (ROOT / "docs/protocol.md").read_text(), re.DOTALL)
    found = [line for block in blocks for line in block.splitlines() if line.strip()] + blocks
    found += ['Digest realm="a", nonce="b", qop="auth", algorithm=SHA-256, stale=true']
    found += ["2026-11-20T08:00:00+01:00|CST-1:00:00DST01:00:00,M3.5.0/02:00:00,M10.5.0/03:00:00"]
    found += [
        "<a><searchMatchItem><trackID>101</trackID><startTime>2026-11-20T08:00:00Z</startTime></searchMatchItem></a>"
    ]
    found += (ROOT / "etc/videod.ini").read_text().split("\n\n")
    found += ["[DEFAULT]\nqueue = q\n[prod]\nproxy = http://h:1\nredis = redis+sentinel://u:p@a:1,b/s/0?tls=yes\n"]
    found += ["CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length: 5\n", "+12\n~13\n-12\n"]
    found += ["512,0,512,K__\nN/A,N/A,N/A,__D\n", "token|x-|", '{"a|\\"|', "http://[::1]:80/a?b#c", "/a|b"]
    found += ['bytes 0-65535/99999\n65536\nvideo/mp4\n"v1"\nMon, 02 Jan 2023 03:04:05 GMT\n\nidentity\nhttps://h/b']
    stream = {"index": 0, "codec_type": "video", "codec_name": "h264", "width": 64, "height": 64, "time_base": "1/9"}
    stream |= {"side_data_list": [{"rotation": 90}], "disposition": {"default": 1}, "tags": {"language": "und"}}
    sound = {"index": 1, "codec_type": "audio", "codec_name": "aac", "sample_rate": "48000", "channels": 2}
    found += [json.dumps({"format": {"format_name": "mov", "duration": "1.5"}, "streams": [stream, sound]})]
    envelope = {"videod": 1, "id": "a", "token": "t", "attempt": 1, "crashes": 0, "origin": "q"}
    found += [json.dumps({**envelope, **raw}, separators=(",", ":")) for raw in ({"raw": "{}"}, {"raw_base64": "AA=="})]
    found += ['#EXT-X-MAP:URI="i",BYTERANGE="9@1"\n#EXT-X-GAP\n#EXTINF:2.5,\n#EXT-X-BYTERANGE:9@1\na\n#EXT-X-ENDLIST']
    found += ['#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="s"\n#EXT-X-STREAM-INF:BANDWIDTH=9,AUDIO="a"\nhttp://h/v']
    binary = [bytes.fromhex(MATROSKA)]
    binary += [b"\0\0\0\x10ftypmp42\0\0\0\0\0\0\0\x08mdat", b"RIFF\x04\0\0\0AVI RIFF\0\0\0\0", b"FLV\x01" + bytes(20)]
    binary += [_movie(b""), _movie(bytes.fromhex(MVEX)) + bytes.fromhex(FRAGMENT) * 3]
    return [text.encode() for text in found] + [*binary, b"\x1aE\xdf\xa3\x80\x18S\x80g\x84abcd"]


def _movie(more: bytes) -> bytes:
    """A small MP4 of three pictures, with all tables and more boxes in moov."""
    from array import array
    from io import BytesIO

    from videod.mp4.model import Placement, Samples
    from videod.mp4.output import TrackOut
    from videod.mp4.writer import write

    entry = b"\0\0\0\x60avc1" + bytes(7) + b"\1" + bytes(80)
    times, lasts = array("q", [0, 10, 20]), array("I", [10] * 3)
    samples = Samples(array("I", [3, 4, 5]), times, times, array("q", [10, 30, 20]), lasts, b"\1\0\0")
    out = BytesIO()
    track = TrackOut(b"vide", 1000, entry, samples, placement=Placement(10, Fraction(1), None))
    write(out, [track], lambda *piece: None)
    head, moov = out.getvalue()[:32], out.getvalue()[32:-8]
    size = (len(moov) + len(more)).to_bytes(4, "big")
    return head + size + moov[4:] + more + out.getvalue()[-8:] + bytes(12)


def timed(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The target with its limit of CPU time: other work on this machine is no finding."""

    def run(data: bytes) -> None:
        begun = time.process_time()
        target(data)
        assert (took := time.process_time() - begun) < CPU_SECONDS, f"{took:.1f} s"

    return run


def one(name: str, seconds: int, out: Path) -> None:
    """Fuzz one target; never returns."""
    import atheris

    with atheris.instrument_imports(include=["videod"]):
        for module in READERS:  # what targets import later would not be instrumented
            importlib.import_module(f"videod.{module}")
    target, longest = TARGETS[name]
    corpus = out / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for n, seed in enumerate(seeds()):
        (corpus / f"seed-{n}").write_bytes(seed[:longest])
    options = [f"-max_total_time={seconds}", f"-max_len={longest}", "-timeout=20", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={out}/{name}-", str(corpus)], timed(target))
    atheris.Fuzz()


def main() -> int:
    """All targets, one after the other, in equal parts of the time; 1 when there was a finding."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", nargs="?", choices=TARGETS)
    parser.add_argument("again", nargs="?", type=Path, help="run this input once")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir(), f"videod-fuzz-{os.getuid()}"))
    given = parser.parse_args()
    if given.again:
        timed(TARGETS[given.target][0])(given.again.read_bytes())
    elif given.target:
        one(given.target, given.seconds, given.out)
    bad = 0
    for name in () if given.target else TARGETS:
        part = max(1, given.seconds // len(TARGETS))
        argv = [sys.executable, __file__, name, f"--seconds={part}", f"--out={given.out}"]
        done = subprocess.run(argv, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
        ran = re.findall(r"#(\d+)\tDONE\s+cov: (\d+)", done.stderr)
        told = "nothing found in {} runs, {} branches reached".format(*ran[-1]) if ran else "a finding:"
        print(f"{name:8} {told}", flush=True)
        if done.returncode:
            bad = 1
            print(done.stderr[-3000:])
    return bad


if __name__ == "__main__":
    sys.exit(main())
