"""The http probe against real servers on loopback that answer as their addresses say."""

import base64
import gzip
import zlib
from collections.abc import Callable, Iterator

import brotli
import pytest
from pydantic import ValidationError

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes import Context
from streamswarm_core.probespecs import REVEAL, HttpParams
from tests.lab.servers.certificates import Authority
from tests.lab.servers.http import http_server
from tests.lab.servers.running import Running
from tests.unit.agent.running import run, seconds
from tests.unit.agent.servers import http_server as small_server
from tests.unit.agent.servers import noting_server, response

HERE = "127.0.0.1"
DAY = 86_400
PHASES = ("connect", "request", "first_byte", "transfer")


@pytest.fixture(scope="module")
def site(authority: Authority) -> Iterator[Running]:
    with http_server(certificate=authority.certificate(HERE, "www.lab.test")) as running:
        yield running


@pytest.fixture(scope="module")
def plain() -> Iterator[Running]:
    with http_server() as running:
        yield running


@pytest.mark.parametrize(("http2", "protocol"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
async def test_both_versions_of_http_are_spoken_and_split_into_phases(
    site: Running, authority: Authority, context: Context, http2: bool, protocol: str
) -> None:
    url = f"https://{HERE}:{site.port}/slow?first_byte_ms=200&between_ms=20&chunks=3"
    point = await run("http", url, context, ca_file=str(authority.path), http2=http2)
    assert (point.fields["up"], point.fields["status"], point.fields["protocol"]) == (1, 200, protocol)
    assert (point.fields["body"], point.fields["content_length"], point.fields["cut"]) == (21, 21, 0)
    # The server's pauses; on a busy machine a part of one is counted with the phase before.
    assert seconds(point, "request", "first_byte") >= 0.2
    assert seconds(point, "request", "first_byte", "transfer") >= 0.24
    assert 0 < float(point.fields["transfer"]) < float(point.fields["first_byte"])
    assert 0 < seconds(point, "tls", *PHASES) <= float(point.fields["total"])
    assert point.fields["certificate_expires_in"] == pytest.approx(30 * DAY, abs=8640)


@pytest.mark.parametrize("http2", [True, False])
async def test_redirects_are_followed_and_their_phases_summed(
    site: Running, authority: Authority, context: Context, http2: bool
) -> None:
    url = f"https://{HERE}:{site.port}/redirect/3"
    point = await run("http", url, context, ca_file=str(authority.path), http2=http2)
    assert (point.fields["up"], point.fields["redirects"], point.fields["body"]) == (1, 3, 19)
    stopped = await run("http", url, context, ca_file=str(authority.path), follow_redirects=0, expect_status=[302])
    assert (stopped.fields["up"], stopped.fields["redirects"], stopped.fields["status"]) == (1, 0, 302)


@pytest.mark.parametrize("http2", [True, False])
async def test_further_requests_go_over_the_kept_connection(
    site: Running, authority: Authority, context: Context, http2: bool
) -> None:
    url = f"https://{HERE}:{site.port}/bytes/200000"
    point = await run("http", url, context, ca_file=str(authority.path), http2=http2, requests=4)
    assert (point.fields["up"], point.fields["requests"], point.fields["reused"]) == (1, 4, 1.0)
    assert float(point.fields["repeat"]) > 0
    assert point.fields["body"] == 200_000


async def test_a_server_that_closes_each_connection_is_not_reused(plain: Running, context: Context) -> None:
    point = await run("http", f"http://{HERE}:{plain.port}/close", context, requests=3)
    assert (point.fields["up"], point.fields["requests"], point.fields["reused"]) == (1, 3, 0.0)


async def test_a_connection_that_was_closed_behind_our_back_is_opened_again(context: Context) -> None:
    # This one promises to keep the connection, and closes it.
    async with small_server(response(200, b"x")) as port:
        point = await run("http", f"http://{HERE}:{port}/", context, requests=3)
    assert (point.fields["up"], point.fields["requests"], point.fields["reused"]) == (1, 3, 0.0)


@pytest.mark.parametrize("http2", [True, False])
async def test_compression_is_measured(site: Running, authority: Authority, context: Context, http2: bool) -> None:
    url = f"https://{HERE}:{site.port}/text/50000"
    packed = await run("http", url, context, ca_file=str(authority.path), http2=http2, body_matches=["no play all"])
    bare = await run("http", url, context, ca_file=str(authority.path), http2=http2, compression=False)
    length = len(gzip.compress((b"all work and no play " * 2400)[:50_000], mtime=0))
    assert (packed.fields["up"], packed.fields["body"], packed.fields["decoded"]) == (1, length, 50_000)
    assert packed.fields["compression"] == pytest.approx(length / 50_000)
    assert (bare.fields["body"], bare.fields["decoded"]) == (50_000, 50_000)
    assert "compression" not in bare.fields


def deflated(text: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(text) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("deflate", deflated(b"hello" * 100, 15)),
        ("deflate", deflated(b"hello" * 100, -15)),
        ("x-gzip", gzip.compress(b"hello" * 50, mtime=0) * 2),
        ("br", brotli.compress(b"hello" * 100)),
    ],
    ids=["deflate with a zlib header", "deflate without", "gzip in two members", "brotli"],
)
async def test_the_ways_that_servers_pack_are_unpacked(encoding: str, body: bytes, context: Context) -> None:
    async with noting_server(response(200, body, **{"Content-Encoding": encoding})) as (port, _):
        point = await run("http", f"http://{HERE}:{port}/", context)
    assert (point.fields["up"], point.fields["decoded"], point.fields["body"]) == (1, 500, len(body))


@pytest.mark.parametrize(
    ("encoding", "pack", "most"), [("gzip", gzip.compress, 65_536), ("br", brotli.compress, 131_072)]
)
async def test_a_small_body_that_unpacks_to_a_large_one_is_cut(
    context: Context, encoding: str, pack: Callable[[bytes], bytes], most: int
) -> None:
    bomb = pack(bytes(50_000_000))
    assert len(bomb) < 60_000
    async with noting_server(response(200, bomb, **{"Content-Encoding": encoding})) as (port, _):
        point = await run("http", f"http://{HERE}:{port}/", context, max_body=100_000)
    assert (point.fields["up"], point.fields["cut"]) == (1, 1)
    assert 100_000 < int(point.fields["decoded"]) <= 100_000 + most


@pytest.mark.parametrize("http2", [True, False])
async def test_reading_stops_where_it_was_told_to(
    site: Running, authority: Authority, context: Context, http2: bool
) -> None:
    url = f"https://{HERE}:{site.port}/bytes/5000000"
    point = await run("http", url, context, ca_file=str(authority.path), http2=http2, max_body=10_000)
    assert (point.fields["cut"], point.fields["content_length"]) == (1, 5_000_000)
    assert 10_000 < int(point.fields["body"]) < 1_000_000


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", b"plain"), ("br", b"plain text, not packed"), ("br", brotli.compress(b"hello") + b"more")],
)
async def test_what_is_packed_otherwise_than_it_says_is_a_protocol_fault(
    context: Context, encoding: str, body: bytes
) -> None:
    async with noting_server(response(200, body, **{"Content-Encoding": encoding})) as (port, _):
        point = await run("http", f"http://{HERE}:{port}/", context)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.PROTOCOL)
    assert f"the body is no {encoding}" in str(point.fields["error_detail"])


@pytest.mark.parametrize(
    ("path", "expectation", "check", "detail"),
    [
        ("/", {"body_matches": ["^hello .*lab$"]}, None, ""),
        ("/", {"body_matches": ["hello", "good-bye"]}, "body", "'good-bye' is not in the body"),
        ("/", {"body_lacks": ["hel+o"]}, "body", "'hel+o' is in the body"),
        ("/", {"header_matches": {"Content-Type": "^text/"}}, None, ""),
        ("/", {"header_matches": {"x-missing": "."}}, "header", "'.' is not in the header x-missing"),
        ("/", {"header_lacks": {"content-type": "plain"}}, "header", "'plain' is in the header content-type"),
        ("/", {"header_lacks": {"x-missing": "."}}, None, ""),
        ("/status/503", {}, "status", "status 503 instead of 2xx"),
        ("/status/503", {"expect_status": [500, 503]}, None, ""),
        ("/", {"expect_protocols": ["HTTP/2"]}, "protocol", "HTTP/1.1 instead of HTTP/2"),
        ("/", {"expect_tls": True}, "tls", "without TLS"),
        ("/", {"expect_tls": False}, None, ""),
    ],
)
async def test_an_answer_is_held_against_what_is_expected(
    plain: Running, context: Context, path: str, expectation: dict[str, object], check: str | None, detail: str
) -> None:
    point = await run("http", f"http://{HERE}:{plain.port}{path}", context, **expectation)
    assert (point.fields["up"], point.fields.get("failed_check")) == (int(check is None), check)
    assert {"status", *PHASES} <= set(point.fields)
    if check:
        assert point.fields["error"] == Fault.UNEXPECTED_ANSWER
        assert detail in str(point.fields["error_detail"])


@pytest.mark.parametrize("http2", [True, False])
@pytest.mark.parametrize(("method", "size"), [("POST", 5), ("PUT", 300_000), ("DELETE", 0), ("HEAD", 0)])
async def test_methods_and_bodies_are_sent(
    site: Running, authority: Authority, context: Context, http2: bool, method: str, size: int
) -> None:
    asking = {"ca_file": str(authority.path), "http2": http2, "method": method, "body": "x" * size}
    point = await run("http", f"https://{HERE}:{site.port}/", context, **asking)
    assert (point.fields["up"], point.fields["body"]) == (1, 0 if method == "HEAD" else 19)


async def test_the_request_is_as_the_options_say(context: Context) -> None:
    async with noting_server(response(200)) as (port, seen):
        url = f"http://{HERE}:{port}/a/b?c=d#e"
        await run("http", url, context, method="POST", body="{}", headers={"Content-Type": "application/json"})
        await run("http", url, context, headers={"Host": "other.test", "User-Agent": "me"}, compression=False)
        await run("http", url, context, username="kim", password="s3cret")
        await run("http", url, context, bearer_token="t0ken")
    post, hosted, basic, bearer = (request.lower() for request in seen)
    assert post.startswith(b"post /a/b?c=d http/1.1\r\n")
    assert post.endswith(b"\r\n\r\n{}")
    assert b"content-type: application/json\r\n" in post
    assert f"host: {HERE}:{port}\r\n".encode() in post
    assert b"user-agent: streamswarm\r\n" in post
    assert b"host: other.test\r\n" in hosted
    assert b"user-agent: me\r\n" in hosted
    assert b"accept-encoding: identity\r\n" in hosted
    assert b"authorization: basic " + base64.b64encode(b"kim:s3cret").lower() in basic
    assert b"authorization: bearer t0ken\r\n" in bearer


async def test_a_redirect_elsewhere_does_not_carry_credentials_along(context: Context) -> None:
    async with noting_server(response(200)) as (elsewhere, there):
        moved = response(302, Location=f"http://{HERE}:{elsewhere}/x")
        async with noting_server(response(302, Location="/here"), moved) as (port, here):
            private = dict.fromkeys(("Cookie", "X-Auth-Token", "Private-Key", "X-Session", "apikey"), "a=b")
            headers = private | {"Accept-Language": "de"}
            point = await run("http", f"http://{HERE}:{port}/", context, bearer_token="t0ken", headers=headers)
    assert (point.fields["up"], point.fields["redirects"]) == (1, 2)
    assert all(b"t0ken" in request and request.count(b"a=b") == len(private) for request in here)
    assert not any(b"t0ken" in request or b"a=b" in request for request in there)
    assert b"accept-language: de" in there[0].lower()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("X-Auth-Token", False),
        ("PRIVATE-TOKEN", False),
        ("X-Vault-Token", False),
        ("Ocp-Apim-Subscription-Key", False),
        ("X-Session-Id", False),
        ("Proxy-Authorization", False),
        ("Accept-Language", True),
        ("X-Forwarded-Proto", True),
    ],
)
async def test_no_header_that_reads_like_a_secret_goes_along_to_another_server(
    context: Context, name: str, kept: bool
) -> None:
    async with (
        noting_server(response(200)) as (elsewhere, there),
        noting_server(response(302, Location=f"http://{HERE}:{elsewhere}/x")) as (port, here),
    ):
        point = await run("http", f"http://{HERE}:{port}/", context, headers={name: "v4lue"})
    assert (point.fields["up"], point.fields["redirects"]) == (1, 1)
    assert b"v4lue" in here[0]
    assert (b"v4lue" in there[0]) == kept


@pytest.mark.parametrize(("status", "method", "body"), [(303, b"GET", b""), (302, b"GET", b""), (307, b"POST", b"{}")])
async def test_a_redirected_post_stays_one_only_where_it_should(
    context: Context, status: int, method: bytes, body: bytes
) -> None:
    async with noting_server(response(status, Location="/next"), response(200)) as (port, seen):
        point = await run("http", f"http://{HERE}:{port}/", context, method="POST", body="{}")
    assert point.fields["up"] == 1
    assert seen[1].startswith(method)
    assert seen[1].endswith(b"\r\n\r\n" + body)


async def test_secrets_are_in_no_point_and_no_error(context: Context) -> None:
    async with noting_server(response(401)) as (port, _):
        point = await run("http", f"http://{HERE}:{port}/", context, username="kim", password="s3cret")
    assert "s3cret" not in repr(point)
    in_url = await run("http", f"http://kim:s3cret@{HERE}/", context)
    assert in_url.fields["error"] == Fault.BAD_TARGET
    assert "s3cret" not in str(in_url.fields["error_detail"])
    params = HttpParams(username="kim", password="s3cret")
    assert "s3cret" not in repr(params)
    assert "s3cret" not in params.model_dump_json()
    assert params.model_dump(mode="json", context=REVEAL)["password"] == "s3cret"


async def test_a_name_of_its_own_for_tls_and_host(site: Running, authority: Authority, context: Context) -> None:
    url, trust = f"https://{HERE}:{site.port}/", str(authority.path)
    right = await run("http", url, context, ca_file=trust, server_name="www.lab.test")
    wrong = await run("http", url, context, ca_file=trust, server_name="other.test")
    assert right.fields["up"] == 1
    assert (wrong.fields["error"], wrong.fields["certificate_fault"]) == (Fault.CERTIFICATE, "wrong_name")


async def test_nothing_is_said_to_a_server_that_cannot_be_verified(authority: Authority, context: Context) -> None:
    with http_server(certificate=authority.certificate(HERE, kind="expired")) as server:
        url, trust = f"https://{HERE}:{server.port}/", str(authority.path)
        strict = await run("http", url, context, ca_file=trust, bearer_token="t0ken")
        lax = await run("http", url, context, verify_tls=False)
    assert (strict.fields["error"], strict.fields["certificate_fault"]) == (Fault.CERTIFICATE, "expired")
    assert {"connect", "tls", "certificate_expires_in"} <= set(strict.fields)
    assert not {"status", "request"} & set(strict.fields)
    assert lax.fields["up"] == 1
    assert lax.fields["certificate_expires_in"] == pytest.approx(-DAY, abs=8640)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Fault.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Fault.PROTOCOL),
        (b"", Fault.RESET),
    ],
)
async def test_an_answer_that_breaks_off_is_a_fault(said: bytes, fault: Fault, context: Context) -> None:
    async with small_server(said) as port:
        point = await run("http", f"http://{HERE}:{port}/", context)
    assert (point.fields["up"], point.fields["error"]) == (0, fault)


async def test_a_server_is_reached_over_ipv6(context: Context) -> None:
    with http_server(host="::1") as server:
        point = await run("http", f"http://[::1]:{server.port}/", context)
    assert (point.fields["up"], point.tags["family"]) == (1, "ipv6")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"password": "x"}, "a password needs a username"),
        ({"username": "a", "bearer_token": "b"}, "not both"),
        ({"bearer_token": "a\r\nb"}, "printable ASCII"),
        ({"body": "x"}, "GET has no body"),
        ({"headers": {"Content-Length": "3"}}, "follows from the request"),
        ({"headers": {"a b": "3"}}, "should match pattern"),
        ({"headers": {"a": "b\r\nc: d"}}, "should match pattern"),
        ({"ca_file": "relative.pem"}, "should match pattern"),
    ],
)
def test_options_that_do_not_go_together_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as refused:
        HttpParams.model_validate(wrong)
    assert "a\r\nb" not in str(refused.value)
