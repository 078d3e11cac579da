"""Which addresses may be reached, in whatever notation they are written."""

from __future__ import annotations

import ipaddress
import os
import socket
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videod.config.values import hosts
from videod.errors import Denied, FetchFailed, ForbiddenSource, NotFound, UploadDenied
from videod.transfer.guard import Guard, faces, special
from videod.transfer.paths import file_source, file_target
from videod.transfer.urls import check_url, name_of, redirected, safe_name


def guard(allow: str = "*", deny: str = "", private: bool = True) -> Guard:
    return Guard.of(SimpleNamespace(allow_hosts=hosts(allow), deny_hosts=hosts(deny)), private=private)


def may(rules: Guard, url: str) -> bool:
    checked = check_url(url)
    try:
        return bool(rules.resolve(checked.host, checked.port))
    except ForbiddenSource:
        return False


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A resolver of the test's own; names not in it fail, addresses go to the real one."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: str, port: int, **more: int) -> list[object]:
        if not any(c.isalpha() for c in host) or ":" in host or host.startswith("0x"):
            return list(real(host, port, **more))
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [found for address in known[host] for found in real(address, port, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


LOOPBACK = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::127.0.0.1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[2001:0:808:808:0:0:80ff:fffe]/",
    "http://[fe80::5efe:127.0.0.1]/",
    "http://[2001:db8::5efe:127.0.0.1]/",
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://LocalHost.:80/",
    "HTTP://127.0.0.1:8080/",
    "http://user:pass@127.0.0.1/",
    "http://１２７.0.0.1/",
    "http://127。0。0。1/",
    "http://127.255.255.254/",
    "https://127.0.0.1/",
]
SPECIAL = [
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.1.1/",
    "http://[fe80::1]/",
    "http://224.0.0.1/",
    "http://[ff02::1]/",
    "http://255.255.255.255/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://[fd00:ec2::254]/",
    "http://[fd20:ce::254]/",
    "http://[fd00:42::42]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0.1.2.3/",
    "http://240.0.0.1/",
]


@pytest.mark.parametrize("url", LOOPBACK + SPECIAL)
def test_a_star_opens_no_special_address(url: str) -> None:
    for rules in (guard("*"), guard("* 0.0.0.0/0 ::/0"), guard("*:80, *:443 *:8080")):
        assert not may(rules, url)


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/", "http://10.1.2.3/", "http://192.168.1.1:8000/", "http://[2001:4860::1]/"]
)
def test_a_star_opens_the_rest_and_private_networks(url: str) -> None:
    assert may(guard("*"), url)
    assert not may(guard("*", deny="*"), url)


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "192.168.1.1", "172.16.0.1", "100.64.0.1", "[fd12::1]", "[::ffff:10.0.0.1]"]
)
def test_messages_of_the_web_side_do_not_reach_private_networks(address: str) -> None:
    assert may(guard("*"), f"http://{address}/")
    assert not may(guard("*", private=False), f"http://{address}/")
    assert may(
        guard("10.0.0.0/8 192.168.0.0/16 172.16.0.0/12 100.64.0.0/10 fd12::/16", private=False), f"http://{address}/"
    )
    assert may(guard("*", private=False), "http://8.8.8.8/")


@pytest.mark.parametrize(
    ("allow", "url", "expected"),
    [
        ("127.0.0.1", "http://127.1/", True),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]/", True),
        ("::ffff:127.0.0.0/104", "http://127.9.9.9/", True),
        ("127.0.0.1", "http://127.0.0.2/", False),
        ("127.0.0.0/8", "http://127.0.0.2/", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/", True),
        ("127.0.0.1:8080", "http://127.0.0.1/", False),
        ("127.0.0.1:443", "https://127.0.0.1/", True),
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("[::1]:8080", "http://[::1]:8081/", False),
        ("::1", "http://[0:0::1]/", True),
        ("localhost", "http://LOCALHOST./", True),
        ("localhost:80", "http://localhost:81/", False),
        ("localhost", "http://127.0.0.1/", False),
        ("127.0.0.1", "http://[64:ff9b::7f00:2]/", False),
        ("127.0.0.1", "http://[64:ff9b::7f00:1]/", True),
        ("169.254.169.254", "http://169.254.169.254/", True),
        ("8.8.0.0/16", "http://8.8.4.4/", True),
        ("8.8.0.0/16", "http://8.9.4.4/", False),
        ("example.org", "http://8.8.8.8/", False),
        ("", "http://8.8.8.8/", False),
    ],
)
def test_what_is_named_is_open(allow: str, url: str, expected: bool) -> None:
    assert may(guard(allow), url) is expected


@pytest.mark.parametrize(
    ("deny", "url"),
    [
        ("8.8.8.8", "http://8.8.8.8/"),
        ("8.0.0.0/8", "http://134744072/"),
        ("8.8.8.8:80", "http://8.8.8.8/"),
        ("8.8.8.8", "http://[::ffff:8.8.8.8]/"),
        ("8.8.8.8", "http://[64:ff9b::8.8.8.8]/"),
        ("8.8.8.8", "http://[2002:808:808::1]/"),
        ("0.0.0.0/0", "http://9.9.9.9/"),
        ("*", "http://9.9.9.9/"),
        ("10.0.0.0/8", "http://10.9.9.9/"),
        ("2001:4860::/32", "http://[2001:4860::5]/"),
    ],
)
def test_deny_wins(deny: str, url: str) -> None:
    assert not may(guard("* 8.8.8.8 8.0.0.0/8 10.9.9.9", deny), url)


def test_deny_of_one_port_leaves_the_others() -> None:
    assert may(guard("*", "8.8.8.8:80"), "http://8.8.8.8:81/")


def test_names(names: dict[str, list[str]]) -> None:
    names.update({"example.org": ["8.8.8.8"], "a.example.org": ["8.8.8.8"], "b.a.example.org": ["9.9.9.9"]})
    names.update({"notexample.org": ["8.8.8.8"], "xn--mnchen-3ya.de": ["8.8.4.4"]})
    for allow in ("*.example.org", "*.EXAMPLE.org."):
        assert may(guard(allow), "http://a.example.org/")
        assert may(guard(allow), "http://B.A.Example.ORG./")
        assert not may(guard(allow), "http://example.org/")
        assert not may(guard(allow), "http://notexample.org/")
    assert may(guard("example.org"), "http://example.org/")
    assert not may(guard("example.org"), "http://a.example.org/")
    assert may(guard("münchen.de"), "http://MÜNCHEN.de/") and may(guard("münchen.de"), "http://xn--mnchen-3ya.de/")
    assert not may(guard("*", "*.example.org"), "http://a.example.org./")
    assert not may(guard("*", "münchen.de"), "http://xn--mnchen-3ya.de/")
    with pytest.raises(FetchFailed, match="cannot resolve"):
        guard().resolve("gone.example.org", 80)


def test_a_name_that_points_inward_opens_nothing(names: dict[str, list[str]]) -> None:
    names["evil.example.org"] = ["127.0.0.1", "169.254.169.254"]
    names["both.example.org"] = ["127.0.0.1", "8.8.8.8", "::1"]
    assert not may(guard("* *.example.org"), "http://evil.example.org/")
    assert may(guard("evil.example.org"), "http://evil.example.org/")
    assert not may(guard("evil.example.org", "127.0.0.0/8 169.254.0.0/16"), "http://evil.example.org/")
    # of several addresses only those that may be reached are handed out
    assert [end.address for end in guard("*").resolve("both.example.org", 80)] == ["8.8.8.8"]


def test_the_name_is_looked_up_once(names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    names["turns.example.org"] = ["8.8.8.8"]
    looked_up: list[str] = []
    inner = socket.getaddrinfo

    def turning(host: str, port: int, **more: int) -> object:
        looked_up.append(host)
        found = inner(host, port, **more)
        names["turns.example.org"] = ["127.0.0.1"]
        return found

    monkeypatch.setattr(socket, "getaddrinfo", turning)
    assert [end.address for end in guard().resolve("turns.example.org", 80)] == ["8.8.8.8"]
    assert looked_up == ["turns.example.org"]


def test_behind_a_proxy_the_name_is_judged_alone(names: dict[str, list[str]]) -> None:
    names["inward.example.org"] = ["127.0.0.1"]
    guard("*").check_unresolved("known-to-the-proxy.example.org", 80)
    for rules, host in ((guard("*"), "inward.example.org"), (guard("*"), "127.1"), (guard("8.8.8.8"), "x.example.org")):
        with pytest.raises(ForbiddenSource):
            rules.check_unresolved(host, 80)
    with pytest.raises(ForbiddenSource):
        guard("*", "*.example.org").check_unresolved("x.example.org", 80)


def spellings(address: ipaddress.IPv4Address) -> list[str]:
    number, octets = int(address), str(address).split(".")
    return [
        str(address),
        str(number),
        hex(number),
        f"0{number:o}",
        ".".join(f"0{int(o):o}" for o in octets),
        ".".join(hex(int(o)) for o in octets),
        f"{octets[0]}.{number & 0xFFFFFF}",
        f"[::ffff:{address}]",
        f"[::ffff:{number >> 16:x}:{number & 0xFFFF:x}]",
        f"[64:ff9b::{address}]",
        f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]",
        f"{address}.",
    ]


@given(
    st.one_of(
        st.integers(0, 0xFFFFFF).map(lambda n: 127 << 24 | n), st.integers(0, 0xFFFF).map(lambda n: 0xA9FE << 16 | n)
    )
)
def test_any_spelling_of_a_special_address_is_refused(number: int) -> None:
    for text in spellings(ipaddress.IPv4Address(number)):
        assert not may(guard("*"), f"http://{text}/"), text


@given(st.integers(1 << 24, (224 << 24) - 1))
def test_any_spelling_of_a_denied_address_is_refused(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    for text in spellings(address):
        assert not may(guard("*", f"{address}"), f"http://{text}/"), text


@given(st.integers(0, (1 << 128) - 1).map(ipaddress.IPv6Address))
def test_faces_of_any_address(address: ipaddress.IPv6Address) -> None:
    found = faces(address)
    assert found and (address in found or address.ipv4_mapped in found)
    assert isinstance(special(address), bool)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for url in (text, "http://" + text, f"http://{text}/", f"https://h/{text}", f"http://h:{text}/"):
        try:
            checked = check_url(url)
        except ForbiddenSource as error:
            assert "\n" not in str(error)
            continue
        # one spelling, which reads the same again
        assert checked.text.isascii() and check_url(checked.text) == checked.without_user()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://h/a",
        "file:///etc/passwd",
        "gopher://h/",
        "http://",
        "http:///a",
        "http://h:0/",
        "http://h:65536/",
        "http://h:x/",
        "http://a\\@b/",
        "http://h/\r\nHost: x",
        "http://h\t/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://a..b/",
        "http://%31%32%37.0.0.1/",
        "http://-a/",
        "http://" + "a" * 300 + "/",
        "javascript:alert(1)",
        "//h/a",
    ],
)
def test_no_addresses(url: str) -> None:
    with pytest.raises(ForbiddenSource):
        check_url(url)


def test_parts_of_an_address() -> None:
    url = check_url("HTTPS://us%65r:p%40ss@Example.ORG:8443/ä b/%2e?x=ü&y=1#part")
    assert (url.host, url.port, url.user, url.password) == ("example.org", 8443, "user", "p@ss")
    assert url.text == "https://example.org:8443/%C3%A4%20b/%2e?x=%C3%BC&y=1"
    assert "x=" not in url.shown and check_url("http://h?q=1").target == "/?q=1"


def test_redirects_keep_user_info_for_the_same_origin_only() -> None:
    url = check_url("https://u:p@a.example/x/y")
    assert redirected(url, "z?q").text == "https://a.example/x/z?q" and redirected(url, "z").user == "u"
    for other in ("https://b.example/", "//b.example/", "http://a.example/", "https://a.example:444/"):
        assert redirected(url, other).user is None
    with pytest.raises(ForbiddenSource):
        redirected(url, "file:///etc/passwd")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://h/a/clip.one.mp4?x=.y", "clip.one"),
        ("https://h/", "video"),
        ("https://h", "video"),
        ("/a/b c.mkv", "b_c"),
        ("file:///a/%2e%2e%2fx.mp4", "x"),
        ("https://h/..%2f..%2fetc.mp4", "etc"),
        ("https://h/ü.mp4", "ü"),
        ("s3://b/k/v.mov", "v"),
        ("https://h/.hidden", "hidden"),
        ("https://h/a.superlongextension", "a.superlongextension"),
    ],
)
def test_name_of(address: str, name: str) -> None:
    assert name_of(address) == name


@given(st.text())
def test_safe_names_are_one_segment(text: str) -> None:
    safe = safe_name(text)
    assert safe and safe[0] not in ".-" and not set(safe) & set("/\\%?#\0\n ") and ".." not in safe
    assert len(safe.encode()) <= 120


def test_file_sources(tmp_path: os.PathLike[str]) -> None:
    base = os.path.realpath(tmp_path)
    inside, outside = os.path.join(base, "in"), os.path.join(base, "out")
    os.makedirs(inside), os.makedirs(outside), os.makedirs(inside + "-next")
    for path in (f"{inside}/a b.mp4", f"{outside}/secret.mp4", f"{inside}-next/n.mp4"):
        with open(path, "w") as file:
            file.write("x")
    os.symlink(f"{outside}/secret.mp4", f"{inside}/link.mp4")
    os.symlink(f"{inside}/a b.mp4", f"{inside}/good.mp4")
    os.symlink(inside, f"{base}/alias")
    os.mkfifo(f"{inside}/pipe")
    real = f"{inside}/a b.mp4"
    for address in (
        real,
        f"file://{inside}/a%20b.mp4",
        f"file:{real}",
        f"{inside}/good.mp4",
        f"FILE://localhost{real}",
    ):
        assert str(file_source(address, [inside])) == real
    assert str(file_source(f"{base}/alias/a b.mp4", [f"{base}/alias"])) == real
    for address in (
        f"{inside}/link.mp4",
        f"{inside}/../out/secret.mp4",
        f"{inside}/%2e%2e/out/secret.mp4",
        f"{inside}-next/n.mp4",
        f"{outside}/nothing.mp4",
        f"{inside}/pipe",
        inside,
        f"file://host{real}",
        "file:relative",
        f"{inside}/a%00b",
    ):
        with pytest.raises(ForbiddenSource):
            file_source(address, [inside])
    with pytest.raises(ForbiddenSource):
        file_source(real, [])
    # decoded once: %252e is a file name that holds %2e
    for address in (f"{inside}/none.mp4", f"{inside}/%252e%252e/out/secret.mp4", f"{real}/x"):
        with pytest.raises(NotFound) as error:
            file_source(address, [inside])
        assert "\n" not in str(error.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "a.mp4")
    os.close(os.open(path, os.O_CREAT, 0))
    with pytest.raises(Denied):
        file_source(path, [str(tmp_path)])


def test_file_targets(tmp_path: os.PathLike[str]) -> None:
    base = os.path.realpath(tmp_path)
    os.makedirs(f"{base}/in"), os.makedirs(f"{base}/out")
    os.symlink(f"{base}/out", f"{base}/in/link")
    assert file_target(f"{base}/in/new/a.mp4", [f"{base}/in"]) == (f"{base}/in", "new/a.mp4")
    for path in (f"{base}/in/link/a.mp4", f"{base}/out/a.mp4", f"{base}/in", f"{base}/in/../out/a", f"{base}/in/.."):
        with pytest.raises(UploadDenied):
            file_target(path, [f"{base}/in"])


@pytest.mark.parametrize(
    "text", ["10.0.0.0/33", "http://h", "a@b", "h:0", "h:70000", "10.0.0.300", "[::1", "a b..c", "*x.org"]
)
def test_a_rule_that_could_never_match_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="names"):
        hosts(text)
