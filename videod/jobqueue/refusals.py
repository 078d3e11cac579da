"""What Redis refuses for good, in words that say what to do; and which Redis is refused by us.

Told apart by the text and by the name of the client's error, which holds what it cut off the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from videod.errors import ConfigError, RedisAway, RedisRefused, RedisUnfit
from videod.jobqueue.names import Names
from videod.redact import hide

OLDEST = (6, 2)
_DENIED = re.compile("permission|NOPERM|can't run this command|can't access at least one of the keys")
_DENIED_KEY = re.compile("key", re.IGNORECASE)
_CERTIFICATE = re.compile(r"certificate verify failed: ([^(]+)", re.IGNORECASE)
_TRIED = re.compile(r" - (?:\w+:)?(\w+Error)")
_SENTINEL = {"AuthenticationError": "refuses user or password", "TimeoutError": "is silent"}


def explain(error: Exception, text: str, keys: Sequence[str] = ()) -> str:
    """Why trying again is in vain until somebody mends it; empty where it may pass by itself.

    Keys are named, since Redis does not: a reply_to that it refuses must cost no more than its events.
    """
    kind = type(error).__name__
    if "WRONGTYPE" in text or "WRONGTYPE" in kind:
        return f"{text}: mend the key"
    if kind == "MovedError" or text.startswith("MOVED"):
        return f"another node of the cluster has our keys: set 'redis' to {text.rsplit(maxsplit=1)[-1]}"
    if kind == "ClusterCrossSlotError" or "CROSSSLOT" in text or "same slot" in text:
        far = [key for key in keys if slot_tag(key) != slot_tag(keys[0])] or keys
        return f"keys lie in different slots of the cluster: {' '.join(far)}: give all names one {{tag}}"
    if kind == "NoPermissionError" or _DENIED.search(text):
        named = f": {' '.join(keys)}" if keys and _DENIED_KEY.search(text) else ""
        return f"{text}{named}: give the user this right"
    return ""


def of_reply(error: RedisAway, reply_to: str | None) -> bool:
    """Whether Redis refuses the producer's list: the step is then made without it, events go to the stream only."""
    return isinstance(error, RedisRefused) and bool(reply_to) and str(reply_to) in str(error)


def text_of(error: Exception) -> str:
    """One line without secrets."""
    text = str(error)
    if type(error).__name__ == "MasterNotFoundError":
        # behind the colon the client shows how it was set up, some versions with the password
        short, _, tried = text.partition(" : ")
        met = dict.fromkeys(_SENTINEL.get(name, "does not answer") for name in _TRIED.findall(tried))
        text = "; ".join([short, *(f"a Sentinel {what}" for what in met)])
    return hide(" ".join(text.split()))[:300]


def at_start(error: Exception, shown: str) -> str:
    """The line for a server that cannot be spoken to."""
    text = text_of(error)
    if found := _CERTIFICATE.search(text):
        return f"Redis shows a certificate that is not trusted: {shown}: {found[1].strip()}: mend ssl_ca_certs"
    if type(error).__name__ == "AuthenticationError":
        return f"Redis refuses user or password: {shown}: {text}: mend them in 'redis'"
    if why := explain(error, text):
        return f"Redis refuses: {shown}: {why}"
    return f"Redis does not answer: {shown}: {text}: start it or mend 'redis'"


def judge(info: Mapping[str, str], shown: str, names: Names) -> None:
    """Raise for a Redis that cannot do what we need, or would lose messages by its own settings."""
    version = info.get("redis_version", "0")
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST:
        raise RedisUnfit(f"Redis is {version}: {shown}: videod needs 6.2 or newer")
    if info.get("role") == "slave":
        master = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
        raise RedisUnfit(f"Redis is a replica: {shown}: set 'redis' to its master {master}, or to Sentinels")
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory", "0") != "0" and policy != "noeviction":
        why = f"with maxmemory-policy {policy} it deletes queues when it is full"
        raise RedisUnfit(f"Redis evicts keys: {shown}: {why}: set maxmemory-policy noeviction")
    lists = (names.queue, names.batch_queue, names.abnormal_queue, names.running())
    if info.get("cluster_enabled") == "1" and len({slot_tag(name) for name in lists}) > 1:
        why = "must all carry the same {tag}, as {videod}:"
        raise ConfigError(f"Redis is a cluster: {shown}: prefix, queue, batch_queue and abnormal_queue {why}")


def slot_tag(key: str) -> str:
    """The part of a key that decides its slot in a cluster."""
    found = re.match(r"[^{]*\{([^}]+)\}", key)
    return found[1] if found else key
