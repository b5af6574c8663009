"""SIP messages: real ones, broken ones, and any that can be made."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from streamswarm_core.wire.sip import (
    Headers,
    Request,
    Response,
    SipError,
    params_of,
    read_message,
    read_uri,
    split_list,
    unquote,
    uri_of,
)

# After the first message of RFC 4475 (3.1.1.1): odd, but right.
ODD = (
    b"\r\n\r\nINVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
    b"TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
    b'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
    b"MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : 5\r\ncseq: 0009\r\n  INVITE\r\n"
    b"Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\n"
    b"NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
    b"v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n"
    b"  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
    b'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n'
    b"      newvalue ;\r\n  secondparam ; q = 0.33\r\n\r\n"
    b"v=0\r\nmore than announced"
)


def test_an_odd_but_right_request_is_read() -> None:
    message = read_message(ODD)
    assert isinstance(message, Request)
    assert (message.method, message.uri) == ("INVITE", "sip:vivekg@chair-dnrc.example.com;unknownparam")
    assert params_of(message.headers.get("to") or "")["tag"] == "1918181833n"
    assert params_of(message.headers.get("from") or "")["tag"] == "98asjd8"
    assert (message.headers.get("cseq") or "").split() == ["0009", "INVITE"]
    assert [params_of(via).get("branch") for via in message.headers.all("via")] == [
        "390skdjuw",
        "z9hG4bK9ikj8",
        "z9hG4bK30239",
    ]
    (contact,) = message.headers.all("contact")
    assert uri_of(contact) == "sip:jdrosen@example.com"
    assert params_of(contact) == {"newparam": "newvalue", "secondparam": "", "q": "0.33"}
    assert message.body == b"v=0\r\n"


def head(start: str = "SIP/2.0 200 OK", more: str = "") -> bytes:
    fields = "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"
    fields += "Call-ID: x\r\nCSeq: 1 INVITE\r\n"
    return f"{start}\r\n{fields}{more}\r\n".encode()


def test_a_response_is_read() -> None:
    message = read_message(head("SIP/2.0 486 Busy Here"))
    assert isinstance(message, Response)
    assert (message.code, str(message)) == (486, "486 Busy Here")
    assert str(read_message(head("SIP/2.0 200 "))) == "200"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "empty line"),
        (b"\r\n\r\n", "empty line"),
        (head("SIP/2.0 2000 OK"), "status code"),
        (head("SIP/2.0 abc OK"), "status code"),
        (head("HTTP/1.1 200 OK"), "neither"),
        (head("INVITE sip:x SIP/3.0"), "neither"),
        (head("IN VITE sip:x SIP/2.0"), "neither"),
        (head(more="no colon here\r\n"), "header line"),
        (head(more="Content-Length: -1\r\n"), "Content-Length"),
        (head(more="Content-Length: 9\r\n"), "announced"),
        (b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n", "lacks from, to, call-id, cseq"),
        (head().replace(b"sip:a@b", b"sip:\xff@b"), "UTF-8"),
    ],
    ids=range(12),
)
def test_what_is_no_message_says_why(text: bytes, said: str) -> None:
    with pytest.raises(SipError, match=said):
        read_message(text)


names = some.from_regex(r"X-[A-Za-z0-9]{1,10}", fullmatch=True)
values = some.text(some.characters(blacklist_categories=("Cs", "Cc")), max_size=40).map(str.strip)
basic = [("via", "SIP/2.0/UDP h"), ("from", "<sip:a@b>"), ("to", "<sip:c@d>"), ("call-id", "x"), ("cseq", "1 INVITE")]


@given(some.lists(some.tuples(names, values), max_size=8), some.binary(max_size=200), some.integers(100, 699))
def test_what_is_written_is_read_again(fields: list[tuple[str, str]], body: bytes, code: int) -> None:
    headers = Headers([*basic, *fields])
    for message in (Request("INVITE", "sip:a@b", headers, body), Response(code, "Some Reason", headers, body)):
        again = read_message(bytes(message))
        assert type(again) is type(message)
        assert again.body == body
        assert again.headers.fields[:-1] == headers.fields  # Content-Length is the last


@given(some.binary(max_size=400))
def test_garbage_is_refused_and_nothing_worse(garbage: bytes) -> None:
    for text in (garbage, head() + garbage, head().replace(b"x", garbage, 1), ODD[: len(garbage)] + garbage):
        try:
            read_message(text)
        except SipError:
            continue


@given(some.text(max_size=60))
def test_parts_of_values_are_taken_apart_whatever_they_are(text: str) -> None:
    params_of(text)
    unquote(text)
    assert all(part for part in split_list(text))
    for read in (read_uri, uri_of):
        try:
            read(text)
        except SipError:
            continue


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("sip:a@pbx.example", "pbx.example", None),
        ("SIP:pbx.example:5070", "pbx.example", 5070),
        ("sip:a:secret@[2001:db8::1]:5060;lr?x=y", "2001:db8::1", 5060),
        ("sips:a@b", "b", None),
    ],
)
def test_a_uri_is_taken_apart(text: str, host: str, port: int | None) -> None:
    uri = read_uri(text)
    assert (uri.host, uri.port, uri.secure) == (host, port, text.startswith("sips"))


@pytest.mark.parametrize("text", ["", "tel:+123", "sip:", "sip:a@", "sip:a@b:0", "sip:a@b:99999", "sip:a b@c d"])
def test_what_is_no_sip_uri_is_refused(text: str) -> None:
    with pytest.raises(SipError):
        read_uri(text)
