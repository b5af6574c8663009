"""A peer whose name has IPv6 addresses that lead nowhere is reached by the next one, before patience ends."""

import httpx
import pytest

from streamswarm_core import outbound, writer
from streamswarm_core.outbound import patience
from streamswarm_core.writer import LineWriter
from tests.blackhole import leading_nowhere
from tests.dripping import dripping

NAME = "collector.test"


@pytest.mark.parametrize("addresses", [1, 3])
def test_points_are_delivered(addresses: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CONNECT_SECONDS", 0.2)
    with (
        dripping(b"HTTP/1.1 204 No Content\r\n\r\n", drips=0) as port,
        leading_nowhere(NAME, port, monkeypatch, addresses=addresses),
        LineWriter(f"http://{NAME}:{port}", lambda: "t", bucket="b", timeout=1) as lines,
    ):
        lines.write(b"m f=1 1\n")


def test_a_question_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "CONNECT_SECONDS", 0.2)
    with dripping(b"HTTP/1.1 204 No Content\r\n\r\n", drips=0) as port, leading_nowhere(NAME, port, monkeypatch):
        assert httpx.get(f"http://{NAME}:{port}", timeout=patience(60)).status_code == httpx.codes.NO_CONTENT
