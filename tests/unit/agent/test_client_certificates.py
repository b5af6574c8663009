"""The agent's own certificate, for servers that want one: whom it is shown to, and files that are none."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from pydantic import ValidationError

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes import Context
from streamswarm_core.probespecs import SPECS
from tests.lab.servers.certificates import Authority
from tests.lab.servers.web import server_context
from tests.support import find_free_port
from tests.unit.agent.running import run
from tests.unit.agent.servers import http_server as plain_server
from tests.unit.agent.servers import response

HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def own(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The agent's certificate, and its key in another file."""
    both = authority.certificate("agent.lab.test").read_text(encoding="ascii")
    begin = both.index("-----BEGIN CERTIFICATE-----")
    folder = tmp_path_factory.mktemp("own")
    (folder / "key.pem").write_text(both[:begin], encoding="ascii")
    (folder / "certificate.pem").write_text(both[begin:], encoding="ascii")
    return {"certificate_file": f"{folder}/certificate.pem", "certificate_key_file": f"{folder}/key.pem"}


@asynccontextmanager
async def picky_server(authority: Authority, newest: str | None = None) -> AsyncIterator[tuple[int, list[object]]]:
    """Answers over HTTPS those with a certificate of the authority, and nobody else; yields its port and who came."""
    tls = server_context(authority.certificate(HERE), newest=newest)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(authority.path)
    seen: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            seen.append(dict(writer.get_extra_info("peercert"))["subjectAltName"])
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response(200))
        writer.close()

    server = await asyncio.start_server(serve, HERE, 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


@pytest.mark.parametrize("newest", ["TLSv1_2", "TLSv1_3"])
async def test_a_server_that_wants_a_certificate_gets_the_agents(
    authority: Authority, own: dict[str, str], context: Context, newest: str
) -> None:
    trust = {"ca_file": str(authority.path)}
    async with picky_server(authority, newest) as (port, seen):
        url = f"https://{HERE}:{port}/"
        known = await run("http", url, context, **trust, **own)
        stranger = await run("http", url, context, **trust)
        shaken = await run("tls", f"{HERE}:{port}", context, **trust, **own)
    assert (known.fields["up"], shaken.fields["up"]) == (1, 1)
    assert seen[0] == (("DNS", "agent.lab.test"),)
    # Which of the two it is depends on whether the server's alert arrives before it closes.
    assert stranger.fields["error"] in {Fault.TLS, Fault.RESET}


async def test_the_agents_certificate_is_for_the_first_server_only(
    authority: Authority, own: dict[str, str], context: Context
) -> None:
    away = server_context(authority.certificate(HERE))
    away.verify_mode = ssl.CERT_OPTIONAL
    away.load_verify_locations(authority.path)
    shown: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(writer.get_extra_info("peercert"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response(200))
        writer.close()

    elsewhere = await asyncio.start_server(serve, HERE, 0, ssl=away)
    async with elsewhere:
        location = f"https://{HERE}:{elsewhere.sockets[0].getsockname()[1]}/"
        home = server_context(authority.certificate(HERE))
        async with plain_server(response(302, location=location), tls=home) as port:
            point = await run("http", f"https://{HERE}:{port}/", context, ca_file=str(authority.path), **own)
    assert (point.fields["up"], point.fields["redirects"], shown) == (1, 1, [None])


async def test_a_picky_server_with_a_certificate_that_cannot_be_verified_is_a_certificate_fault(
    authority: Authority, own: dict[str, str], context: Context
) -> None:
    async with picky_server(authority, "TLSv1_2") as (port, seen):
        point = await run("tls", f"{HERE}:{port}", context, **own)
    assert (point.fields["up"], point.fields["error"], seen) == (0, Fault.CERTIFICATE, [])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"certificate_file": "/nowhere/own.pem"}, "certificate_file: /nowhere/own.pem: No such file"),
        ({"certificate_key_file": "/nowhere/key.pem"}, "certificate_key_file: /nowhere/key.pem: No such file"),
        ({"certificate_key_file": "another"}, "its private key without a passphrase"),
        ({"certificate_key_file": "locked"}, "its private key without a passphrase"),
    ],
)
async def test_files_that_are_no_certificate_with_its_key_are_named(
    own: dict[str, str], context: Context, tmp_path: Path, wrong: dict[str, str], words: str
) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    kinds = {"another": NoEncryption(), "locked": BestAvailableEncryption(b"pass")}
    for name, encryption in kinds.items():
        (tmp_path / name).write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    given = {option: str(tmp_path / path) for option, path in wrong.items()}
    point = await run("tls", f"{HERE}:{find_free_port()}", context, **{**own, **given})
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.BAD_TARGET)
    assert words in str(point.fields["error_detail"])


@pytest.mark.parametrize("probe", ["tls", "http"])
def test_a_certificate_and_its_key_go_together(probe: str) -> None:
    with pytest.raises(ValidationError, match="certificate_file and certificate_key_file go together"):
        SPECS[probe].params.model_validate({"certificate_file": "/own.pem"})
