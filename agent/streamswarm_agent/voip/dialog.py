"""What the requests of one SIP dialog have in common, and what its answers mean."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_core.wire.sip import Headers, Request, Response, params_of, uri_of

_PROHIBITED: Final = {401, 403, 407, 603}
_TOO_LATE: Final = {408, 504}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls.

    Attributes:
        user: the name in the address of record, and to authenticate with.
        domain: of the address of record, as in a URI.
        password: empty for none.
    """

    user: str
    domain: str
    password: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """The address of record."""
        return f"sip:{self.user}@{self.domain}"


@dataclass(slots=True)
class SignallingLog:
    """What signalling came to, filled in as it goes on. Seconds; None for what didn't happen."""

    registration: float | None = None
    post_dial_delay: float | None = None
    setup: float | None = None
    teardown: float | None = None
    register_code: int | None = None
    invite_code: int | None = None
    bye_code: int | None = None


@dataclass(slots=True)
class Dialog:
    """What requests of one dialog, or to one registrar, have in common."""

    local: str
    remote: str
    call_id: str = field(default_factory=lambda: secrets.token_hex(16))
    number: int = 0
    target: str = ""
    route: Sequence[str] = ()
    established: bool = False


def refused(method: str, response: Response) -> ProbeFault:
    """What a final answer that is no success means."""
    why = response.headers.get("reason") or response.headers.get("warning")
    detail = f"{method} was answered {response}" + (f" ({why})" if why else "")
    if response.code in _PROHIBITED:
        return ProbeFault(Fault.PROHIBITED, detail)
    return ProbeFault(Fault.TIMEOUT if response.code in _TOO_LATE else Fault.UNEXPECTED_ANSWER, detail)


def routed(target: str, route: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The Request-URI and the Route fields (RFC 3261, 12.2.1.1)."""
    if not route:
        return target, route
    first = uri_of(route[0])
    if "lr" in params_of(first):
        return target, route
    return first, [*route[1:], f"<{target}>"]


def cancelling(invite: Request) -> Request:
    """A CANCEL of the same transaction (RFC 3261, 9.1)."""
    kept = {"via", "max-forwards", "route", "from", "to", "call-id"}
    number = (invite.headers.get("cseq") or "1").split()[0]
    fields = [(name, value) for name, value in invite.headers.fields if name in kept]
    return Request("CANCEL", invite.uri, Headers([*fields, ("cseq", f"{number} CANCEL")]))
