"""Wild configurations: whatever stands in the ini, it is read, or refused in one line that names the place."""

# ruff: noqa: E501 - tables

from __future__ import annotations

import dataclasses
import ipaddress
import math
import os
import tempfile
from random import Random

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from videod.config import Preset, Settings, Source, Storage, hosts, load, redis_url, values
from videod.config.ini import salvage
from videod.config.options import options
from videod.errors import ConfigError
from videod.guardian import listen

KEYS = [key for kind in (Settings, Preset, Storage, Source) for key in options(kind)]
SECTIONS = [
    "DEFAULT",
    "dev",
    "local",
    "prod",
    "preset x",
    "preset html5",
    "storage s3",
    "source h",
    "source",
    "x",
    "",
    "]",
]
VALUES = [
    "", "0", "1", "-1", "yes", "10G", "9999999T", "999999999999T", "1.5", "1e9", "90s", "7d", "999999999d", "nan", "inf",
    "é", "\x00", "\x1b[2J", "\x85", "/a", "/a,/b", "~", "~\x00", "~nobody-at-all/x", "a/b", "${HOME}", "${}", "${NO_SUCH}",
    "${file:/nowhere}", "${file:\x00}", "${file:/}", "${", "${${HOME}}", "%(x)s", "http://h", "http://h:0", "http://h:x",
    "http://[", "embedded", "unix://", "unix:///s?db=x", "redis://h:x", "redis://h/x", "redis+sentinel://a,b/s", "*.a.b:1",
    "10.0.0.0/8", "10.0.0.256", "[::1]:1", "::1/129", "file:x", "s3:", "ftp://h", "{id}", "a" * 5000, "ts", "h264", "x = y",
]  # fmt: skip
PATIENT = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
LUCK = st.randoms(use_true_random=False)
TEXT = st.one_of(st.sampled_from(VALUES), st.text(max_size=30))


def wild_ini(luck: Random) -> bytes:
    if luck.random() < 0.05:
        return luck.randbytes(luck.choice([1, 50, 2000]))
    lines: list[str] = []
    for _ in range(luck.randrange(1, 4)):
        lines.append(f"[{luck.choice(SECTIONS)}]")
        for _ in range(luck.randrange(4)):
            key, sign = luck.choice([*KEYS, "quue", "", "[", "é\x1b"]), luck.choice([" = "] * 9 + [":", "", "=="])
            lines.append(luck.choice([""] * 20 + [" ", "#", ";"]) + key + sign + luck.choice(VALUES))
    text = luck.choice(["\n", "\n", "\n", "\r\n", "\r"]).join(lines)
    return text.encode(luck.choice(["utf-8"] * 9 + ["utf-16", "utf-8-sig", "latin-1"]), "replace")


@PATIENT
@given(LUCK)
def test_a_wild_ini_is_read_or_refused_in_one_line(luck: Random) -> None:
    with tempfile.NamedTemporaryFile(suffix=".ini") as file:
        file.write(wild_ini(luck))
        file.flush()
        env = luck.choice(["dev", "local", "prod"])
        read = salvage(file.name).salvaged(env)
        assert all("\n" not in fault for fault in read.faults)
        try:
            made = load(file.name).settings(env)
            assert (made, read.faults) == (read.settings, ())
        except ConfigError as error:
            assert read.faults
            assert file.name in str(error) and "\n" not in str(error), str(error)
        else:
            keeps_its_promises(made)


def keeps_its_promises(made: Settings) -> None:
    for name, value in dataclasses.asdict(made).items():
        if isinstance(value, float):
            assert 0 <= value < math.inf, name
        elif isinstance(value, int):
            assert 0 <= value < values.MOST_BYTES, name
        elif name.endswith(("_dir", "_file", "debug_log")) and value:
            assert os.path.isabs(value) and "\0" not in value, name
    assert made.lease > 0 and made.node and made.upload


@PATIENT
@given(st.one_of(TEXT, st.from_regex(r"[0-9]{1,12}[KMGT]?B?", fullmatch=True)))
def test_sizes_and_times(text: str) -> None:
    for parse, most in ((values.size, 1 << 63), (values.count, 10**18), (values.duration, 1e14), (values.rate, 10_000)):
        try:
            assert 0 <= parse(text) < most
        except ValueError as error:
            assert str(error).startswith("a ")


@PATIENT
@given(st.one_of(TEXT, st.ip_addresses().map(str), st.from_regex(r"[a-z0-9.*:\[\]/-]{1,20}", fullmatch=True)))
def test_hosts(text: str) -> None:
    try:
        found = [hosts.parse(entry) for entry in values.hosts(text)]
    except ValueError as error:
        assert hosts.ALLOWED in str(error)
        return
    for rule in found:
        assert 0 <= rule.port < 65536 and bool(rule.name) != bool(rule.network)
        if rule.name and not rule.wild:
            assert rule.has_name(rule.name)
            with pytest.raises(ValueError, match="does not appear"):
                ipaddress.ip_address(rule.name)


PARTS = st.tuples(
    st.sampled_from(["redis://", "rediss://", "unix://", "redis+sentinel://", "http://", "redis:", ""]),
    st.sampled_from(["", "u:p@", ":p@", "u@", "a@b@", "u:%zz@", "u:[@"]),
    st.sampled_from(
        ["h", "h:1", "h:0", "h:99999", "h:x", "[::1]:1", "[::1", "a:1,b", "", "é", "h:1:2", "/s.sock", "²:²"]
    ),
    st.sampled_from(["", "/", "/0", "/x", "/1/2", "/s/1", "//", "/²", "/999999999"]),
    st.sampled_from(
        ["", "?db=1", "?db=x", "?tls=yes", "?tls=²", "?x=1", "?ssl_cert_reqs=none", "?db=1&db=2", "?#", "?%zz"]
    ),
).map("".join)


@PATIENT
@given(st.one_of(PARTS, TEXT))
@example("unix:///s?db=x")
@example("redis://h/0?db=x")
@example("redis+sentinel://u:[@h/s")
def test_addresses_of_redis_that_are_taken_please_the_client_too(text: str) -> None:
    try:
        made = redis_url.parse(text)
    except ValueError as error:
        assert "p@" not in str(error)
        return
    pool = redis.ConnectionPool.from_url(made.url)
    pool.connection_class(**pool.connection_kwargs)
    assert not made.sentinels or made.service


@pytest.mark.parametrize("text", ["http://h:x", "http://h:0", "http://h:99999", "http://[", "https://h", "http://"])
def test_a_proxy_that_cannot_be_reached_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="^the address of a proxy, as http://proxy.example.org:3128$"):
        values.proxy_url(text)


@PATIENT
@given(
    st.lists(st.one_of(st.binary(max_size=9), st.sampled_from([b"+12", b"~13", b"-12", b"+0", b"+1", b"+-5", b"+"])))
)
def test_the_guardian_overhears_what_is_no_order(lines: list[bytes]) -> None:
    ends = os.pipe()
    os.write(ends[1], b"\n".join([*lines, b"+77", b"~78", b""]))
    os.close(ends[1])
    found = listen(ends[0])
    os.close(ends[0])
    assert (found[77], found[78]) == (False, True) and min(found) > 1
