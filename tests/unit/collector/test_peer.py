"""A store at the other end of a sink, where it is odd; tests/integration has real ones."""

from pathlib import Path

import httpx
import pytest

from streamswarm_collector.settings import InfluxSinkSettings
from streamswarm_collector.sinks.peer import Peer
from tests.dripping import dripping
from tests.lab.servers.certificates import Authority

ANSWER = b"HTTP/1.1 204 No Content\r\nX-Slow: " + b"x" * 600 + b"\r\n\r\n"


@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_answer_that_comes_by_a_byte_holds_up_no_delivery_for_ever(
    api: str, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    tls = authority.certificate("127.0.0.1") if scheme == "https" else None
    with dripping(ANSWER, drips=2, tls=tls) as port:
        url = f"{scheme}://127.0.0.1:{port}"
        settings = InfluxSinkSettings.model_validate({"name": "slow", "url": url, "api": api})
        with Peer(settings, whole=0.3) as peer:
            for _ in range(2):
                with pytest.raises(httpx.ReadTimeout, match=r"no whole answer within 0\.3"):
                    peer.write("d", b"m f=1 1\n")
            assert peer.write("d", b"m f=1 1\n").status_code == httpx.codes.NO_CONTENT
