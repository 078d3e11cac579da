"""Write the settings into man/videod.ini.5 as videod/config/settings.py declares them (make man).

The page is written by hand but for what stands between two comments `generated: NAME` and `end`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "man" / "videod.ini.5"
sys.path.insert(0, str(ROOT))

from videod.config.options import options  # noqa: E402
from videod.config.presets import Preset  # noqa: E402
from videod.config.settings import Recorder, Settings, Source, Storage, Watched, Web  # noqa: E402

SECTIONS = {"Settings": Settings, "Preset": Preset, "Storage": Storage, "Source": Source, "Recorder": Recorder}
SECTIONS |= {"Watched": Watched, "Web": Web}
# a group of settings begins with this key
GROUPS = {
    "redis": "Redis",
    "max_worker": "Work",
    "pid_file": "Files",
    "allow_hosts": "Network",
    "callback_secret": "Secrets and rights",
}


def escaped(text: str) -> str:
    """Text that roff takes as it is, also at the start of a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    return "\\&" + text if text[:1] in (".", "'") else text


def entries(section: type) -> str:
    """One entry for each option of a section, in the order of their declaration."""
    lines = []
    for key, option in options(section).items():
        if section is Settings and key in GROUPS:
            lines.append(f".SS {GROUPS[key]}")
        default = f' " = {escaped(option.default)}"' if option.default else ' " ="'
        lines += [".TP", f".BR {key}{default}", escaped(option.doc) + "."]
        lines += [".I Live."] if option.live else []
    return "\n".join(lines)


def filled(page: str) -> str:
    """The page with its generated parts written anew."""
    return re.sub(
        r'(\.\\" generated: (\w+)\n).*?(\.\\" end\n)',
        lambda found: found[1] + entries(SECTIONS[found[2]]) + "\n" + found[3],
        page,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
