"""A TLS server that staples an OCSP response; Python's ssl can't, so it is `openssl s_server`."""

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.namespace import LabError, Namespace, end
from tests.lab.servers.running import Running, start
from tests.support import find_free_port


@contextmanager
def stapling_server(
    namespace: Namespace | None = None, *, certificate: Path, ocsp_response: Path, port: int = 0
) -> Iterator[Running]:
    """Serve a page about the handshake, in a namespace or on loopback.

    Raises:
        LabError: it did not start.
    """
    chosen = port or find_free_port()
    address = f"127.0.0.1:{chosen}" if namespace is None else str(chosen)
    argv = ["openssl", "s_server", "-www", "-quiet", "-accept", address, "-cert", str(certificate)]
    argv += ["-cert_chain", str(certificate), "-key", str(certificate), "-status_file", str(ocsp_response)]
    process = start(argv, namespace)
    try:
        with namespace.entered() if namespace is not None else contextlib.nullcontext():
            _wait_for(chosen)
        yield Running({"tcp": chosen}, process)
    finally:
        end(process)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise LabError(f"openssl s_server doesn't listen on port {port}")
