"""The tls probe against real servers on loopback whose certificates are right, or wrong in a known way."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from streamswarm_agent.faults import Fault
from streamswarm_agent.net.plainfile import MOST_BYTES
from streamswarm_agent.net.tls import ocsp
from streamswarm_agent.probes import Context
from streamswarm_core.probespecs import TlsParams
from tests.lab.servers.certificates import Authority, Kind, Status
from tests.lab.servers.http import http_server
from tests.lab.servers.stapling import stapling_server
from tests.support import find_free_port
from tests.unit.agent.running import run
from tests.unit.agent.servers import http_server as plain_server
from tests.unit.agent.servers import response, silent_server

HERE = "127.0.0.1"
DAY = 86_400


async def test_the_facts_of_a_handshake_and_its_certificate(authority: Authority, context: Context) -> None:
    path = authority.certificate(HERE, "www.lab.test", days=30)
    truth = x509.load_pem_x509_certificate(path.read_bytes())
    with http_server(certificate=path) as server:
        point = await run("tls", f"{HERE}:{server.port}", context, ca_file=str(authority.path), alpn=["h2"])
    assert (point.fields["up"], point.fields["verified"], point.tags["family"]) == (1, 1, "ipv4")
    assert (point.fields["version"], point.fields["alpn"]) == ("TLS 1.3", "h2")
    assert str(point.fields["cipher"]).startswith("TLS_")
    assert point.fields["cipher_strength"] in {128, 256}
    assert point.fields["expires_in"] == pytest.approx(30 * DAY, abs=8640)
    assert point.fields["serial"] == f"{truth.serial_number:x}"
    assert point.fields["issuer"] == truth.issuer.rfc4514_string()
    key = truth.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert (point.fields["key_type"], point.fields["key_size"]) == ("EC", key.key_size)
    assert point.fields["signature"] == "ecdsa-with-SHA256"
    assert point.fields["names"] == 2
    assert {"connect", "handshake"} <= set(point.fields)
    assert not {"resolve", "starttls", "certificate_fault", "ocsp_stapled", "resumed"} & set(point.fields)


async def test_a_name_that_ends_with_a_dot_is_the_certificates_name(
    authority: Authority, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _name, *arguments, **more: look_up(HERE, *arguments, **more))
    with http_server(certificate=authority.certificate("www.lab.test")) as server:
        for probe, target in (
            ("tls", f"www.lab.test.:{server.port}"),
            ("http", f"https://www.lab.test.:{server.port}/"),
        ):
            point = await run(probe, target, context, ca_file=str(authority.path))
            assert (point.fields["up"], point.fields.get("error_detail")) == (1, None)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("expired", "expired"),
        ("not-yet-valid", "not_yet_valid"),
        ("wrong-name", "wrong_name"),
        ("self-signed", "self_signed"),
    ],
)
async def test_a_wrong_certificate_is_down_with_the_reason_and_its_facts(
    authority: Authority, context: Context, kind: Kind, fault: str
) -> None:
    with http_server(certificate=authority.certificate(HERE, kind=kind, days=9)) as server:
        target, trust = f"{HERE}:{server.port}", str(authority.path)
        strict = await run("tls", target, context, ca_file=trust)
        lax = await run("tls", target, context, ca_file=trust, verify_tls=False)
    assert (strict.fields["up"], strict.fields["error"]) == (0, Fault.CERTIFICATE)
    assert lax.fields["up"] == 1
    for point in (strict, lax):
        assert (point.fields["verified"], point.fields["certificate_fault"]) == (0, fault)
        assert {"version", "cipher", "expires_in", "serial", "handshake", "chain_length"} <= set(point.fields)
    expected = {"expired": -1, "not-yet-valid": 60}.get(kind, 9)
    assert strict.fields["expires_in"] == pytest.approx(expected * DAY, abs=8640)


async def test_an_authority_nobody_knows_is_unknown_ca(authority: Authority, context: Context) -> None:
    with http_server(certificate=authority.certificate(HERE)) as server:
        point = await run("tls", f"{HERE}:{server.port}", context)
    assert (point.fields["certificate_fault"], point.fields["verified"]) == ("unknown_ca", 0)


async def test_the_chains_days_are_those_of_its_first_to_expire(
    tmp_path: Path, authority: Authority, context: Context
) -> None:
    """The server sends its own certificate, good for long, with another that expires before."""
    both = tmp_path / "chain.pem"
    short = authority.certificate("other.test", days=5).read_bytes()
    begin = short.index(b"-----BEGIN CERTIFICATE")
    both.write_bytes(authority.certificate(HERE, days=100).read_bytes() + short[begin:])
    with http_server(certificate=both) as server:
        point = await run("tls", f"{HERE}:{server.port}", context, ca_file=str(authority.path))
        few = await run("tls", f"{HERE}:{server.port}", context, ca_file=str(authority.path), min_days=14)
    assert (point.fields["up"], point.fields["chain_length"]) == (1, 2)
    assert point.fields["expires_in"] == pytest.approx(100 * DAY, abs=8640)
    assert point.fields["chain_expires_in"] == pytest.approx(5 * DAY, abs=8640)
    assert (few.fields["up"], few.fields["error"]) == (0, Fault.CERTIFICATE)
    assert "5.0 days left instead of 14 or more" in str(few.fields["error_detail"])


async def test_a_file_of_authorities_that_would_hold_up_the_agent_is_refused(tmp_path: Path, context: Context) -> None:
    pipe, huge = tmp_path / "pipe", tmp_path / "huge"
    os.mkfifo(pipe)
    with huge.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    for path, reason in (
        (pipe, "no plain file"),
        (Path("/dev/ptmx"), "no plain file"),
        (tmp_path, "no plain file"),
        (huge, "larger than"),
        (tmp_path / "none", "No such file"),
    ):
        point = await run("tls", f"{HERE}:1", context, ca_file=str(path))
        assert point.fields["error"] == Fault.BAD_TARGET
        assert f"the option ca_file: {path}: {reason}" in str(point.fields["error_detail"])


async def test_a_name_is_asked_for_and_verified(authority: Authority, context: Context) -> None:
    with http_server(certificate=authority.certificate("www.lab.test")) as server:
        target, trust = f"{HERE}:{server.port}", str(authority.path)
        right = await run("tls", target, context, ca_file=trust, server_name="www.lab.test")
        wrong = await run("tls", target, context, ca_file=trust)
    assert right.fields["up"] == 1
    assert wrong.fields["certificate_fault"] == "wrong_name"


async def test_an_old_server_is_measured_or_refused(authority: Authority, context: Context) -> None:
    with http_server(certificate=authority.certificate(HERE), newest_tls="TLSv1_2") as server:
        target, trust = f"{HERE}:{server.port}", str(authority.path)
        old = await run("tls", target, context, ca_file=trust)
        strict = await run("tls", target, context, ca_file=trust, min_version="TLS 1.3")
    assert (old.fields["up"], old.fields["version"]) == (1, "TLS 1.2")
    assert (strict.fields["up"], strict.fields["error"]) == (0, Fault.TLS)
    assert "connect" in strict.fields


async def test_a_slow_handshake_takes_as_long_as_the_server(authority: Authority, context: Context) -> None:
    with http_server(certificate=authority.certificate(HERE), handshake_ms=120) as server:
        point = await run("tls", f"{HERE}:{server.port}", context, ca_file=str(authority.path))
    assert float(point.fields["handshake"]) >= 0.12


@pytest.mark.parametrize("newest", ["TLSv1_2", "TLSv1_3"])
async def test_a_session_is_resumed(authority: Authority, context: Context, newest: str) -> None:
    with http_server(certificate=authority.certificate(HERE), newest_tls=newest) as server:
        point = await run("tls", f"{HERE}:{server.port}", context, ca_file=str(authority.path), resume=True)
    assert point.fields["resumed"] == 1


async def test_a_server_without_tickets_does_not_resume(authority: Authority, context: Context) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.certificate(HERE))
    tls.num_tickets = 0
    async with plain_server(response(200), tls=tls) as port:
        point = await run("tls", f"{HERE}:{port}", context, ca_file=str(authority.path), resume=True)
    assert (point.fields["up"], point.fields["resumed"]) == (1, 0)


@pytest.mark.needs("openssl", "openssl")
@pytest.mark.parametrize("status", ["good", "revoked"])
async def test_a_stapled_ocsp_response_is_seen(authority: Authority, context: Context, status: Status) -> None:
    certificate = authority.certificate("www.lab.test")
    with stapling_server(certificate=certificate, ocsp_response=authority.ocsp_response(certificate, status)) as server:
        asking = {"ca_file": str(authority.path), "server_name": "www.lab.test", "ocsp": True}
        point = await run("tls", f"{HERE}:{server.port}", context, **asking)
    assert (point.fields["up"], point.fields["ocsp_stapled"], point.fields["ocsp_status"]) == (1, 1, status)


async def test_a_server_without_a_staple_has_none(authority: Authority, context: Context) -> None:
    with http_server(certificate=authority.certificate(HERE)) as server:
        asking = {"ca_file": str(authority.path), "ocsp": True}
        point = await run("tls", f"{HERE}:{server.port}", context, **asking)
    assert (point.fields["up"], point.fields["ocsp_stapled"]) == (1, 0)
    assert "ocsp_status" not in point.fields


async def test_whether_a_server_of_only_tls_1_3_staples_stays_unknown(authority: Authority, context: Context) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.certificate(HERE))
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    async with plain_server(response(200), tls=tls) as port:
        point = await run("tls", f"{HERE}:{port}", context, ca_file=str(authority.path), ocsp=True)
    assert point.fields["up"] == 1
    assert "ocsp_stapled" not in point.fields


def test_an_ocsp_response_that_is_none_is_malformed() -> None:
    assert ocsp.status_of(b"nonsense") == "malformed"


@asynccontextmanager
async def starttls_server(script: list[tuple[bytes, bytes]], tls: ssl.SSLContext) -> AsyncIterator[int]:
    """Says and awaits what the script has, in pairs (said, awaited), and then shakes hands; yields its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for said, awaited in script:
                writer.write(said)
                if awaited:
                    await reader.readuntil(awaited)
            await writer.start_tls(tls)
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, HERE, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


SCRIPTS = {
    "smtp": [
        (b"220-mail.lab.test\r\n220 ESMTP\r\n", b"EHLO streamswarm.invalid\r\n"),
        (b"250-mail.lab.test\r\n250-STARTTLS\r\n250 HELP\r\n", b"STARTTLS\r\n"),
        (b"220 go ahead\r\n", b""),
    ],
    "imap": [(b"* OK IMAP4rev2 ready\r\n", b"a STARTTLS\r\n"), (b"a OK begin\r\n", b"")],
    "ldap": [
        (b"", b"1.3.6.1.4.1.1466.20037"),
        (bytes.fromhex("300c02010178070a010004000400"), b""),
    ],
    "postgres": [(b"", bytes.fromhex("0000000804d2162f")), (b"S", b"")],
}


@pytest.mark.parametrize("protocol", SCRIPTS)
async def test_tls_begins_as_the_protocol_does_it(authority: Authority, context: Context, protocol: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.certificate(HERE))
    async with starttls_server(SCRIPTS[protocol], tls) as port:
        point = await run("tls", f"{HERE}:{port}", context, starttls=protocol, ca_file=str(authority.path))
    assert (point.fields["up"], point.fields.get("error_detail")) == (1, None)
    assert {"starttls", "handshake", "expires_in"} <= set(point.fields)


@pytest.mark.parametrize(
    ("protocol", "script", "words"),
    [
        ("smtp", [(b"220 hello\r\n", b"\r\n"), (b"502 no such command\r\n", b"x")], "502 no such command"),
        ("imap", [(b"* OK\r\n", b"\r\n"), (b"a NO not here\r\n", b"x")], "a NO not here"),
        ("ldap", [(b"", b"20037"), (bytes.fromhex("300c02010178070a013504000400"), b"x")], "refused StartTLS"),
        ("postgres", [(b"", b"\x16\x2f"), (b"N", b"x")], "refused TLS"),
    ],
)
async def test_a_server_that_wants_no_tls_is_a_protocol_fault(
    authority: Authority, context: Context, protocol: str, script: list[tuple[bytes, bytes]], words: str
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.certificate(HERE))
    async with starttls_server(script, tls) as port:
        point = await run("tls", f"{HERE}:{port}", context, starttls=protocol)
    assert point.fields["error"] == Fault.PROTOCOL
    assert words in str(point.fields["error_detail"])


async def test_faults_of_the_connection_are_data(context: Context) -> None:
    refused = await run("tls", f"{HERE}:{find_free_port()}", context)
    assert (refused.fields["up"], refused.fields["error"]) == (0, Fault.REFUSED)
    async with plain_server(b"SSH-2.0-hello\r\n") as port:
        # The server waits for a request's end that TLS never sends, so it only speaks when it is hung up on.
        silent = await run("tls", f"{HERE}:{port}", context, wait=0.3)
    assert silent.fields["error"] == Fault.TIMEOUT
    async with silent_server() as port:
        assert (await run("tls", f"{HERE}:{port}", context, wait=0.2)).fields["error"] == Fault.TIMEOUT
    assert (await run("tls", "nonsense", context)).fields["error"] == Fault.BAD_TARGET
    missing = await run("tls", f"{HERE}:1", context, ca_file="/nowhere/ca.pem")
    assert "ca_file: /nowhere/ca.pem: No such file" in str(missing.fields["error_detail"])


@pytest.mark.parametrize("name", [".x", "a..b", "x" * 70])
async def test_a_name_that_can_be_no_servers_is_a_bad_target(name: str, context: Context) -> None:
    for probe, target in (("tls", f"{name}:443"), ("http", f"https://{name}/")):
        point = await run(probe, target, context)
        assert (point.fields["up"], point.fields["error"]) == (0, Fault.BAD_TARGET)


async def test_something_that_is_not_tls_says_so(context: Context) -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9\r\n")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(speak, HERE, 0, family=socket.AF_INET)
    async with listening:
        point = await run("tls", f"{HERE}:{listening.sockets[0].getsockname()[1]}", context)
    assert point.fields["error"] in {Fault.TLS, Fault.RESET}


def test_versions_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="newer than max_version"):
        TlsParams(min_version="TLS 1.3", max_version="TLS 1.2")


@asynccontextmanager
async def openssl_server(*options: str, certificate: Path) -> AsyncIterator[str]:
    """OpenSSL's own server, which can be older than Python's; yields host:port."""
    target = f"{HERE}:{find_free_port()}"
    files = ("-cert", str(certificate), "-key", str(certificate))
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_server", "-www", "-accept", target, *files, *options, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        await asyncio.wait_for(process.stdout.readuntil(b"ACCEPT"), 20)
        yield target
    finally:
        process.kill()
        await process.wait()


@pytest.mark.needs("openssl", "openssl")
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
async def test_a_server_that_is_too_old_says_so(authority: Authority, context: Context, version: str) -> None:
    old = (version, "-cipher", "ALL:@SECLEVEL=0")
    async with openssl_server(*old, certificate=authority.certificate(HERE)) as target:
        point = await run("tls", target, context)
    assert point.fields["error"] == Fault.TLS
    assert str(point.fields["error_detail"]).startswith("the server takes none of the TLS versions that were offered (")


async def test_a_server_without_tls_says_so(context: Context) -> None:
    async with plain_server(b"220 mail.example ESMTP\r\n") as port, banner_server() as spoken:
        point = await run("tls", spoken, context)
        silent = await run("tls", f"{HERE}:{port}", context, wait=0.2)
    assert point.fields["error"] == Fault.TLS
    assert str(point.fields["error_detail"]).startswith("what answers there doesn't speak TLS (")
    assert silent.fields["error_detail"] == "TLS was not agreed on within 0.2 s"


@asynccontextmanager
async def banner_server() -> AsyncIterator[str]:
    """Speaks first, as SSH does."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(handle, HERE, 0)
    async with server:
        yield f"{HERE}:{server.sockets[0].getsockname()[1]}"


async def test_a_mail_server_that_never_gets_to_tls_says_so(context: Context) -> None:
    async with silent_server() as port:
        point = await run("tls", f"{HERE}:{port}", context, starttls="smtp", wait=0.2)
    assert (point.fields["error"], point.fields["error_detail"]) == (
        Fault.TIMEOUT,
        "the server was not ready for TLS within 0.2 s",
    )
