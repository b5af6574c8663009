"""Messages as real servers get them."""

import gzip
import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from jsonschema import Draft202012Validator, FormatChecker
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from streamswarm_controlplane.app import describe
from streamswarm_controlplane.notifications.events import MessageKind
from streamswarm_controlplane.notifications.guard import Guard
from streamswarm_controlplane.notifications.models import Alert
from streamswarm_controlplane.notifications.routing import message
from streamswarm_controlplane.notifications.senders import DeliveryError, Senders, trusted
from streamswarm_controlplane.notifications.signing import verify
from streamswarm_core import outbound
from tests.blackhole import leading_nowhere
from tests.dripping import dripping
from tests.support import find_free_port, serve_app
from tests.unit.controlplane.notifications.tools import NOON, SECRET, SHAPE, Receiver, loopback_senders

# The connection is TLS from its first byte, which aiosmtpd doesn't count as such.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
USER, SECRET_WORD = "streamswarm", "a mail word of its own"


def make_payload(summary: str = "Ping is down <b>&</b> out") -> dict[str, Any]:
    alert = Alert(
        id="a1",
        fingerprint="f1",
        event="test_down",
        severity="critical",
        labels={"agent": "berlin-1", "target": "<script>alert(1)</script>"},
        summary=summary,
        detail="timeout: no reply\r\nBcc: someone@else.test",
        unit="",
        opened_at=NOON,
        close_reason="",
        acknowledged_by="",
    )
    return message(MessageKind.OPENED, [alert], SHAPE, NOON, rule="NOC", group={"agent": "berlin-1"}, thread="t1")


def post(receiver: Receiver, senders: Senders | None = None, path: str = "/hook?x=1", **secrets: Any) -> None:
    settings = {"url": receiver.url + path}
    (senders or loopback_senders()).send("webhook", settings, {"secret": SECRET, **secrets}, "m1", make_payload())


def test_a_webhook_is_signed_json_with_the_message_id(receiver: Receiver) -> None:
    post(receiver, headers={"Authorization": "Bearer x"})
    (got,) = receiver.requests
    assert verify(SECRET, got.headers, got.body, time.time())
    assert got.headers["webhook-id"] == json.loads(got.body)["id"] == "m1"
    assert (got.headers["content-type"], got.headers["authorization"]) == ("application/json", "Bearer x")
    assert got.headers["host"] == receiver.url.removeprefix("http://")
    document = json.loads(got.body)
    assert (document["type"], document["kind"], document["time"]) == (
        "streamswarm.alerts",
        "opened",
        "2026-03-01T12:00:00Z",
    )
    assert document["alerts"][0]["labels"]["agent"] == "berlin-1"
    described = describe()
    sent = described["webhooks"]["alerts"]["post"]
    schema = sent["requestBody"]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**schema, "components": described["components"]}, format_checker=FormatChecker())
    validator.validate(document)
    assert set(described["components"]["schemas"]["WebhookMessage"]["required"]) == set(document)
    assert set(described["components"]["schemas"]["WebhookAlert"]["required"]) == set(document["alerts"][0])
    headers = {one["name"] for one in sent["parameters"] if one["required"]}
    assert headers == {name for name in got.headers if name.startswith("webhook-")}


def test_a_webhook_to_this_host_is_refused_unless_it_is_allowed(receiver: Receiver) -> None:
    with pytest.raises(DeliveryError, match="webhooks may not reach"):
        post(receiver, Senders(Guard(), ssl.create_default_context()))
    assert receiver.requests == []


def test_a_webhook_whose_first_address_leads_nowhere_is_sent_to_the_next(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "CONNECT_SECONDS", 0.2)
    port = int(receiver.url.rpartition(":")[2])
    with leading_nowhere("hooks.test", port, monkeypatch):
        post(replace(receiver, url=f"http://hooks.test:{port}"))
    assert len(receiver.requests) == 1


def test_an_answer_that_is_no_success_says_so_and_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answers = [
        PlainTextResponse("slow\ndown", 429, {"Retry-After": "77"}),
        RedirectResponse("/elsewhere", 307),
    ]
    with pytest.raises(DeliveryError, match="HTTP 429: slow down") as refused:
        post(receiver)
    assert refused.value.retry_after == 77
    with pytest.raises(DeliveryError, match="redirects, which isn't followed"):
        post(receiver)
    assert [one.path for one in receiver.requests] == ["/hook", "/hook"]


def test_an_answer_that_comes_packed_is_not_unpacked(receiver: Receiver) -> None:
    packed = gzip.compress(b"unpacked words " * 1_000_000)
    receiver.answers = [Response(packed, 500, headers={"Content-Encoding": "gzip"})]
    with pytest.raises(DeliveryError) as failed:
        post(receiver)
    assert str(failed.value) == "127.0.0.1: HTTP 500"
    assert receiver.requests[0].headers["accept-encoding"] == "identity"


def test_nobody_there_is_an_error_that_names_the_host() -> None:
    gone = Receiver(url=f"http://127.0.0.1:{find_free_port()}")
    with pytest.raises(DeliveryError, match=r"^127\.0\.0\.1: .*(refused|failed)"):
        post(gone)


def test_a_webhook_by_tls_checks_the_certificate_for_the_name_and_not_the_address(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("hooks.test").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    receiver = Receiver()
    from starlette.applications import Starlette  # noqa: PLC0415 - only this test serves one by TLS
    from starlette.routing import Route  # noqa: PLC0415

    app = Starlette(routes=[Route("/{path:path}", receiver.take, methods=["POST"])])
    guard = Guard(Guard.parse("127.0.0.0/8")._allowed, resolver=lambda _host, _port: ["127.0.0.1"])
    senders = Senders(guard, trusted(str(tmp_path / "ca.pem")))
    with serve_app(app, ssl_certfile=str(tmp_path / "server.pem")) as url:
        port = url.rpartition(":")[2]
        receiver.url = f"https://hooks.test:{port}"
        post(receiver, senders)
        assert receiver.requests[0].headers["host"] == f"hooks.test:{port}"
        receiver.url = f"https://other.test:{port}"
        with pytest.raises(DeliveryError, match=r"other\.test: .*certificate"):
            post(receiver, senders)
        receiver.url = f"https://hooks.test:{port}"
        with pytest.raises(DeliveryError, match="certificate"):
            post(receiver, Senders(guard, ssl.create_default_context()))


def test_a_chat_message_has_no_mentions_or_links_of_others(receiver: Receiver) -> None:
    loopback_senders().send(
        "slack", {}, {"url": f"{receiver.url}/services/T/B/x"}, "m1", make_payload("<!channel> down")
    )
    document = json.loads(receiver.requests[0].body)
    assert document["text"] == "[StreamSwarm] Open: &lt;!channel&gt; down"
    assert "<" not in json.dumps(document)
    assert document["attachments"][0]["color"] == "#b3261e"


@dataclass
class Mailbox:
    """What a mail server took."""

    envelopes: list[Envelope] = field(default_factory=list)
    tls: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it so
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address.startswith("gone@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        self.tls.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 taken"

    def newest(self) -> EmailMessage:
        content = self.envelopes[-1].content
        assert isinstance(content, bytes)
        return message_from_bytes(content, policy=policy.default)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def senders(authority: trustme.CA, tmp_path: Path) -> Senders:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return loopback_senders(trusted(str(tmp_path / "ca.pem")))


def check_login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), SECRET_WORD.encode())
    return AuthResult(success=good, handled=False)


@pytest.fixture(params=["starttls", "tls", "none"])
def mail_server(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[tuple[Mailbox, dict[str, Any]]]:
    security = str(request.param)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    box = Mailbox()
    more: dict[str, Any] = {}
    if security == "starttls":
        more = {"tls_context": context, "require_starttls": True, "authenticator": check_login, "auth_required": True}
    elif security == "tls":
        more = {"ssl_context": context, "authenticator": check_login, "auth_required": True, "auth_require_tls": False}
    controller = Controller(box, hostname="127.0.0.1", port=find_free_port(), server_hostname="mail.test", **more)
    controller.start()
    settings = {
        "host": "localhost",
        "port": controller.port,
        "security": security,
        "username": "" if security == "none" else USER,
        "sender": "noc@streamswarm.test",
        "recipients": ["one@example.test", "two@example.test"],
    }
    yield box, settings
    controller.stop()


WITH_TLS = pytest.mark.parametrize("mail_server", ["starttls", "tls"], indirect=True)


def test_a_mail_arrives_by_each_kind_of_connection(
    mail_server: tuple[Mailbox, dict[str, Any]], senders: Senders
) -> None:
    box, settings = mail_server
    password = SECRET_WORD if settings["username"] else ""
    senders.send("email", settings, {"password": password}, "m1", make_payload())
    assert box.tls == [settings["security"] != "none"]
    assert box.envelopes[0].rcpt_tos == ["one@example.test", "two@example.test"]
    mail = box.newest()
    assert mail["Message-ID"] == "<m1@streamswarm.test>"
    assert (mail["References"], mail["Auto-Submitted"]) == ("<t1@streamswarm.test>", "auto-generated")
    assert mail["Bcc"] is None
    plain, markup = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert markup is not None
    assert "[critical] Ping is down <b>&</b> out" in plain.get_content()
    assert "&lt;script&gt;" in markup.get_content()
    assert "<script" not in markup.get_content()


@WITH_TLS
def test_a_wrong_password_is_an_error_that_does_not_hold_it(
    mail_server: tuple[Mailbox, dict[str, Any]], senders: Senders
) -> None:
    box, settings = mail_server
    with pytest.raises(DeliveryError, match="535") as refused:
        senders.send("email", settings, {"password": "wrong word"}, "m1", make_payload())
    assert "wrong word" not in str(refused.value)
    assert box.envelopes == []


@WITH_TLS
def test_a_mail_server_with_an_unknown_certificate_is_told_nothing(mail_server: tuple[Mailbox, dict[str, Any]]) -> None:
    box, settings = mail_server
    with pytest.raises(DeliveryError, match="certificate"):
        loopback_senders().send("email", settings, {"password": SECRET_WORD}, "m1", make_payload())
    assert box.envelopes == []


def test_a_mail_that_some_recipients_do_not_get_is_delivered_with_a_remark(
    mail_server: tuple[Mailbox, dict[str, Any]], senders: Senders
) -> None:
    box, settings = mail_server
    secrets = {"password": SECRET_WORD}
    some = {**settings, "recipients": ["gone@example.test", "one@example.test"]}
    assert "gone@example.test: 550 no such mailbox" in senders.send("email", some, secrets, "m1", make_payload())
    with pytest.raises(DeliveryError, match="no recipient was accepted"):
        senders.send("email", {**settings, "recipients": ["gone@example.test"]}, secrets, "m1", make_payload())
    assert len(box.envelopes) == 1


@pytest.mark.parametrize("security", ["none", "tls"])
def test_a_mail_server_that_speaks_by_a_byte_is_given_up_as_a_whole(tmp_path: Path, security: str) -> None:
    authority = trustme.CA()
    certificate = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tls = certificate if security == "tls" else None
    with dripping(b"220-" + b"x" * 600 + b"\r\n", drips=1, tls=tls, take=lambda _: None) as port:
        settings = {
            "host": "127.0.0.1",
            "port": port,
            "security": security,
            "username": "",
            "sender": "noc@streamswarm.test",
            "recipients": ["one@example.test"],
        }
        senders = replace(loopback_senders(context), mail_seconds=0.3)
        with pytest.raises(DeliveryError, match=r"127\.0\.0\.1:\d+: no whole answer within 0\.3 s"):
            senders.send("email", settings, {}, "m1", make_payload())
