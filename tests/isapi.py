"""A network video recorder of the Hikvision kind: a real HTTP server on loopback with fault switches.

    with Recorder() as recorder:
        recorder.add("2026-11-20T08:00:00", 60, body)
        ...
        assert recorder.busiest == 1 and recorder.failed == 0

It has one user, asks for digest logins, locks the account after five wrong tries, and counts who downloads at once.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import ssl
import threading
import time
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from xml.sax.saxutils import escape

from tests.origin import Server

USER, PASSWORD = "admin", 'Ab12 "quoted\\" ü-secret'
NAMESPACE = ' xmlns="http://www.hikvision.com/ver20/XMLSchema"'


@dataclass(frozen=True)
class Segment:
    """A file of the recorder; times are those of its clock."""

    track: int
    start: datetime
    end: datetime
    body: bytes = field(repr=False)
    uri: str


@dataclass
class Faults:
    """What the recorder does badly."""

    grows: bool = False  # the last recording is longer with each search
    cap: int = 40  # items a page
    stops: int = 4000  # items a search, after which it says OK
    more_for_ever: bool = False  # MORE behind the last item, with empty pages
    same_page: bool = False  # the position is not looked at
    braces: bool = False  # searchID wants them
    tracks: str = "trackIDList"  # the only list it knows
    small_pages: bool = False  # refuses maxResults beyond its cap
    bare: bool = False  # neither namespace nor declaration
    offset_in_time: str = "+01:00"  # behind localTime
    refused: int = 0  # so many of the next downloads are answered 400 ...
    refuse_every: int = 0  # ... or each n-th of all
    busy: int = 0  # so many of the next requests are answered 503
    instead: list[bytes] = field(default_factory=list)  # bodies, with 200, in place of the next downloads
    cut: list[int] = field(default_factory=list)  # bytes after which the next downloads end
    no_length: bool = False  # the end of the connection ends a body
    chunked: bool = False
    trickle: float = 0.0  # seconds between 16 pieces
    stall: bool = False  # nothing comes behind the first half
    method: str = ""  # the only one that download knows
    stale_after: int = 0  # requests with one nonce
    says_stale: bool = True
    basic: bool = False
    missing: tuple[str, ...] = ()  # paths that are 404
    wordy: int = 0  # bytes more in what it says of a fault
    hold: float = 0.0  # seconds that each download takes


class Recorder:
    """The server. `busiest`: downloads at once; `failed`: wrong logins so far; `locked`: five of them in a row."""

    def __init__(
        self, *, algorithms: tuple[str, ...] = ("MD5",), qop: str = "auth", tls: tuple[Path, Path] | None = None,
        user: str = USER, password: str = PASSWORD,
    ) -> None:  # fmt: skip
        self.algorithms, self.qop = algorithms, qop
        self.user, self.password = user, password
        self.segments: list[Segment] = []
        self.faults = Faults()
        self.zone = "CST-1:00:00DST01:00:00,M3.5.0/02:00:00,M10.5.0/03:00:00"
        self.clock = timedelta(hours=1)  # of its local time
        self.channels: tuple[int, ...] = (101, 102)
        self.proxied: tuple[int, ...] = ()
        self.failed = self.row = self.downloads = self.busy = self.busiest = self.logins = 0
        self.seen: list[tuple[str, str, bytes]] = []
        self.wanted: list[str] = []  # the playbackURI of each download, as it came
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.nonces: dict[str, set[str]] = {}
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self.tls:
            self.tls.load_cert_chain(*tls)
        self._server = Server("127.0.0.1", _Handler, self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="recorder")
        self._thread.start()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def locked(self) -> bool:
        return self.row >= 5

    def now(self) -> datetime:
        """What its clock shows."""
        return datetime.utcnow() + self.clock

    def section(self, **more: str) -> str:
        """What the ini says of it."""
        texts = {"host": self.host, "user": self.user, "password": self.password, **more}
        return "[recorder nvr]\n" + "".join(f"{name} = {text}\n" for name, text in texts.items())

    def add(self, start: str | datetime, seconds: float, body: bytes, track: int = 101) -> Segment:
        begin = datetime.fromisoformat(start) if isinstance(start, str) else start
        end = begin + timedelta(seconds=seconds)
        stamps = [time.strftime("%Y%m%dT%H%M%SZ") for time in (begin, end)]
        name = f"{len(self.segments):017d}"
        uri = f"rtsp://192.168.77.9/Streaming/tracks/{track}/?starttime={stamps[0]}&endtime={stamps[1]}&name={name}"
        made = Segment(track, begin, end, body, f"{uri}&size={len(body)}")
        self.segments.append(made)
        return made

    def grow(self) -> None:
        """The last recording goes on: another end and another size in its address."""
        with self.lock:
            last = self.segments[-1]
            end = last.end + timedelta(seconds=1)
            uri = re.sub(r"endtime=\w+", end.strftime("endtime=%Y%m%dT%H%M%SZ"), last.uri)
            self.segments[-1] = replace(last, end=end, uri=re.sub(r"size=\d+", lambda m: f"{m[0]}0", uri, count=1))

    def paths(self) -> list[str]:
        with self.lock:
            return [path for _, path, _ in self.seen]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *what: object) -> None:
        return

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        recorder, faults = self.server.owner, self.server.owner.faults
        with recorder.lock:
            recorder.seen.append((self.command, self.path, body))
        if not self._logged_in():
            return
        path = self.path.partition("?")[0].removeprefix("/ISAPI/")
        with recorder.lock:
            busy, faults.busy = faults.busy > 0, max(0, faults.busy - 1)
        if busy:
            self._status(503, "Device Busy")
        elif path in faults.missing:
            self._status(404, "Invalid Operation", "notSupport")
        elif path == "ContentMgmt/download":
            self._download(body)
        elif path == "ContentMgmt/search" and self.command == "POST":
            self._search(body)
        elif path in _PAGES and self.command == "GET":
            self._xml(_PAGES[path](recorder))
        else:
            self._status(404, "Invalid Operation")

    do_POST = do_GET

    # ------------------------------------------------------------- who may
    def _logged_in(self) -> bool:
        recorder = self.server.owner
        sent = self.headers.get("Authorization", "")
        if not sent:
            return self._challenge()
        with recorder.lock:
            if recorder.locked:
                verdict = "locked"
            else:
                verdict = self._judge(sent)
            if verdict == "wrong":
                recorder.failed += 1
                recorder.row += 1
            elif verdict == "good":
                recorder.row = 0
                recorder.logins += 1
        return verdict == "good" or self._challenge(stale=verdict == "stale" and recorder.faults.says_stale)

    def _judge(self, sent: str) -> str:
        recorder = self.server.owner
        named = {
            m[1]: m[2] if m[2] is not None else m[3]
            for m in re.finditer(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))', sent)
        }
        named = {name: re.sub(r"\\(.)", r"\1", value) for name, value in named.items()}
        nonce, algorithm = named.get("nonce", ""), named.get("algorithm", "MD5")
        used = recorder.nonces.get(nonce)
        if used is None:
            return "stale"
        count = named.get("nc", "")
        if count and count in used or (recorder.faults.stale_after and len(used) >= recorder.faults.stale_after):
            return "stale"
        kind = "sha256" if algorithm.startswith("SHA-256") else "md5"

        def digest(text: str) -> str:
            return hashlib.new(kind, text.encode()).hexdigest()

        first = digest(f"{recorder.user}:IP Camera(1):{recorder.password}")
        if algorithm.endswith("-sess"):
            first = digest(f"{first}:{nonce}:{named['cnonce']}")
        second = digest(f"{self.command}:{self.path}")
        middle = f"{count}:{named.get('cnonce')}:{named.get('qop')}:" if recorder.qop else ""
        good = named.get("response") == digest(f"{first}:{nonce}:{middle}{second}")
        good = (
            good
            and named.get("uri") == self.path
            and named.get("username", "").encode("latin-1").decode() == recorder.user
        )
        used.add(count or str(len(used)))
        return "good" if good and algorithm in recorder.algorithms else "wrong"

    def _challenge(self, stale: bool = False) -> bool:
        recorder = self.server.owner
        nonce = secrets.token_hex(16)
        with recorder.lock:
            recorder.nonces[nonce] = set()
        told = f"<retryLoginTime>{5 - recorder.row}</retryLoginTime>"
        if recorder.locked:
            told = "<lockStatus>lock</lockStatus><unlockTime>1800</unlockTime>"
        inside = "<statusValue>401</statusValue><statusString>Unauthorized</statusString>"
        body = _document("userCheck", inside + told)
        self.send_response(401)
        if recorder.faults.basic:
            self.send_header("WWW-Authenticate", 'Basic realm="IP Camera(1)"')
        for algorithm in () if recorder.faults.basic else recorder.algorithms:
            qop = f', qop="{recorder.qop}"' if recorder.qop else ""
            late = f', stale="{str(stale).lower()}"'
            self.send_header(
                "WWW-Authenticate",
                f'Digest realm="IP Camera(1)"{qop}, nonce="{nonce}", opaque="", algorithm={algorithm}{late}',
            )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return False

    # ------------------------------------------------------------- answers
    def _xml(self, body: bytes, status: int = 200) -> None:
        if self.server.owner.faults.bare:
            body = body.replace(NAMESPACE.encode(), b"").partition(b"?>\n")[2]
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _status(self, status: int, text: str, sub: str = "") -> None:
        inside = (
            f"<requestURL>{escape(self.path)}</requestURL><statusCode>4</statusCode><statusString>{text}</statusString>"
        )
        inside += f"<subStatusCode>{sub}</subStatusCode>" + " " * self.server.owner.faults.wordy
        self._xml(_document("ResponseStatus", inside), status)

    def _search(self, body: bytes) -> None:
        recorder, faults = self.server.owner, self.server.owner.faults
        asked = {node.tag.rpartition("}")[2]: (node.text or "") for node in ET.fromstring(body).iter()}
        ident = asked["searchID"]
        if faults.braces != (ident[0] == "{") and faults.braces:
            return self._status(400, "Invalid XML Content", "badXmlContent")
        uuid.UUID(ident.strip("{}"))
        if faults.tracks not in asked or (faults.small_pages and int(asked["maxResults"]) > faults.cap):
            return self._status(400, "Invalid XML Content", "badXmlContent")
        begin, end = (datetime.fromisoformat(asked[name].rstrip("Z")) for name in ("startTime", "endTime"))
        # absent, as hikload leaves it out, it is the first page
        position = 0 if faults.same_page else int(asked.get("searchResultPostion", "0"))
        if faults.grows:
            recorder.grow()
        hits = [s for s in sorted(recorder.segments, key=lambda s: s.start) if s.start < end and s.end >= begin]
        hits = [s for s in hits if s.track == int(asked["trackID"])][: faults.stops]
        page = hits[position : position + min(faults.cap, int(asked["maxResults"]))]
        more = position + len(page) < len(hits) or faults.more_for_ever
        status = "MORE" if more else "OK" if hits else "NO MATCHES"
        inside = f"<searchID>{ident}</searchID><responseStatus>true</responseStatus><responseStatusStrg>{status}"
        inside += f"</responseStatusStrg><numOfMatches>{len(page)}</numOfMatches>"
        items = "".join(map(_item, page))
        return self._xml(_document("CMSearchResult", inside + (f"<matchList>{items}</matchList>" if items else "")))

    def _download(self, body: bytes) -> None:
        recorder, faults = self.server.owner, self.server.owner.faults
        if faults.method and self.command != faults.method:
            return self._status(400, "Invalid Operation", "methodNotAllowed")
        found = [node.text for node in ET.fromstring(body).iter() if node.tag.endswith("playbackURI")]
        with recorder.lock:
            recorder.downloads += 1
            refused = faults.refused > 0 or (faults.refuse_every and recorder.downloads % faults.refuse_every == 0)
            faults.refused = max(0, faults.refused - 1)
            recorder.wanted.append(found[0] or "")
            segment = next((s for s in recorder.segments if s.uri == found[0]), None)
            instead = faults.instead.pop(0) if faults.instead and not refused else None
            cut = faults.cut.pop(0) if faults.cut and not refused and instead is None else None
        if refused:
            return self._status(400, "Device Error", "badParameters")
        if segment is None:
            return self._status(404, "Invalid XML Content", "fileNotFound")
        try:
            with recorder.lock:
                recorder.busy += 1
                recorder.busiest = max(recorder.busiest, recorder.busy)
            recorder.stopped.wait(faults.hold)
            return self._body(segment.body if instead is None else instead, cut)
        finally:
            with recorder.lock:
                recorder.busy -= 1

    def _body(self, body: bytes, cut: int | None) -> None:
        faults = self.server.owner.faults
        self.send_response(200)
        self.send_header("Content-Type", "video/mpeg")
        if faults.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif faults.no_length:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        stop = len(body) if cut is None else cut
        step = max(1, len(body) // 16) if faults.trickle or faults.stall else 1 << 16
        for begin in range(0, stop, step):
            piece = body[begin : min(begin + step, stop)]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if faults.chunked else piece)
            self.wfile.flush()
            if faults.stall and begin * 2 > len(body):
                self.server.owner.stopped.wait(60)
                return
            if faults.trickle:
                time.sleep(faults.trickle)
        if cut is not None:
            self.close_connection = True
        elif faults.chunked:
            self.wfile.write(b"0\r\n\r\n")


def _document(name: str, inside: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} version="2.0"{NAMESPACE}>{inside}</{name}>'.encode()


def _item(segment: Segment) -> str:
    times = [time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in (segment.start, segment.end)]
    return (
        "<searchMatchItem><sourceID>{0000000000-0000-0000-0000-000000000000}</sourceID>"
        f"<trackID>{segment.track}</trackID><timeSpan><startTime>{times[0]}</startTime><endTime>{times[1]}</endTime>"
        "</timeSpan><mediaSegmentDescriptor><contentType>video</contentType><codecType>H.264-BP</codecType>"
        f"<playbackURI>{escape(segment.uri)}</playbackURI></mediaSegmentDescriptor>"
        "<metadataMatches><metadataDescriptor>recordType.meta.std-cgi.com/timing</metadataDescriptor>"
        "</metadataMatches></searchMatchItem>"
    )


def _about(_: Recorder) -> bytes:
    inside = "<deviceName>Yard</deviceName><model>DS-7608NI</model><firmwareVersion>V4.30.005</firmwareVersion>"
    return _document("DeviceInfo", inside)


def _time(recorder: Recorder) -> bytes:
    shown = recorder.now().strftime("%Y-%m-%dT%H:%M:%S") + recorder.faults.offset_in_time
    inside = f"<timeMode>NTP</timeMode><localTime>{shown}</localTime>"
    return _document("Time", inside + (f"<timeZone>{recorder.zone}</timeZone>" if recorder.zone else ""))


def _channels(recorder: Recorder) -> bytes:
    inside = "".join(
        f"<StreamingChannel><id>{n}</id><channelName>Camera {n}</channelName></StreamingChannel>"
        for n in recorder.channels
    )
    return _document("StreamingChannelList", inside)


def _proxied(recorder: Recorder) -> bytes:
    inside = "".join(
        f"<InputProxyChannel><id>{n}</id><name>IP {n}</name></InputProxyChannel>" for n in recorder.proxied
    )
    return _document("InputProxyChannelList", inside)


_PAGES = {
    "System/deviceInfo": _about,
    "System/time": _time,
    "Streaming/channels": _channels,
    "ContentMgmt/InputProxy/channels": _proxied,
}
