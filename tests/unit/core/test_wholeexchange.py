"""A peer that is never silent, and never done."""

from pathlib import Path

import pytest

from streamswarm_core.errors import Unavailable
from streamswarm_core.writer import LineWriter
from tests.dripping import dripping
from tests.lab.servers.certificates import Authority

ANSWER = b"HTTP/1.1 204 No Content\r\nX-Slow: " + b"x" * 600 + b"\r\n\r\n"


@pytest.mark.parametrize("secure", [False, True])
def test_an_answer_that_comes_by_a_byte_is_given_up_as_a_whole_and_the_next_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    certificate = None
    if secure:
        authority = Authority(tmp_path)
        certificate = authority.certificate("127.0.0.1")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    scheme = "https" if secure else "http"
    with (
        dripping(ANSWER, drips=2, tls=certificate) as port,
        LineWriter(f"{scheme}://127.0.0.1:{port}", lambda: "t", bucket="b", timeout=5, whole=0.3) as writer,
    ):
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+: no whole answer within 0\.3"):
                writer.write(b"m f=1 1\n")
        writer.write(b"m f=1 1\n")
