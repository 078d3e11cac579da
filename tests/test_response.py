"""The head of an answer: what is taken apart at once is what the standard library would have read, or is left to it."""

from __future__ import annotations

import socket
from http.client import HTTPException, HTTPResponse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videod.transfer.response import Headers, Response

PLAIN = b'HTTP/1.1 200 OK\r\nServer: nginx\r\nETag: "1-2"\r\nContent-Length: 5\r\nAccept-Ranges: bytes\r\n\r\n'


def read(kind: type[HTTPResponse], sent: bytes, method: str = "GET") -> Any:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        answer = kind(ours, method=method)
        try:
            answer.begin()
            head = (answer.version, answer.status, answer.reason, answer.chunked, answer.length, answer.will_close)
            return head, list(Headers(answer.headers.items()).items()), answer.read()
        except (HTTPException, ValueError) as error:
            return type(error), str(error)
        finally:
            answer.close()


def same(sent: bytes, method: str = "GET") -> None:
    assert read(Response, sent, method) == read(HTTPResponse, sent, method)


def test_a_plain_head_needs_no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read(HTTPResponse, PLAIN + b"hello")
    monkeypatch.setattr(HTTPResponse, "begin", lambda self: pytest.fail("left to the library"))
    assert read(Response, PLAIN + b"hello") == expected


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length:\t5 \r\nX:  a  \r\nEmpty:\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n Content-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: \xe4\xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n: no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=x\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 404 No\r\nContent-Type: message/rfc822\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 404 No\r\nContent-Type: multipart/mixed; boundary=x\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1  200  OK \r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(120)) + b"Content-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 9000 + b"\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
)
def test_what_is_not_plain_is_left_to_the_library(head: bytes) -> None:
    for method in ("GET", "HEAD"):
        same(head + b"hello", method)


SIGNS = (b"\r\n", b"\r", b"\n", b" ", b"\t", b":", b"a", b"\xe4", b"\0", b"5")
TEXTS = (b"chunked", b"close", b"Transfer-Encoding: chunked", b"Content-Length: 5", b"X-A: b")
LINES = st.builds(b"".join, st.lists(st.sampled_from(SIGNS + TEXTS), max_size=9))


class Slowly(Response):
    """Leaves each head to the library."""

    def _begin_plain(self) -> bool:
        return False


@given(st.lists(LINES, max_size=4))
def test_any_head_is_read_as_without_haste(lines: list[bytes]) -> None:
    sent = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + b"\r\n".join(lines) + b"\r\n\r\nhello"
    assert read(Response, sent) == read(Slowly, sent)


CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        b"Transfer-Encoding: chunked \r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Content-Length: 3\r\nTransfer-Encoding : chunked\r\n",
        b"no colon\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nTransfer-Encoding: Chunked\t\r\n",
    ],
)
def test_chunks_are_no_content(lines: bytes) -> None:
    """The library takes them for what the end of the connection ends."""
    head, _, body = read(Response, b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n" + CHUNKS)
    assert body == b"hello" and head[-1], "a connection is not used again where two may read it in two ways"


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 3\r\n",
        b"Content-Length: 3, 5\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n",
    ],
)
def test_a_body_whose_end_is_not_clear(lines: bytes) -> None:
    assert read(Response, b"HTTP/1.1 200 OK\r\n" + lines + b"\r\nhello")[0] is HTTPException


def test_a_length_that_is_said_twice() -> None:
    assert read(Response, b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello...")[2] == b"hello"


def test_a_length_that_is_no_number_is_none() -> None:
    for length in (b"+5", b"1_0", b"-5", b""):
        head, _, body = read(Response, b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\nhello")
        assert head[-2:] == (None, True) and body == b"hello"


def test_what_announces_an_answer_is_none() -> None:
    for status in (b"100 Continue", b"102 Processing", b"103 Early Hints\r\nLink: </a>; rel=preload"):
        assert read(Response, b"HTTP/1.1 " + status + b"\r\n\r\n" + PLAIN + b"hello")[0][1] == 200


def test_announcements_without_end() -> None:
    for status in (b"100 Continue", b"103 Early Hints"):
        assert read(Response, b"HTTP/1.1 %s\r\n\r\n" % status * 99 + PLAIN + b"hello")[0] is HTTPException
    assert read(Response, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")[0] is HTTPException


@pytest.mark.parametrize(
    "chunks",
    [
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"-1\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"1_0\r\nhellohellohello!\r\n0\r\n\r\n",
        b"5\r\nhello..0\r\n\r\n",
        b"0005\r\nhello\r\n0",
        b"5\r\nhello\r\n",
        b"5\r\nhello\r\n\r\n",
        b"5;" + b"a" * 99_999 + b"\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
    ],
)
def test_chunks_that_are_none(chunks: bytes) -> None:
    found = read(Response, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert issubclass(found[0], HTTPException)


def test_chunks_in_other_spellings() -> None:
    sent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for chunks in (
        b"0005;a=b\r\nhello\r\n000\r\na: b\r\n\r\n",
        b" 00000000000000000002  \r\nhe\r\n3\nllo\r\n0\r\n\r\n",
    ):
        assert read(Response, sent + chunks)[2] == b"hello"


def test_an_answer_without_body_has_no_chunks() -> None:
    for status in (b"204 No Content", b"304 Not Modified"):
        head, _, body = read(Response, b"HTTP/1.1 " + status + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert head[-3:] == (False, 0, False) and not body


def test_a_body_may_follow_where_none_should() -> None:
    for status, closes in ((b"204 No Content", True), (b"304 Not Modified", False)):
        head, _, body = read(Response, b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\nhello")
        assert head[-2:] == (0, closes) and not body
