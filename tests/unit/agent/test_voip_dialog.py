"""Where requests of a call go, and what answers mean."""

import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes.voip import domain_of
from streamswarm_agent.voip.dialog import Identity, cancelling, refused, routed
from streamswarm_core.wire.sip import Headers, Request, Response

PEER = "sip:600@192.0.2.9:5080"


def test_loose_routers_leave_the_target_and_strict_ones_take_its_place() -> None:
    # RFC 3261, 12.2.1.1 and its examples in 16.12.1.
    loose, strict = "<sip:p1.example.com;lr>", "<sip:p2.example.com>"
    assert routed(PEER, ()) == (PEER, ())
    assert routed(PEER, (loose, strict)) == (PEER, (loose, strict))
    assert routed(PEER, (strict, loose)) == ("sip:p2.example.com", [loose, f"<{PEER}>"])


def test_a_cancel_repeats_what_it_cancels() -> None:
    fields = [
        ("via", "SIP/2.0/UDP h;branch=z9hG4bK7"),
        ("from", "<sip:a@b>;tag=1"),
        ("to", f"<{PEER}>"),
        ("call-id", "x"),
        ("cseq", "3 INVITE"),
        ("contact", "<sip:a@h>"),
        ("proxy-authorization", "Digest x"),
    ]
    cancel = cancelling(Request("INVITE", PEER, Headers(fields), b"v=0"))
    assert (cancel.method, cancel.uri, cancel.body) == ("CANCEL", PEER, b"")
    assert cancel.headers.get("cseq") == "3 CANCEL"
    assert [name for name, _ in cancel.headers.fields] == ["via", "from", "to", "call-id", "cseq"]
    assert cancel.headers.get("via") == fields[0][1]


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (302, Fault.UNEXPECTED_ANSWER),
        (401, Fault.PROHIBITED),
        (404, Fault.UNEXPECTED_ANSWER),
        (408, Fault.TIMEOUT),
        (486, Fault.UNEXPECTED_ANSWER),
        (503, Fault.UNEXPECTED_ANSWER),
        (603, Fault.PROHIBITED),
    ],
)
def test_a_refusal_has_a_word_of_the_closed_set_and_the_servers_own(code: int, fault: Fault) -> None:
    found = refused("INVITE", Response(code, "Said So", Headers([("warning", '399 pbx "no licence"')])))
    assert found.fault is fault
    assert found.detail == f'INVITE was answered {code} Said So (399 pbx "no licence")'


def test_a_password_is_not_shown() -> None:
    assert "open, Sesame" not in repr(Identity("alice", "voip.example", "open, Sesame"))
    assert Identity("alice", "voip.example").address == "sip:alice@voip.example"


@pytest.mark.parametrize(
    ("target", "port", "domain"),
    [
        ("pbx.example", 5060, "pbx.example"),
        ("192.0.2.1", 5080, "192.0.2.1:5080"),
        ("[2001:db8::1]", 5060, "[2001:db8::1]"),
        ("fe80::1%eth0", 5080, "[fe80::1]:5080"),
    ],
)
def test_the_target_is_the_domain_unless_said(target: str, port: int, domain: str) -> None:
    assert domain_of(target, port) == domain
