"""The lab's servers do what they are told, seen by clients that nobody here wrote."""

import asyncio
import socket
import ssl
import time
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import httpx
import pytest

from streamswarm_core.hostport import bracketed
from tests.lab.servers.certificates import Authority, Kind, Status
from tests.lab.servers.dns import RIGHT, WRONG, dns_server
from tests.lab.servers.http import http_server
from tests.lab.servers.stapling import stapling_server
from tests.lab.servers.tcp import tcp_server
from tests.lab.topology import PathBuilder

HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def query(name: str, kind: str = "A", *, dnssec: bool = False) -> dns.message.QueryMessage:
    return dns.message.make_query(f"{name}.lab.test", kind, want_dnssec=dnssec)


def addresses(reply: dns.message.Message) -> list[str]:
    return [item.to_text() for rrset in reply.answer for item in rrset]


def test_the_name_server_is_right_or_wrong_as_its_name_says() -> None:
    with dns_server(zone={"www.lab.test": ["A 192.0.2.1", "A 192.0.2.2"]}) as server:

        def ask(name: str, kind: str = "A") -> dns.message.Message:
            return dns.query.udp(query(name, kind), HERE, 5, server.port)

        assert sorted(addresses(ask("www"))) == ["192.0.2.1", "192.0.2.2"]
        assert addresses(ask("www", "AAAA")) == []
        assert addresses(ask("other", "AAAA")) == [RIGHT["AAAA"]]
        assert addresses(ask("wrong")) == [WRONG["A"]]
        assert ask("nxdomain").rcode() == dns.rcode.NXDOMAIN
        assert ask("servfail").rcode() == dns.rcode.SERVFAIL
        assert ask("truncated").flags & dns.flags.TC
        assert addresses(dns.query.tcp(query("truncated"), HERE, 5, server.port)) == [RIGHT["A"]]
        with pytest.raises(dns.exception.Timeout):
            dns.query.udp(query("silent"), HERE, 0.2, server.port)
        with pytest.raises(dns.query.BadResponse):
            ask("forged")
        assert addresses(
            dns.query.udp(query("forged"), HERE, 5, server.port, ignore_unexpected=True, ignore_errors=True)
        ) == [RIGHT["A"]]


def test_a_cache_takes_its_time_once_and_says_that_it_is_one() -> None:
    with dns_server(authoritative=False, authentic=True, cold_ms=200, latency_ms=5) as server:
        cold = dns.query.udp(query("slow"), HERE, 5, server.port)
        warm, *more = [dns.query.udp(query("slow", dnssec=True), HERE, 5, server.port) for _ in range(10)]
    assert cold.time >= 0.205
    assert 0.005 <= min(reply.time for reply in (warm, *more)) < 0.2
    assert not cold.flags & (dns.flags.AA | dns.flags.AD)
    assert warm.flags & dns.flags.AD
    assert warm.flags & dns.flags.RA


def test_names_are_resolved_over_tls_and_https(path: PathBuilder, authority: Authority) -> None:
    line = path(hops=1, relay=False)
    certificate = authority.certificate(line.target, line.target6)
    with dns_server(line.far, port=53, certificate=certificate, tls_port=853, https_port=443), line.near.entered():
        for target in (line.target, line.target6):
            assert addresses(dns.query.udp(query("www"), target, 5)) == [RIGHT["A"]]
            over_tls = dns.query.tls(
                query("www"), target, 5, ssl_context=authority.client("dot"), server_hostname=target
            )
            assert addresses(over_tls) == [RIGHT["A"]]
            host = bracketed(target)
            for http2 in (False, True):
                with httpx.Client(verify=authority.client(), timeout=5, http2=http2) as client:
                    answer = client.post(
                        f"https://{host}/dns-query",
                        content=query("www").to_wire(),
                        headers={"content-type": "application/dns-message"},
                    )
                assert addresses(dns.message.from_wire(answer.content)) == [RIGHT["A"]]
                assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("valid", None),
        ("expired", "certificate has expired"),
        ("not-yet-valid", "certificate is not yet valid"),
        ("wrong-name", "certificate is not valid for '127.0.0.1'"),
        ("self-signed", "self-signed certificate"),
    ],
)
def test_certificates_are_wrong_in_the_way_asked_for(authority: Authority, kind: Kind, complaint: str | None) -> None:
    certificate = authority.certificate(HERE, kind=kind)
    with (
        http_server(certificate=certificate) as server,
        httpx.Client(verify=authority.client(), base_url=f"https://{HERE}:{server.port}", timeout=5) as client,
    ):
        if complaint is None:
            assert client.get("/").text == "hello from the lab\n"
        else:
            with pytest.raises(httpx.ConnectError, match=complaint):
                client.get("/")


def test_tls_can_be_old_and_slow(authority: Authority) -> None:
    certificate = authority.certificate(HERE)
    with http_server(certificate=certificate, newest_tls="TLSv1_2", handshake_ms=150) as server:
        started = time.monotonic()
        with (
            socket.create_connection((HERE, server.port), 5) as plain,
            authority.client().wrap_socket(plain, server_hostname=HERE) as tls,
        ):
            assert tls.version() == "TLSv1.2"
        assert time.monotonic() - started >= 0.15


@pytest.mark.needs("openssl", "openssl")
@pytest.mark.parametrize("status", ["good", "revoked"])
def test_an_ocsp_response_is_stapled(path: PathBuilder, authority: Authority, status: Status) -> None:
    line = path(hops=0, relay=False)
    certificate = authority.certificate("www.lab.test")
    response = authority.ocsp_response(certificate, status)
    with stapling_server(line.far, certificate=certificate, ocsp_response=response, port=443):
        said = line.near.run(
            ["openssl", "s_client", "-connect", f"{line.target}:443", "-status", "-CAfile", str(authority.path)]
        ).stdout
    assert "OCSP Response Status: successful" in said
    assert f"Cert Status: {status}" in said
    assert "Verify return code: 0 (ok)" in said


@pytest.mark.parametrize("http2", [False, True])
def test_a_web_server_answers_as_its_address_says(authority: Authority, http2: bool) -> None:
    with (
        http_server(certificate=authority.certificate(HERE), http2=http2) as server,
        httpx.Client(
            verify=authority.client(), base_url=f"https://{HERE}:{server.port}", timeout=10, http2=http2
        ) as client,
    ):
        first, second = client.get("/"), client.get("/status/503")
        assert first.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        assert (second.status_code, second.headers["x-request"]) == (503, "2")
        assert first.headers["x-connection"] == second.headers["x-connection"]
        followed = client.get("/redirect/3", follow_redirects=True)
        assert (followed.text, len(followed.history)) == ("hello from the lab\n", 3)
        # More than HTTP/2's first window.
        assert len(client.get("/bytes/300000").content) == 300_000
        packed = client.get("/text/10000")
        assert packed.headers["content-encoding"] == "gzip"
        assert len(packed.content) == 10_000 > int(packed.headers["content-length"])
        slow = client.get("/slow?first_byte_ms=60&between_ms=20&chunks=3")
        assert slow.text == "slowly\n" * 3
        assert slow.elapsed.total_seconds() >= 0.06
        assert client.get("/nothing").status_code == 404


def test_several_streams_share_one_connection(authority: Authority) -> None:
    async def fetch(port: int) -> set[str]:
        address = f"https://{HERE}:{port}"
        async with httpx.AsyncClient(verify=authority.client(), base_url=address, http2=True, timeout=10) as client:
            await client.get("/")
            answers = await asyncio.gather(*(client.get("/slow?first_byte_ms=50") for _ in range(5)))
        return {answer.headers["x-connection"] for answer in answers}

    with http_server(certificate=authority.certificate(HERE)) as server:
        assert len(asyncio.run(fetch(server.port))) == 1


def test_a_connection_that_is_closed_is_not_used_again() -> None:
    with http_server() as server, httpx.Client(base_url=f"http://{HERE}:{server.port}", timeout=5) as client:
        assert client.get("/close").headers["x-connection"] != client.get("/").headers["x-connection"]


def test_a_slow_reader_shuts_the_window() -> None:
    with (
        tcp_server(read_bytes_per_s=20_000, receive_buffer=8_192) as server,
        socket.create_connection((HERE, server.port), 5) as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_192)
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.sendall(bytes(2_000_000))


def test_a_slow_acceptor_lets_the_kernel_shake_hands() -> None:
    with tcp_server(accept_ms=300, banner="220 at last\r\n") as server:
        started = time.monotonic()
        with socket.create_connection((HERE, server.port), 5) as client:
            assert client.recv(100) == b"220 at last\r\n"
            assert time.monotonic() - started >= 0.3


def test_a_server_sends_at_its_own_pace_or_hangs_up() -> None:
    with (
        tcp_server(send_bytes_per_s=1_000_000) as server,
        socket.create_connection((HERE, server.port), 5) as client,
    ):
        assert client.recv(1_000)
    with (
        tcp_server(reset=True) as server,
        pytest.raises(ConnectionResetError),  # by connect already, if the server is quick
        socket.create_connection((HERE, server.port), 5) as client,
    ):
        client.recv(1)


def test_a_server_that_cant_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="No such file"), http_server(certificate=tmp_path / "absent.pem"):
        pass


def test_the_authoritys_client_trusts_nobody_else(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    with (
        http_server(certificate=other.certificate(HERE)) as server,
        socket.create_connection((HERE, server.port), 5) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        authority.client().wrap_socket(plain, server_hostname=HERE)
