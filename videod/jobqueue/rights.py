"""Which rights the user in Redis must have, asked before anything is taken.

A right that is missing shows in the middle of a script, when it has written already and Redis takes nothing
back: an end could be committed whose event nobody gets.
"""

from __future__ import annotations

import re
from importlib.resources import files

from videod.jobqueue.names import Names

# what Python sends besides the scripts; tests/test_redis_tls.py holds it to the code
DIRECT = (
    *(
        "BLMOVE",
        "DEL",
        "GET",
        "HDEL",
        "HGET",
        "HGETALL",
        "HKEYS",
        "HMGET",
        "HSET",
        "LLEN",
        "LPOS",
        "LPUSH",
        "LRANGE",
        "LREM",
    ),
    *("EXISTS", "PERSIST", "PEXPIRE", "PTTL", "SCAN", "SET", "WAIT", "XRANGE", "XREAD", "XREVRANGE", "ZCARD", "ZRANGE"),
    "ZREM",
)
# without these none of this can be asked
BASIC = ("PING", "INFO", "EVAL", "EVALSHA", "CLIENT|SETNAME", "SELECT")


def needed() -> list[str]:
    """The commands, those within our scripts as they stand there."""
    texts = [file.read_text() for file in (files("videod.jobqueue") / "scripts").iterdir() if file.name[-4:] == ".lua"]
    return sorted({*DIRECT, *re.findall(r"redis\.p?call\('([A-Z]+)'", "".join(texts))})


def keys(names: Names) -> list[str]:
    """One key of each sort."""
    own = [names.running(), names.job("x"), names.events, names.progress, names.dead, names.nodes]
    own += [names.delayed, names.outbox, names.paused, names.cancel("x"), names.marks("x")]
    own += [names.imported("x"), names.batch("x"), names.logins]
    own += [names.counts, names.counts_of(0)]
    own += [names.turns("x"), names.line("x"), names.refused("x")]
    own += [names.page("x"), names.pages("x"), names.quota("x"), names.tries("x")]
    return [*own, *names.served]
