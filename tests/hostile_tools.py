"""Tools that misbehave: scripts named ffmpeg, ffprobe and wget, first on the daemon's PATH.

Which way they misbehave stands in a file beside them, for a tool gets no environment of ours; without one they
become the real tool.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# seconds that a stray sleeps, by which the table of processes knows it: each run of tests has its own
STRAY = f"{86_000_000 + os.getpid()}"
SCRIPT = """#!/bin/sh
real={real}
for last; do :; done
out=${{last#file:}}
case "$(cat '{folder}/{tool}.mode' 2>/dev/null)" in
"") exec $real "$@" ;;
memory) while sleep 0.5; do echo . >&2; done & exec tail /dev/zero ;;
forks) setsid sh -c 'trap "" TERM; sleep {stray} & sleep {stray}' </dev/null >/dev/null 2>&1 &
    exec $real "$@" ;;
deaf) trap '' TERM INT HUP; while :; do sleep {stray}; done ;;
flood) head -c 200000000 /dev/zero | tr '\\0' x >&2; exit 1 ;;
talk) exec yes 'out_time_us=1' ;;
count) echo frame=99999999; exec sleep {stray} ;;
segv) kill -SEGV $$ ;;
nothing) exit 0 ;;
late) $real "$@"; exit 1 ;;
rubbish) echo '{{"streams": ['; exit 0 ;;
packets) exec yes '1,1,1,K_' ;;
huge) [ {tool} = wget ] && while [ "$1" != -O ]; do shift; done && out=$2
    exec dd if=/dev/zero of="$out" bs=1M count=3000 ;;
esac
"""


def install(folder: Path) -> None:
    """Put the scripts into `folder`."""
    folder.mkdir()
    for tool in ("ffmpeg", "ffprobe", "wget"):
        script = folder / tool
        script.write_text(SCRIPT.format(real=shutil.which(tool), folder=folder, tool=tool, stray=STRAY))
        script.chmod(0o755)


def behave(folder: Path, tool: str = "", mode: str = "") -> None:
    """Let one tool misbehave, and no other."""
    for old in folder.glob("*.mode"):
        old.unlink()
    if tool:
        (folder / f"{tool}.mode").write_text(mode)
