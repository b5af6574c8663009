"""The http probe against servers that redirect oddly, hang up, flood, or speak something else."""

import asyncio
import gzip
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import brotli
import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.net.http.exchange import Request
from streamswarm_agent.probes import Context
from tests.lab.servers.certificates import Authority
from tests.lab.servers.http import http_server
from tests.lab.servers.web import server_context
from tests.support import find_free_port
from tests.unit.agent.running import run
from tests.unit.agent.servers import http_server as small_server
from tests.unit.agent.servers import noting_server, response, silent_server, tcp_server

HERE = "127.0.0.1"
DAY = 86_400
PHASES = ("connect", "request", "first_byte", "transfer")


@pytest.mark.parametrize("location", ["http://[bad", "http://127.0.0.1:99999999/"])
async def test_a_redirect_to_no_url_is_data(context: Context, location: str) -> None:
    async with small_server(response(302, location=location)) as port:
        point = await run("http", f"http://{HERE}:{port}/", context)
    assert point.fields["up"] == 0
    assert location in str(point.fields["error_detail"])


@pytest.mark.parametrize("written", ["/b%C3%BCcher%20und%20mehr?q=%C3%A4", "/bücher und mehr?q=ä"])
async def test_a_path_that_is_not_ascii_is_sent_in_percent_as_browsers_do(context: Context, written: str) -> None:
    async with noting_server(response(200)) as (port, seen):
        point = await run("http", f"http://{HERE}:{port}{written}", context)
    assert point.fields["up"] == 1
    assert seen[0].startswith(b"GET /b%C3%BCcher%20und%20mehr?q=%C3%A4 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/bücher#oben".encode(), b"GET /b%C3%BCcher HTTP/1.1\r\n"),
        ("/bücher#oben".encode("latin-1"), b"GET /b%FCcher HTTP/1.1\r\n"),
    ],
)
async def test_a_redirect_that_is_not_ascii_is_followed(context: Context, location: bytes, asked: bytes) -> None:
    redirect = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    async with noting_server(redirect, response(200)) as (port, seen):
        point = await run("http", f"http://{HERE}:{port}/", context)
    assert (point.fields["up"], point.fields["redirects"]) == (1, 1)
    assert seen[1].startswith(asked)


async def test_a_server_that_hangs_up_without_an_answer_is_a_reset_in_plain_words(context: Context) -> None:
    async with small_server(b"") as port:
        point = await run("http", f"http://{HERE}:{port}/", context)
    assert (point.fields["error"], point.fields["error_detail"]) == (
        Fault.RESET,
        "the server closed the connection without an answer",
    )


async def test_an_answer_that_is_no_http_says_so(context: Context) -> None:
    async with small_server(b"\x00\xff" * 100) as port:
        point = await run("http", f"http://{HERE}:{port}/", context)
    assert point.fields["error"] == Fault.PROTOCOL
    assert str(point.fields["error_detail"]).startswith("the answer is no valid HTTP: ")


@pytest.mark.parametrize(("scheme", "reached"), [("http", "no answer came"), ("https", "TLS was not agreed on")])
async def test_a_timeout_says_how_far_it_came(context: Context, scheme: str, reached: str) -> None:
    async with silent_server() as port:
        point = await run("http", f"{scheme}://{HERE}:{port}/", context, wait=0.3)
    assert point.fields["error"] == Fault.TIMEOUT
    assert reached in str(point.fields["error_detail"])


@contextmanager
def flooding_server(piece: bytes) -> Iterator[int]:
    """Sends a piece over and over, faster than anybody reads it; in a process of its own."""
    program = """
import socket, sys
piece = bytes.fromhex(sys.argv[1])
with socket.create_server(("127.0.0.1", 0)) as listening:
    print(listening.getsockname()[1], flush=True)
    connection, _ = listening.accept()
    connection.recv(4096)
    while True:
        connection.sendall(piece)
"""
    argv = [sys.executable, "-c", program, piece.hex()]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def test_a_server_that_floods_does_not_stop_the_clock(context: Context) -> None:
    with flooding_server(b"HTTP/1.1 100 Continue\r\n\r\n" * 100) as port:
        point = await run("http", f"http://{HERE}:{port}/", context, wait=0.5)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.TIMEOUT)


@pytest.mark.parametrize("status", [b"abc", b"-01", b"\xc2\xb2\xc2\xb2"])
async def test_a_status_that_is_none_is_a_fault_in_http2_too(
    authority: Authority, context: Context, status: bytes
) -> None:
    # An empty SETTINGS, then HEADERS with END_STREAM and END_HEADERS: ":status" by index, and a literal.
    block = b"\x08" + bytes([len(status)]) + status
    answer = bytes(3) + b"\4" + bytes(5) + bytes([0, 0, len(block), 1, 5, 0, 0, 0, 1]) + block
    tls = server_context(authority.certificate(HERE), protocols=("h2",))
    async with small_server(answer, tls=tls) as port:
        point = await run("http", f"https://{HERE}:{port}/", context, ca_file=str(authority.path))
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.PROTOCOL)
    assert "is no status" in str(point.fields["error_detail"])


async def test_port_0_is_not_taken_for_the_schemes_own(context: Context) -> None:
    point = await run("http", f"http://{HERE}:0/", context)
    assert (point.fields["error"], point.fields["error_detail"]) == (
        Fault.BAD_TARGET,
        f"'http://{HERE}:0/': a port is from 1 to 65535",
    )


def test_host_is_without_an_interface_and_in_ascii() -> None:
    authorities = [
        Request("GET", urlsplit(f"http://{authority}/")).authority
        for authority in ("[fe80::1%25lo]:8080", "[::1]", "bücher.example:81", "bücher.example", "u:p@h.example")
    ]
    assert authorities == ["[fe80::1]:8080", "[::1]", "xn--bcher-kva.example:81", "xn--bcher-kva.example", "h.example"]


async def test_a_url_names_an_interface_as_rfc_6874_has_it(context: Context) -> None:
    point = await run("http", "http://[fe80::1%25nope0]:8080/", context)
    assert "this host has no interface nope0" in str(point.fields["error_detail"])


TEXT = bytes(range(256)) * 20
BARE_DEFLATE = zlib.compress(TEXT)[2:-4]


def chunked(body: bytes, encoding: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: {encoding}\r\n\r\n"
    return head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def until_closed(body: bytes, encoding: str) -> bytes:
    return f"HTTP/1.0 200 OK\r\nContent-Encoding: {encoding}\r\n\r\n".encode() + body


def counted(body: bytes, encoding: str) -> bytes:
    return response(200, body, **{"Content-Encoding": encoding})


@pytest.mark.parametrize("framing", [counted, chunked, until_closed])
@pytest.mark.parametrize(
    ("encoding", "whole"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT) * 2),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", BARE_DEFLATE),
        ("br", brotli.compress(TEXT)),
    ],
    ids=["gzip", "gzip in two members", "deflate", "deflate without a header", "brotli"],
)
async def test_a_packed_body_that_is_cut_short_is_down_however_its_length_is_told(
    context: Context, framing: Callable[[bytes, str], bytes], encoding: str, whole: bytes
) -> None:
    async with small_server(framing(whole, encoding), framing(whole[:-1], encoding)) as port:
        url = f"http://{HERE}:{port}/"
        good, short = await run("http", url, context), await run("http", url, context)
    assert (good.fields["up"], int(good.fields["decoded"]) % len(TEXT)) == (1, 0)
    assert (short.fields["up"], short.fields["error"], short.fields["status"]) == (0, Fault.PROTOCOL, 200)
    assert f"the body is cut short: its {encoding} has no end" in str(short.fields["error_detail"])


@pytest.mark.parametrize("http2", [True, False])
@pytest.mark.parametrize("requests", [1, 3])
async def test_a_packed_body_that_is_cut_short_is_down_over_tls_and_http2(
    authority: Authority, context: Context, http2: bool, requests: int
) -> None:
    with http_server(certificate=authority.certificate(HERE), http2=http2) as site:
        url = f"https://{HERE}:{site.port}/unfinished"
        options = {"ca_file": str(authority.path), "requests": requests}
        point = await run("http", url, context, **options)
    assert point.fields["protocol"] == ("HTTP/2" if http2 else "HTTP/1.1")
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.PROTOCOL)
    assert "cut short" in str(point.fields["error_detail"])


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_an_answer_that_has_no_body_need_not_be_packed(context: Context, encoding: str) -> None:
    async with small_server(counted(b"", encoding)) as port:
        got = await run("http", f"http://{HERE}:{port}/", context)
        asked = await run("http", f"http://{HERE}:{port}/", context, method="HEAD")
    assert (got.fields["up"], asked.fields["up"]) == (1, 1)


async def test_a_body_of_which_enough_was_read_need_not_end(context: Context) -> None:
    async with small_server(counted(gzip.compress(b"a" * 500_000)[:-20], "gzip")) as port:
        point = await run("http", f"http://{HERE}:{port}/", context, max_body=100_000)
    assert (point.fields["up"], point.fields["cut"]) == (1, 1)


async def test_the_last_bytes_of_a_body_are_unpacked_though_all_of_it_has_been_taken_in(context: Context) -> None:
    size = 65_536 + 40
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(b"a" * size) + packer.flush()
    async with small_server(counted(packed, "deflate")) as port:
        point = await run("http", f"http://{HERE}:{port}/", context)
    assert (point.fields["up"], point.fields["decoded"]) == (1, size)


async def test_a_fault_after_a_redirect_says_which_server_it_is_of_or_which_page_and_no_query(context: Context) -> None:
    gone = find_free_port()
    for location in (f"http://kim:s3cret@{HERE}:{gone}/private?token=t0ken", "/login?next=s3cret"):
        async with small_server(response(302, location=location), response(503)) as port:
            point = await run("http", f"http://{HERE}:{port}/", context)
        detail = str(point.fields["error_detail"])
        assert point.fields["redirects"] == 1
        if location.startswith("/"):
            assert detail == "redirected to /login: status 503 instead of 2xx"
        else:
            assert (point.fields["error"], detail) == (
                Fault.REFUSED,
                f"redirected to http://{HERE}:{gone}: Connection refused",
            )
    async with (
        small_server(response(503)) as away,
        small_server(response(302, location=f"http://{HERE}:{away}/")) as port,
    ):
        point = await run("http", f"http://{HERE}:{port}/", context)
    assert point.fields["error_detail"] == f"redirected to http://{HERE}:{away}: status 503 instead of 2xx"


@pytest.mark.parametrize("location", ["ftp://files.test/", "mailto:kim", f"http://{HERE}:0/"])
async def test_a_redirect_to_what_is_no_web_server_is_the_servers_fault_and_not_the_targets(
    context: Context, location: str
) -> None:
    async with small_server(response(302, location=location)) as port:
        point = await run("http", f"http://{HERE}:{port}/", context)
    assert point.fields["error"] == Fault.UNEXPECTED_ANSWER
    assert str(point.fields["error_detail"]).startswith(f"the server redirects to nowhere: {location!r}")


async def test_a_server_that_speaks_something_else_and_waits_is_not_said_to_be_silent(context: Context) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test ESMTP\r\n")
        await reader.read(-1)

    async with tcp_server(greet) as target:
        point = await run("http", f"http://{target}/", context, wait=0.3)
    assert point.fields["error"] == Fault.TIMEOUT
    assert "what came is not the head of an HTTP answer" in str(point.fields["error_detail"])


SETTINGS = bytes(3) + b"\4" + bytes(5)
RESET = bytes([0, 0, 4, 3, 0, 0, 0, 0, 1])
GO_AWAY = bytes([0, 0, 8, 7, 0, 0, 0, 0, 0]) + bytes(4)


@pytest.mark.parametrize(
    ("frame", "code", "fault", "words"),
    [
        (RESET, 7, Fault.RESET, "the server reset the stream with REFUSED_STREAM"),
        (RESET, 13, Fault.RESET, "the server reset the stream with HTTP_1_1_REQUIRED: set http2 to false"),
        (GO_AWAY, 11, Fault.PROTOCOL, "the server ended HTTP/2 with ENHANCE_YOUR_CALM"),
        (GO_AWAY, 77, Fault.PROTOCOL, "the server ended HTTP/2 with error 77"),
    ],
)
async def test_an_error_of_http2_has_its_name(
    authority: Authority, context: Context, frame: bytes, code: int, fault: Fault, words: str
) -> None:
    tls = server_context(authority.certificate(HERE), protocols=("h2",))
    async with small_server(SETTINGS + frame + bytes([0, 0, 0, code]), tls=tls) as port:
        point = await run("http", f"https://{HERE}:{port}/", context, ca_file=str(authority.path))
    assert (point.fields["error"], point.fields["error_detail"]) == (fault, words)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "switches to another protocol",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel",
            "before the body was complete (received 3 bytes, expected 9)",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "before the body was complete (incomplete chunked read)",
        ),
        (b"<html>hello</html>", "before the head of its answer was complete, or speaks no HTTP"),
    ],
)
async def test_what_ends_an_answer_is_said_in_words_about_the_answer(context: Context, said: bytes, words: str) -> None:
    async with small_server(said) as port:
        point = await run("http", f"http://{HERE}:{port}/", context)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.PROTOCOL)
    assert words in str(point.fields["error_detail"])
