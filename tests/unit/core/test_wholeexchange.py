"""A peer that is never silent, and never done."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamswarm_core.errors import Unavailable
from streamswarm_core.writer import LineWriter
from tests.lab.servers.certificates import Authority

ANSWER = b"HTTP/1.1 204 No Content\r\nX-Slow: " + b"x" * 600 + b"\r\n\r\n"


def take_request(connection: socket.socket) -> None:
    """Read all of it: a connection that is closed with bytes unread is reset, and the answer is lost."""
    with connection.makefile("rb") as request:
        headers = list(iter(request.readline, b"\r\n"))
        lengths = [line.partition(b":")[2] for line in headers if line.lower().startswith(b"content-length:")]
        request.read(int(lengths[0]))


@contextlib.contextmanager
def peer(*, drips: int, tls: Path | None = None) -> Iterator[str]:
    """Answers the first connections a byte each 20 ms, which is 13 s for all of it, and the others at once."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        listener = context.wrap_socket(listener, server_side=True)

    def serve() -> None:
        for number in range(drips + 1):
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    take_request(connection)
                    pieces = [bytes([one]) for one in ANSWER] if number < drips else [ANSWER]
                    for piece in pieces:
                        connection.sendall(piece)
                        over.wait(0.02)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.close()
        thread.join(5)


@pytest.mark.parametrize("secure", [False, True])
def test_an_answer_that_comes_by_a_byte_is_given_up_as_a_whole_and_the_next_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    certificate = None
    if secure:
        authority = Authority(tmp_path)
        certificate = authority.certificate("127.0.0.1")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    with (
        peer(drips=2, tls=certificate) as url,
        LineWriter(url, lambda: "t", bucket="b", timeout=5, whole=0.3) as writer,
    ):
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+: no whole answer within 0\.3"):
                writer.write(b"m f=1 1\n")
        writer.write(b"m f=1 1\n")
