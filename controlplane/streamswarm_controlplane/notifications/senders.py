"""Sends one message by one channel. Whoever calls knows nothing of HTTP or SMTP; errors never hold a secret."""

import asyncio
import contextlib
import json
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import httpx

from streamswarm_controlplane.notifications import render, signing
from streamswarm_controlplane.notifications.guard import BlockedError, Guard
from streamswarm_core import __version__
from streamswarm_core.clock import now
from streamswarm_core.errors import StreamSwarmError
from streamswarm_core.hostport import host_port
from streamswarm_core.outbound import patience
from streamswarm_core.wholeexchange import within

SECONDS: Final = 20.0
"""A whole attempt by HTTP, and each piece of one by SMTP."""
_MOST_WAIT: Final = 3600.0
_READY: Final = 220
_MOST_DETAIL: Final = 300


class DeliveryError(StreamSwarmError):
    """An attempt failed.

    Attributes:
        retry_after: seconds the receiver asked to wait, or None.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Senders:
    """What sending needs of the world.

    Attributes:
        guard: which addresses webhooks may reach.
        tls: certificates that are trusted.
        clock: seconds since the epoch, for signatures.
        mail_seconds: for a whole attempt by SMTP; some servers make a stranger wait at each step.
    """

    guard: Guard
    tls: ssl.SSLContext
    clock: Callable[[], float] = time.time
    mail_seconds: float = 120.0

    def send(
        self,
        kind: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, Any],
        message_id: str,
        payload: dict[str, Any],
    ) -> str:
        """Send once; returns a remark, usually "".

        Raises:
            DeliveryError: it didn't get there, as far as one knows.
        """
        match kind:
            case "webhook":
                body = json.dumps({"id": message_id, **payload}, ensure_ascii=False).encode()
                signed = signing.sign(secrets["secret"], message_id, int(self.clock()), body)
                return self._post(settings["url"], body, {**secrets.get("headers", {}), **signed})
            case "slack":
                return self._post(secrets.get("url", ""), json.dumps(render.chat(payload)).encode(), {})
            case _:
                return self._mail(settings, secrets.get("password", ""), message_id, payload)

    def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> str:
        host = urlsplit(url).hostname or ""
        try:
            # One bound for all of it: a receiver that answers a byte a minute would never hit a read's timeout.
            asyncio.run(asyncio.wait_for(self._post_async(url, body, headers), SECONDS))
        except TimeoutError:
            raise DeliveryError(f"{host}: no answer within {SECONDS:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeliveryError(f"{host}: {_reason(error)}") from None
        except OSError as error:
            raise DeliveryError(f"{host}: {error.strerror or _reason(error)}") from None
        except BlockedError as error:
            raise DeliveryError(str(error)) from None
        return ""

    async def _post_async(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        *others, last = await asyncio.to_thread(self.guard.pin, host, port)
        for address in others:
            # Where IPv6 leads nowhere, IPv4 may lead there.
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._post_to(address, port, url, body, headers)
        return await self._post_to(last, port, url, body, headers)

    async def _post_to(self, address: str, port: int, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        pinned = urlunsplit((parts.scheme, host_port(address, port), parts.path or "/", parts.query, ""))
        own = {
            "Host": parts.netloc,
            "Content-Type": "application/json",
            "User-Agent": f"StreamSwarm/{__version__}",
            "Accept-Encoding": "identity",
        }
        # Proxies of the environment would connect for us, and to what they like.
        async with (
            httpx.AsyncClient(
                verify=self.tls, timeout=patience(SECONDS), trust_env=False, follow_redirects=False
            ) as client,
            client.stream(
                "POST", pinned, content=body, headers={**headers, **own}, extensions={"sni_hostname": host}
            ) as answer,
        ):
            if not answer.is_success:
                raise DeliveryError(
                    f"{host}: HTTP {answer.status_code}{await _detail(answer)}", retry_after=_retry_after(answer)
                )

    def _mail(self, settings: Mapping[str, Any], password: str, message_id: str, payload: Mapping[str, Any]) -> str:
        host, port = settings["host"], settings["port"]
        try:
            server = self._server(settings["security"], host)
            with within(self.mail_seconds, lambda: server.sock), server:
                code, said = server.connect(host, port)
                if code != _READY:
                    raise smtplib.SMTPConnectError(code, said)
                if settings["security"] == "starttls":
                    server.starttls(context=self.tls)
                if settings["username"]:
                    server.login(settings["username"], password)
                refused = server.send_message(_mail_of(settings, message_id, payload))
        except smtplib.SMTPRecipientsRefused as error:
            raise DeliveryError(f"{host}:{port}: no recipient was accepted: {_refusals(error.recipients)}") from None
        except smtplib.SMTPResponseException as error:
            raise DeliveryError(f"{host}:{port}: {error.smtp_code} {_text(error.smtp_error)}") from None
        except (smtplib.SMTPException, ssl.SSLError) as error:
            raise DeliveryError(f"{host}:{port}: {_reason(error)}") from None
        except OSError as error:
            raise DeliveryError(f"{host}:{port}: {error.strerror or _reason(error)}") from None
        return f"not accepted: {_refusals(refused)}" if refused else ""

    def _server(self, security: str, host: str) -> smtplib.SMTP:
        """A server that is still to be connected to."""
        # The name is given, because smtplib would ask a resolver for it.
        name = socket.gethostname() or "localhost"
        if security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(local_hostname=name, timeout=SECONDS, context=self.tls)
        else:
            server = smtplib.SMTP(local_hostname=name, timeout=SECONDS)
        # Whose certificate it must be is otherwise said by what connects at once.
        server._host = host  # type: ignore[attr-defined] # noqa: SLF001
        return server


@cache
def trusted(ca_file: str) -> ssl.SSLContext:
    """The system's certificate authorities, and those in a file; read once, as that takes 30 ms.

    Raises:
        OSError, ssl.SSLError: the file can't be read.
    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def _mail_of(settings: Mapping[str, Any], message_id: str, payload: Mapping[str, Any]) -> EmailMessage:
    sender = settings["sender"]
    domain = sender.rpartition("@")[2]
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = ", ".join(settings["recipients"])
    mail["Subject"] = render.subject(payload)
    mail["Date"] = format_datetime(now())
    mail["Message-ID"] = f"<{message_id}@{domain}>"
    if payload["thread"]:
        # Mail programs then show all messages of a group as one conversation.
        mail["References"] = f"<{payload['thread']}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(render.plain(payload))
    mail.add_alternative(render.markup(payload), subtype="html")
    return mail


async def _detail(answer: httpx.Response) -> str:
    if answer.is_redirect:
        return ": it redirects, which isn't followed; enter the address that it leads to"
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        return ""  # nobody asked for it, and a kilobyte of it may unpack to gigabytes
    async for piece in answer.aiter_raw(_MOST_DETAIL):
        return f": {_text(piece)}"
    return ""


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), _MOST_WAIT) if text.isascii() and text.isdigit() else None


def _refusals(refused: Mapping[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{address}: {code} {_text(text)}" for address, (code, text) in refused.items())[:_MOST_DETAIL]


def _text(content: bytes | str) -> str:
    text = content.decode(errors="replace") if isinstance(content, bytes) else content
    return " ".join(text.split())[:_MOST_DETAIL]


def _reason(error: Exception) -> str:
    return _text(str(error)) or type(error).__name__
