"""A server that is never silent, and never done."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

Take = Callable[[socket.socket], None]


def take_request(connection: socket.socket) -> None:
    """Read all of it: a connection that is closed with bytes unread is reset, and the answer is lost."""
    with connection.makefile("rb") as request:
        headers = list(iter(request.readline, b"\r\n"))
        lengths = [line.partition(b":")[2] for line in headers if line.lower().startswith(b"content-length:")]
        request.read(int(lengths[0]) if lengths else 0)


@contextlib.contextmanager
def dripping(answer: bytes, *, drips: int, tls: Path | None = None, take: Take = take_request) -> Iterator[int]:
    """Answers the first connections a byte each 20 ms, and the others at once; its port on 127.0.0.1."""
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
                    take(connection)
                    pieces = [bytes([one]) for one in answer] if number < drips else [answer]
                    for piece in pieces:
                        connection.sendall(piece)
                        over.wait(0.02)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        listener.close()
        thread.join(5)
