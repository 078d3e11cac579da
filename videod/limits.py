"""What a child may use, and where programs are: the prefix of its argv that sets the limits and becomes the tool."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace

from videod.errors import ToolMissing

SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PREFIXES = ("setpriv", "nice", "prlimit")


def find(tool: str) -> str:
    """The absolute path of a program on our PATH; ToolMissing names it."""
    found = shutil.which(tool) or (shutil.which(tool, path=SAFE_PATH) if tool in _PREFIXES else None)
    if not found:
        raise ToolMissing(f"{tool} is not installed: PATH: install it, see docs/install.md")
    return os.path.abspath(found)


@dataclass(frozen=True)
class Limits:
    """What a child may use; memory and file size in bytes, 0 is no limit."""

    memory: int = 0
    nice: int = 0
    file_size: int = 0
    open_files: int = 1024

    def within(self, file_size: int) -> Limits:
        """The same with files of at most so many bytes."""
        return replace(self, file_size=min(file_size, self.file_size or file_size))

    def prefix(self) -> list[str]:
        """The programs that set the limits and then become the tool."""
        # the death signal follows the thread that starts the child: it is the one that waits for it. No new
        # privileges: a setuid program would lose that signal, and be out of our reach.
        # Not limited: processes (the kernel counts them by user, not by job) and CPU seconds (the deadline and
        # the stall watch end what takes too long)
        made = [find("setpriv"), "--no-new-privs", "--pdeathsig", "KILL", find("nice"), "-n", str(self.nice)]
        made += [find("prlimit"), "--core=0", f"--nofile={self.open_files}"]
        made += [f"--as={self.memory}"] if self.memory else []
        made += [f"--fsize={self.file_size}"] if self.file_size else []
        return [*made, "--"]
