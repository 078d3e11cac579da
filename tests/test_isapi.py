"""The ISAPI client against a recorder that does what recorders do badly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.isapi import PASSWORD, USER, Recorder
from tests.origin import certificates
from tests.transfer_fixtures import settings_of
from videod.config.recorders import Place, place_of
from videod.errors import Cancelled, Denied, FetchFailed, Stalled, TooBig
from videod.isapi import client as asking
from videod.isapi import saving
from videod.isapi.client import Client, LoginRefused
from videod.isapi.clock import clock_of, read
from videod.isapi.digest import Login, Unanswerable, challenge_of
from videod.isapi.document import Unreadable, parse
from videod.isapi.finding import Found, Page, TooMany, find, joined
from videod.isapi.manifest import gaps, merged
from videod.isapi.saving import Saved, Saver
from videod.process import Tools

BODY = b"\0\0\1\xba" + bytes(range(256)) * 400
DAY = datetime(2026, 11, 20)
BERLIN = "CST-1:00:00DST01:00:00,M3.5.0/02:00:00,M10.5.0/03:00:00"
Connect = Callable[..., Client]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between tries, a hundredth as long."""
    monkeypatch.setattr(asking, "PAUSES", tuple(pause / 100 for pause in asking.PAUSES))
    monkeypatch.setattr(saving, "MISSES", tuple(pause / 100 for pause in saving.MISSES))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as made:
        yield made


@pytest.fixture
def connect(tools: Tools, tmp_path: Path) -> Iterator[Connect]:
    made: list[Client] = []

    def to(recorder: Recorder, *, refused: Callable[[], bool] = lambda: False, **more: Any) -> Client:
        place = Place("nvr", "https" if recorder.tls else "http", "127.0.0.1", recorder.port, USER, PASSWORD)
        made.append(
            Client(replace(place, **more), settings_of(tmp_path), tools, tools.check, lambda size: None, refused)
        )
        return made[-1]

    yield to
    for client in made:
        client.__exit__()


def many(recorder: Recorder, count: int, seconds: float = 10, body: bytes = BODY) -> None:
    for n in range(count):
        recorder.add(DAY + timedelta(seconds=n * seconds), seconds, body)


def found_by(client: Client, track: int = 101) -> list[Found]:
    return client.find(track, DAY, DAY + timedelta(days=1))


# ------------------------------------------------------------------ logins
@pytest.mark.parametrize(
    ("algorithms", "qop"),
    [
        (("MD5",), "auth"),
        (("SHA-256",), "auth"),
        (("MD5", "SHA-256"), "auth"),
        (("MD5-sess",), "auth"),
        (("SHA-256-sess", "MD5"), "auth,auth-int"),
        (("MD5",), ""),
    ],
)
def test_logins(connect: Connect, algorithms: tuple[str, ...], qop: str) -> None:
    with Recorder(algorithms=algorithms, qop=qop) as recorder:
        if "," in qop:
            recorder.qop = "auth"  # what is answered is judged by that
        client = connect(recorder)
        assert "DS-7608NI" in client.about()
        assert client.tracks() == [101]
        assert recorder.failed == 0
        assert recorder.logins == 3
        assert len(recorder.seen) == 4, "one challenge for all"


def test_rfc_7616() -> None:
    """The example of the RFC, but for our own cnonce."""
    headers = [
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="n", opaque="o"',
    ]
    login = Login("Mufasa", "Circle of Life")
    login.learn(challenge_of(headers, secure=False))
    login._cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    header = login.header("GET", "/dir/index.html")
    assert 'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"' in header
    assert "nc=00000001" in header and "qop=auth" in header
    assert "nc=00000002" in login.header("GET", "/dir/index.html")


def test_a_stale_nonce_is_replaced(recorder: Recorder, connect: Connect) -> None:
    recorder.faults.stale_after = 2
    client = connect(recorder)
    for _ in range(5):
        client.about()
    assert recorder.failed == 0 and recorder.logins == 5


def test_always_stale_ends(recorder: Recorder, connect: Connect) -> None:
    recorder.faults.stale_after = -1
    with pytest.raises(LoginRefused):
        connect(recorder).clock()
    assert len(recorder.seen) < 8


def test_a_401_is_final(recorder: Recorder, connect: Connect) -> None:
    client = connect(recorder, password="wrong")
    with pytest.raises(LoginRefused) as error:
        client.clock()
    assert recorder.failed == 1
    assert "wrong" not in str(error.value) and error.value.code == "denied"
    assert "4 tries are left" in str(error.value)
    recorder.row = 5
    with pytest.raises(LoginRefused, match="locked for 1800 s"):
        connect(recorder).clock()


def test_a_401_on_the_way_is_final(recorder: Recorder, connect: Connect) -> None:
    client = connect(recorder)
    client.clock()
    recorder.password = "changed"
    with pytest.raises(LoginRefused):
        client.clock()
    assert recorder.failed == 1


def test_what_is_known_to_be_refused_is_not_tried(recorder: Recorder, connect: Connect) -> None:
    with pytest.raises(Denied, match="videod retry"):
        connect(recorder, refused=lambda: True).clock()
    assert recorder.seen == []


def test_basic_in_clear_is_not_answered(recorder: Recorder, connect: Connect) -> None:
    recorder.faults.basic = True
    with pytest.raises(Denied, match="in clear"):
        connect(recorder).clock()
    assert len(recorder.seen) == 1


@pytest.mark.parametrize(
    "header",
    ["", "Digest", 'Digest realm="a"', 'Digest realm="a", nonce=""', 'Digest nonce="a\r\nX: y", realm="b"',
     'Digest realm="a", nonce="b", algorithm=SHA-512', 'Digest realm="a", nonce="b", qop="auth-int"',
     'Digest realm="a", nonce="b", algorithm=MD5-sess', "Negotiate x",
     "Digest " + "a=b," * 9999, 'Digest "' + "\\" * 9999],
)  # fmt: skip
def test_odd_challenges(header: str) -> None:
    with pytest.raises(Unanswerable):
        challenge_of([header], secure=True)


# ------------------------------------------------------------------ TLS
@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, str]:
    import hashlib
    import ssl

    ca, certificate, key = certificates(tmp_path_factory.mktemp("tls"))
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    return ca, certificate, key, hashlib.sha256(der).hexdigest()


def test_tls(connect: Connect, pinned: tuple[Path, Path, Path, str]) -> None:
    ca, certificate, key, fingerprint = pinned
    with Recorder(tls=(certificate, key)) as recorder:
        with pytest.raises(FetchFailed, match="certificate"):
            connect(recorder).clock()
        with pytest.raises(FetchFailed, match="(?i)fingerprint"):
            connect(recorder, fingerprint="ab" * 32).clock()
        assert recorder.seen == []
        assert connect(recorder, fingerprint=fingerprint).tracks() == [101]
        assert connect(recorder, ca_file=str(ca)).tracks() == [101]


# ------------------------------------------------------------------ XML
@pytest.mark.parametrize("bare", [False, True])
def test_with_and_without_namespace(recorder: Recorder, connect: Connect, bare: bool) -> None:
    recorder.faults.bare = bare
    many(recorder, 3)
    recorder.proxied = (2, 3)
    client = connect(recorder)
    assert client.tracks() == [101, 201, 301]
    assert len(found_by(client)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "", "no", "<a>", "<a></b>", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', '<?xml version="1.0" encoding="klingon"?><a/>', "<a>\0</a>",
        "<a>" * 300_000 + "</a>" * 300_000, "\udcff",
    ],
)  # fmt: skip
def test_odd_xml(text: str) -> None:
    with pytest.raises(Unreadable):
        parse(text.encode("utf-8", "surrogateescape"))


def test_deep_xml() -> None:
    node = parse(b"<a>" * 200_000 + b"</a>" * 200_000)
    assert node.text("b") == ""


def test_channels_without_one_of_the_lists(recorder: Recorder, connect: Connect) -> None:
    recorder.faults.missing = ("ContentMgmt/InputProxy/channels", "System/deviceInfo")
    client = connect(recorder)
    assert client.tracks() == [101] and client.about() == ""
    recorder.faults.missing += ("Streaming/channels",)
    with pytest.raises(FetchFailed, match="name them"):
        client.tracks()


# ------------------------------------------------------------------ clocks
def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "wall"),
    [
        ("2026-11-20T07:00:00", "2026-11-20T08:00:00"),
        ("2026-07-01T06:00:00", "2026-07-01T08:00:00"),
        ("2026-03-29T00:59:59", "2026-03-29T01:59:59"),
        ("2026-03-29T01:00:00", "2026-03-29T03:00:00"),
        ("2026-10-25T00:59:59", "2026-10-25T02:59:59"),
        ("2026-10-25T01:00:00", "2026-10-25T02:00:00"),
    ],
)
def test_summer_time(moment: str, wall: str) -> None:
    clock = clock_of("2026-11-20T08:00:00+01:00", BERLIN, utc("2026-11-20T07:00:00"))
    assert clock.wall(utc(moment)) == datetime.fromisoformat(wall)
    back = clock.utc(datetime.fromisoformat(wall))
    assert back == utc(moment) or back == utc(moment) - timedelta(hours=1)


def test_summer_on_the_other_half_of_the_earth() -> None:
    zone = "CST-10:00:00DST01:00:00,M10.1.0/02:00:00,M4.1.0/03:00:00"
    clock = clock_of("2026-11-20T18:00:00Z", zone, utc("2026-11-20T07:00:00"))
    assert clock.wall(utc("2026-11-20T07:00:00")) == datetime(2026, 11, 20, 18)
    assert clock.wall(utc("2026-07-01T07:00:00")) == datetime(2026, 7, 1, 17)


@pytest.mark.parametrize(
    ("local", "zone", "offset"),
    [
        ("2026-11-20T15:00:00Z", "CST-8:00:00", 480),  # a Z is no UTC
        ("2026-11-20T15:00:00", "", 480),
        ("2026-11-20T15:00:21Z", "", 480),
        ("2026-11-20T02:00:00-05:00", "", -300),
        ("2026-11-20T02:00:00", "EST5:00:00", -300),
        ("2026-11-20T12:30:00+05:30", "garbage", 330),
    ],
)
def test_offsets(local: str, zone: str, offset: int) -> None:
    clock = clock_of(local, zone, utc("2026-11-20T07:00:00"))
    assert clock.at(utc("2026-11-20T07:00:00")) == timedelta(minutes=offset)
    assert abs(clock.ahead) < timedelta(minutes=1)


def test_a_clock_that_is_wrong() -> None:
    clock = clock_of("2026-11-20T09:10:00+01:00", BERLIN, utc("2026-11-20T07:00:00"))
    assert clock.ahead == timedelta(hours=1, minutes=10)


@pytest.mark.parametrize(
    "text", ["", "today", "2026-13-01", "2026-11-20T25:00:00", "0000-01-01", "2026-02-30", "٢٠٢٦-01-01"]
)
def test_odd_times(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)


@pytest.mark.parametrize(
    "zone", ["CST-99:00:00", "X" * 9999, "CST-1:00:00DST99:99:99,M99.9.9,M0.0.0", "CST-1:00:00DST01:00:00,M3.5.0"]
)
def test_odd_zones(zone: str) -> None:
    clock_of("2026-11-20T08:00:00+01:00", zone, utc("2026-11-20T07:00:00")).wall(utc("2026-07-01T00:00:00"))


def test_the_clock_of_a_recorder(recorder: Recorder, connect: Connect) -> None:
    recorder.faults.offset_in_time = "Z"
    clock = connect(recorder).clock()
    assert clock.at(datetime.now(UTC)) == timedelta(hours=1)
    assert abs(clock.now() - recorder.now()) < timedelta(seconds=5)


# ------------------------------------------------------------------ searches
@pytest.mark.parametrize("faults", [
    {}, {"cap": 64}, {"cap": 7}, {"more_for_ever": True}, {"same_page": True}, {"braces": True},
    {"tracks": "trackList"}, {"tracks": "trackList", "braces": True}, {"stops": 55}, {"busy": 3}, {"bare": True},
    {"stops": 55, "more_for_ever": True, "cap": 64}, {"small_pages": True},
])  # fmt: skip
def test_searches(recorder: Recorder, connect: Connect, faults: dict[str, Any]) -> None:
    many(recorder, 130)
    recorder.add(DAY + timedelta(hours=1), 10, BODY, track=201)
    for name, value in faults.items():
        setattr(recorder.faults, name, value)
    client = connect(recorder)
    found = found_by(client)
    assert [one.uri for one in found] == [segment.uri for segment in recorder.segments[:130]]
    assert recorder.failed == 0
    asked = [body for _, path, body in recorder.seen if path.endswith("search")]
    assert len(asked) < 40
    assert all(b"<searchResultPostion>" in body for body in asked)


def test_more_than_the_recorder_ever_tells(recorder: Recorder, connect: Connect) -> None:
    """A tenth of 4000, and then OK."""
    many(recorder, 1321, seconds=1)
    recorder.faults.stops = 400
    found = found_by(connect(recorder))
    assert len(found) == 1321


def test_several_in_one_second(recorder: Recorder, connect: Connect) -> None:
    for _ in range(100):
        recorder.add(DAY, 0.5, BODY)
    recorder.add(DAY + timedelta(seconds=1), 5, BODY)
    assert len(found_by(connect(recorder))) == 101


def test_one_that_grows_is_found_once(recorder: Recorder, connect: Connect) -> None:
    many(recorder, 5)
    recorder.faults.grows = True
    found = found_by(connect(recorder))
    assert [one.start.second for one in found] == [0, 10, 20, 30, 40]
    assert found[-1].uri == recorder.segments[-1].uri, "as it was found last"


def test_only_what_overlaps(recorder: Recorder, connect: Connect) -> None:
    many(recorder, 10)
    found = connect(recorder).find(101, DAY + timedelta(seconds=15), DAY + timedelta(seconds=30))
    assert [one.start.second for one in found] == [10, 20]
    assert connect(recorder).find(101, DAY - timedelta(days=2), DAY - timedelta(days=1)) == []


def test_a_search_that_invents_without_end() -> None:
    n = 0

    def ask(begin: datetime, end: datetime, position: int) -> Page:
        nonlocal n
        n += 1000
        made = (
            Found(101, DAY + timedelta(seconds=i), DAY + timedelta(seconds=i + 1), str(i)) for i in range(n, n + 1000)
        )
        return Page(tuple(made), 1000, True)

    with pytest.raises(TooMany):
        find(ask, DAY, DAY + timedelta(days=400))


def test_joined() -> None:
    def one(start: float, end: float, track: int = 101) -> Found:
        return Found(track, DAY + timedelta(seconds=start), DAY + timedelta(seconds=end), f"{start}")

    found = [one(0, 10), one(10, 20), one(21, 30), one(60, 70), one(60, 60), one(70, 80, 201)]
    assert [len(group) for group in joined(found)] == [3, 1, 1, 1]


def test_covered_and_gaps() -> None:
    def at(*minutes: int) -> list[tuple[datetime, datetime]]:
        times = [DAY + timedelta(minutes=minute) for minute in minutes]
        return list(zip(times[::2], times[1::2], strict=True))

    (whole,) = at(0, 60)
    covered = merged(at(-5, 10, 10, 20, 30, 70), whole)
    assert covered == at(0, 20, 30, 60)
    assert gaps(covered, whole) == at(20, 30)
    assert gaps([], whole) == [whole]


# ------------------------------------------------------------------ downloads
@pytest.fixture
def save(connect: Connect, recorder: Recorder, tools: Tools) -> Callable[..., Saved]:
    def run(most: int = 0, found: Found | None = None, **more: Any) -> Saved:
        client = connect(recorder)
        found = found or found_by(client)[0]
        return Saver(client, tools, most, lambda size: None).save(replace(found, **more), tools.scratch / "part")

    return run


@pytest.mark.parametrize(
    "faults",
    [
        {}, {"refused": 4}, {"busy": 4}, {"method": "GET"}, {"method": "POST"}, {"cut": [0, 3, 5000]},
        {"cut": [7000], "no_length": True}, {"cut": [7000], "chunked": True}, {"no_length": True}, {"chunked": True},
        {"instead": [b"<html>busy</html>", b"", b"<ResponseStatus><statusString>Busy</statusString></ResponseStatus>"]},
        {"trickle": 0.02}, {"refused": 2, "method": "POST"}, {"refused": 1, "wordy": 3 << 20},
    ],
    ids=str,
)  # fmt: skip
def test_downloads(recorder: Recorder, save: Callable[..., Saved], faults: dict[str, Any]) -> None:
    segment = recorder.add(DAY, 10, BODY)
    busy = faults.pop("busy", 0)
    for name, value in faults.items():
        setattr(recorder.faults, name, value)
    recorder.faults.busy = busy
    saved = save()
    assert saved.path.read_bytes() == BODY
    assert (saved.bytes, saved.ext, saved.doubt) == (len(BODY), "mpg", "")
    assert set(recorder.wanted) == {segment.uri}, "verbatim"
    assert recorder.failed == 0


def test_half_of_those_that_follow_one_another(recorder: Recorder, connect: Connect, tools: Tools) -> None:
    many(recorder, 6)
    recorder.faults.refuse_every = 2
    client = connect(recorder)
    saver = Saver(client, tools, 0, lambda size: None)
    for one in found_by(client):
        assert saver.save(one, tools.scratch / "part").bytes == len(BODY)


def test_formats(recorder: Recorder, save: Callable[..., Saved]) -> None:
    for body, ext in ((b"IMKH" + BODY, "mpg"), (b"\0\0\0\x18ftypisom" + BODY, "mp4")):
        recorder.segments.clear()
        recorder.add(DAY, 10, body)
        assert save().ext == ext


def test_what_is_no_video(recorder: Recorder, save: Callable[..., Saved]) -> None:
    recorder.add(DAY, 10, b"<html>Please log in</html>" * 99)
    with pytest.raises(FetchFailed, match="sent HTML"):
        save()
    assert recorder.downloads == len(saving.MISSES) + 1


def test_shorter_than_its_address_says(recorder: Recorder, save: Callable[..., Saved]) -> None:
    """The same twice is all there is; told as a doubt."""
    segment = recorder.add(DAY, 10, BODY)
    recorder.segments[0] = replace(segment, uri=segment.uri.replace(f"size={len(BODY)}", "size=999999999"))
    recorder.faults.no_length = True
    saved = save()
    assert saved.path.read_bytes() == BODY and "999999999" in saved.doubt
    assert save(growing=True).doubt == ""


def test_silence(recorder: Recorder, save: Callable[..., Saved], tools: Tools) -> None:
    recorder.add(DAY, 10, BODY)
    recorder.faults.stall = True
    tools.stall_timeout = 0.5
    with pytest.raises(Stalled):
        save()


def test_too_big(recorder: Recorder, save: Callable[..., Saved]) -> None:
    recorder.add(DAY, 10, BODY)
    with pytest.raises(TooBig):
        save(most=1000)


def test_cancelled_in_the_middle(recorder: Recorder, connect: Connect, tools: Tools) -> None:
    import threading

    recorder.add(DAY, 10, BODY)
    client = connect(recorder)
    found = found_by(client)[0]
    recorder.faults.stall = True
    threading.Timer(0.3, tools.cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        Saver(client, tools, 0, lambda size: None).save(found, tools.scratch / "part")
    assert time.monotonic() - began < 10


def test_nobody_there(connect: Connect) -> None:
    with Recorder() as gone:
        client = connect(gone)
    with pytest.raises(FetchFailed):
        client.clock()


# ------------------------------------------------------------------ settings
def test_which_recorder_is_meant(tmp_path: Path) -> None:
    sections = {
        "recorder yard": {"host": "192.0.2.1:8080", "user": "u", "password": "secret-1"},
        "recorder nvr.example.org": {"user": "v", "password": "secret-2", "fingerprint": ":".join(["AB"] * 32)},
    }
    settings = settings_of(tmp_path, sections)
    assert place_of("yard", settings).netloc == "192.0.2.1:8080"
    assert place_of("192.0.2.1", settings).user == "u"
    assert place_of("192.0.2.1:8080", settings).user == "u"
    assert place_of("192.0.2.1:80", settings).user == "", "secrets go to their own port alone"
    pinned = place_of("NVR.example.org", settings)
    assert (pinned.scheme, pinned.port, pinned.fingerprint) == ("https", 443, "ab" * 32)
    assert place_of("[2001:DB8::1]:81", settings).netloc == "[2001:db8::1]:81"
    for text in ("", "a b", "http://192.0.2.1", "me:secret@192.0.2.1", "a:0", "a:99999", "[::1", "a/b"):
        with pytest.raises(ValueError):
            place_of(text, settings)
    assert {"secret-1", "secret-2"} <= set(settings.secret_values)
    assert "secret" not in repr(place_of("yard", settings))
