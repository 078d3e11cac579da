"""Outlive the daemon by a moment, to end what it started. Run as a program, alone, by `process`.

The daemon holds the write end of a pipe on our stdin and says `+PGID` and `-PGID` as process groups come
and go (`~PGID` for one that gets SIGTERM first). When the pipe closes, the daemon is gone, whatever killed
it: what is still registered is killed, and so is each process that carries our mark in its environment,
which finds those that left their group. SIGKILL of the daemon gives nobody else a chance to do that; the
parent death signal reaches only direct children.

Imports only the standard library, and none of videod: it runs under `python -I -S` in about 6 MiB.
"""

import os
import signal
import sys
import time

GRACE = 1.0


def marked(mark: bytes) -> list[int]:
    """The processes with a variable that begins with `mark` (NAME=value), but not this one."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                with open(f"/proc/{entry}/environ", "rb") as environ:
                    if any(variable.startswith(mark) for variable in environ.read().split(b"\0")):
                        found.append(int(entry))
            except OSError:  # gone, or another user's
                continue
    return found


def kill_marked(mark: bytes) -> int:
    """SIGKILL to all that carry `mark`; how many there were."""
    found = marked(mark)
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:  # gone in between
            continue
    return len(found)


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group that may be gone."""
    try:
        os.killpg(group, number)
    except OSError:
        return


def listen(pipe: int) -> dict[int, bool]:
    """Read the pipe to its end: {group: may it end by itself?}"""
    groups: dict[int, bool] = {}
    rest = b""
    while chunk := os.read(pipe, 65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            what, number = line[:1], line[1:]
            # group 0 would be our own, and 1 is everybody; and to end here would leave all the others alive
            if what not in (b"+", b"-", b"~") or not number.isdigit() or not 1 < (group := int(number)) < 1 << 31:
                continue
            if what == b"-":
                groups.pop(group, None)
            else:
                groups[group] = what == b"~"
    return groups


def main() -> None:
    """Wait for the end of the daemon, then kill."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C at a terminal or systemd's TERM is for the daemon
    mark = sys.argv[1].encode()
    groups = listen(0)
    soft = [group for group, may_end in groups.items() if may_end]
    for group in groups:
        signal_group(group, signal.SIGTERM if group in soft else signal.SIGKILL)
    deadline = time.monotonic() + GRACE
    # two clean looks in a row: a child between fork and exec does not carry the mark yet
    clean = 0
    while clean < 2 and time.monotonic() < deadline + GRACE / 2:
        left = marked(mark)
        over = time.monotonic() > deadline
        spared = {pid for pid in left if not over and _group(pid) in soft}
        for pid in left:
            if pid not in spared:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:  # gone in between
                    continue
        clean = 0 if left else clean + 1
        time.sleep(0.05)
    for group in soft:
        signal_group(group, signal.SIGKILL)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1


if __name__ == "__main__":
    main()
