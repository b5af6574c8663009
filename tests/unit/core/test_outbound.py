"""Requests through a company's proxy, and to servers whose certificates a company's own authority signs."""

import os
import ssl
from base64 import b64encode
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streamswarm_core.doctor.asking import UnansweredError, ask
from streamswarm_core.errors import Unavailable
from streamswarm_core.outbound import trusted
from streamswarm_core.proxies import prepare, proxy_for
from streamswarm_core.writer import LineWriter
from tests.lab.servers.certificates import Authority
from tests.support import find_free_port, serve_app

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Server:
    """Takes everything, and notes the headers."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []

    def app(self) -> Starlette:
        async def take(request: Request) -> Response:
            self.seen.append(dict(request.headers))
            return Response(status_code=204)

        return Starlette(routes=[Route("/{path:path}", take, methods=["GET", "POST"])])


def test_points_go_through_the_proxy_that_httpx_takes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Server()
    with serve_app(proxy.app()) as url:
        monkeypatch.setenv("HTTP_PROXY", url.replace("//", "//user:p%40ss@"))
        with LineWriter("http://collector.example:8801", lambda: "t", bucket="b") as writer:
            writer.write(b"m f=1 1\n")
        httpx.get("http://controlplane.example:8800/health", verify=trusted())
    assert [seen["host"] for seen in proxy.seen] == ["collector.example:8801", "controlplane.example:8800"]
    login = f"Basic {b64encode(b'user:p@ss').decode()}"
    assert [seen["proxy-authorization"] for seen in proxy.seen] == [login, login]


def test_this_host_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", ".corp.example")
    assert proxy_for("http://127.0.0.1:8801") == "http://proxy.example:3128"
    assert prepare(os.environ) == []
    spared = ("127.0.0.1", "localhost", "[::1]", "a.corp.example")
    assert not [host for host in spared if proxy_for(f"http://{host}:8801")]
    assert proxy_for("http://collector.example:8801") == "http://proxy.example:3128"
    assert proxy_for("https://collector.example") is None
    server = Server()
    with serve_app(server.app()) as url:
        httpx.get(url, verify=trusted())
    assert server.seen


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5h://127.0.0.1:1080",
        "ftp://proxy.example:3128",
        "http://kim:hush-hush@proxy.example:no-port",
        "http://kim:hush-hush@proxy.example:99999",
        "http://kim:hush-hush@[::1",
        "http://",
    ],
)
def test_a_proxy_that_nobody_here_speaks_to_is_said_without_its_password_and_left_out(proxy: str) -> None:
    environment = {"ALL_PROXY": proxy, "HTTPS_PROXY": "proxy.example:3128", "HTTP_PROXY": ""}
    (said,) = prepare(environment)
    assert said.startswith("ALL_PROXY: only HTTP proxies")
    assert "hush" not in said
    assert environment.keys() == {"HTTPS_PROXY", "HTTP_PROXY", "no_proxy"}


def test_a_proxys_password_is_in_no_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://kim:hush-hush@127.0.0.1:{find_free_port()}")
    for scheme in ("http", "https"):
        url = f"{scheme}://collector.example:8801"
        with LineWriter(url, lambda: "t", bucket="b") as writer, pytest.raises(Unavailable) as told:
            writer.write(b"m f=1 1\n")
        assert "hush" not in f"{told.value!r} {told.value.__context__!r}"
        with pytest.raises(UnansweredError) as unanswered:
            ask(url)
        assert "hush" not in str(unanswered.value)


def test_a_companys_own_authority_is_trusted_by_all_who_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    certificate = str(authority.certificate("127.0.0.1"))
    with serve_app(Server().app(), ssl_certfile=certificate) as url:
        secure = url.replace("http:", "https:")
        with (
            LineWriter(secure, lambda: "t", bucket="b") as writer,
            pytest.raises(Unavailable, match="certificate verify failed"),
        ):
            writer.write(b"m f=1 1\n")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
        with LineWriter(secure, lambda: "t", bucket="b") as writer:
            writer.write(b"m f=1 1\n")
        assert httpx.get(secure, verify=trusted()).status_code == 204


def test_the_systems_authorities_are_trusted_beside_those_of_httpx() -> None:
    def subjects(context: ssl.SSLContext) -> set[object]:
        return {one["serialNumber"] for one in context.get_ca_certs()}

    assert subjects(trusted()) >= subjects(ssl.create_default_context()) | subjects(httpx.create_ssl_context())
