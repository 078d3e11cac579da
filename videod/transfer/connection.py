"""One connection to an HTTP server, made before it is used: dialled, through a proxy where there is one, with TLS."""

from __future__ import annotations

import hashlib
import select
import socket
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection
from io import RawIOBase
from ssl import SSLEOFError
from typing import TYPE_CHECKING

from videod.transfer.body import Broken
from videod.transfer.response import BLOCK, Response

if TYPE_CHECKING:
    from ssl import SSLContext, SSLSocket

    from videod.transfer.polled import Patience


class Connection(HTTPConnection):
    """Used by one thread at a time. What asks and what reads the response raise HTTPException and OSError."""

    response_class = Response
    # one that has broken is not made anew behind our back: the guard has a say in that
    auto_open = 0

    def __init__(self, made: socket.socket) -> None:
        super().__init__("checked", blocksize=BLOCK)
        self.sock = made

    @property
    def alive(self) -> bool:
        """Whether the next request may be sent: the server has not ended it, nor said what nobody asked for."""
        if self.sock is None:
            return False
        pending = getattr(self.sock, "pending", None)
        if pending and pending():  # taken from the kernel, decrypted, and not asked for
            return False
        ready = select.poll()  # select() knows no fd beyond 1023
        ready.register(self.sock, select.POLLIN)
        return not ready.poll(0)

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: RawIOBase | bytes | None) -> Response:
        """Send a request, and read the head of the response. The body is not read yet."""
        # a server may answer, and end, before it has read the whole body
        with suppress(BrokenPipeError, ConnectionResetError, SSLEOFError):
            self.request(method, target, body, headers)
        response = self.getresponse()
        assert isinstance(response, Response)
        return response


def trusting(ca_file: str, fingerprint: str, patience: Patience) -> SSLContext:
    """What TLS is made with: whom to trust. `ca_file` replaces the system's certificates; Broken where it cannot be
    read. With a `fingerprint` none are needed: most such certificates are signed by nobody, for no name."""
    import ssl

    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:  # it could be read when the daemon started
        raise Broken(f"ca_file: {ca_file}: {error.strerror}") from None
    if ca_file:  # Python 3.13 asks more of a private authority than wget and older ones do
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["http/1.1"])
    context.sslsocket_class = patience.tls
    if fingerprint:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def secure(made: socket.socket, host: str, context: SSLContext, fingerprint: str) -> SSLSocket:
    """TLS on a connection to `host`, whose certificate has the SHA-256 `fingerprint` (hex; '' for any that is trusted).

    Raises Broken and OSError; the connection is closed then.
    """
    made = context.wrap_socket(made, server_hostname=host.rstrip("."))
    if fingerprint:
        found = hashlib.sha256(made.getpeercert(binary_form=True) or b"").hexdigest()
        if found != fingerprint:
            made.close()
            raise Broken(f"the certificate's SHA-256 fingerprint is {found}, not {fingerprint}")
    return made
