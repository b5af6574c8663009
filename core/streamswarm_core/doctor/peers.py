"""The other services that a service needs: whether they answer, as what, with which clock and certificate."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from streamswarm_core import __version__
from streamswarm_core.clock import now
from streamswarm_core.doctor.asking import Answer, UnansweredError, ask
from streamswarm_core.doctor.finding import Finding, State, broken, note, ok, warning
from streamswarm_core.settings import is_loopback
from streamswarm_core.tokens import LEEWAY_SECONDS

_NOTEWORTHY_SECONDS: Final = 0.5
"""What keeps clocks in step keeps them well within this."""
_DAYS_BEFORE: Final = 14
_UNKNOWN_NAME: Final = ("Name or service not known", "name resolution", "No address associated")
_CLOCK_REMEDY: Final = "set the one that is wrong, and keep both in step: apt install chrony"


def control_plane(url: str, variable: str) -> Iterator[Finding]:
    """Whether the control plane answers; the first finding is broken if it doesn't.

    Args:
        url: its base URL.
        variable: what sets the URL.
    """
    subject = "control plane"
    try:
        answer = ask(f"{url.rstrip('/')}/health")
    except UnansweredError as error:
        yield unreached(subject, url, str(error), variable)
        return
    if answer.body.get("name") != "streamswarm-controlplane":
        found = f"{url} answers HTTP {answer.status}, but not as a control plane does"
        yield broken(subject, found, f"correct {variable}")
        return
    if not answer.good:
        yield broken(subject, f"{url} says {answer.complaint}", "streamswarm doctor controlplane, on its host")
        return
    yield _versions(subject, url, str(answer.body.get("version", "")))
    yield from clock(answer)
    yield from certificate(url, answer)


def answers(findings: list[Finding]) -> bool:
    """Whether a peer whose findings these are can be asked for more."""
    return findings[0].state is not State.BROKEN


def unreached(subject: str, url: str, reason: str, variable: str) -> Finding:
    """Nobody answered there."""
    if "certificate" in reason.lower():
        remedy = f"renew the certificate there, or have this host trust its authority, or correct {variable}"
    elif any(mark in reason for mark in _UNKNOWN_NAME):
        remedy = f"correct the host's name in {variable}, or this host's name servers (/etc/resolv.conf)"
    else:
        here = is_loopback(urlsplit(url).hostname or "")
        remedy = f"start it, {'' if here else 'let its port through firewalls, '}or correct {variable}"
    return broken(subject, f"{url} can't be reached: {reason}", remedy)


def clock(answer: Answer) -> Iterator[Finding]:
    """How far the clock of who answered is from ours; nothing if it doesn't say, or both may be in step."""
    if answer.ahead is None or abs(answer.ahead) - answer.unsure <= _NOTEWORTHY_SECONDS:
        return
    seconds = abs(answer.ahead)
    size = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    found = f"this host's clock is {size} {'behind' if answer.ahead > 0 else 'ahead of'} the control plane's"
    if seconds > LEEWAY_SECONDS:
        yield broken(
            "clock", f"{found}: tokens count as expired or not yet valid, points get wrong times", _CLOCK_REMEDY
        )
    else:
        yield warning("clock", f"{found}: points get wrong times", _CLOCK_REMEDY)


def certificate(url: str, answer: Answer) -> Iterator[Finding]:
    """Whether the certificate of who answered ends soon; one that has ended is no answer."""
    if answer.expires is not None:
        yield ends("certificate", f"the certificate of {url}", answer.expires, "renew it there")


def ends(subject: str, what: str, end: datetime, remedy: str) -> Finding:
    """Whether something that has an end is near it."""
    days = (end - now()).total_seconds() / 86_400
    if days <= _DAYS_BEFORE:
        return warning(subject, f"{what} ends in {days:.1f} days, on {end:%Y-%m-%d %H:%M} UTC", remedy)
    return ok(subject, f"{what} is good until {end:%Y-%m-%d}")


def takes_points(subject: str, url: str, bucket: str, token: str, variable: str, remedy: str) -> Finding:
    """Whether a collector or store would take points: it is sent a write without any.

    Args:
        subject: of the finding.
        url: its base URL.
        bucket: where to.
        token: the token.
        variable: what sets the URL.
        remedy: for a token that isn't taken.
    """
    headers = {"Authorization": f"Token {token}"} if token else {}
    where = {"org": "streamswarm", "bucket": bucket, "precision": "ns"}
    try:
        answer = ask(f"{url.rstrip('/')}/api/v2/write", "POST", params=where, headers=headers, content=b"")
    except UnansweredError as error:
        return unreached(subject, url, str(error), variable)
    return took(subject, url, answer, variable, remedy)


def took(subject: str, url: str, answer: Answer, variable: str, remedy: str) -> Finding:
    """What an answer to a write without points says. Some stores complain that there are none, and would take some."""
    if answer.good or answer.status == 400:
        return ok(subject, f"{url} takes points with this token")
    if answer.status in {401, 403}:
        return broken(subject, f"{url} doesn't take this token: {answer.complaint}", remedy)
    if answer.status == 404:
        return broken(
            subject, f"{url} doesn't know this database: {answer.complaint}", f"create it, or correct {variable}"
        )
    if answer.status in {429, 503}:
        return broken(
            subject, f"{url} takes nothing at the moment: {answer.complaint}", "streamswarm doctor, on its host"
        )
    return broken(subject, f"{url} answers a write with {answer.complaint}", f"correct {variable}, or see its log")


def _versions(subject: str, url: str, theirs: str) -> Finding:
    if theirs == __version__:
        return ok(subject, f"{url} answers, version {theirs}")
    found = f"{url} answers, version {theirs}; this program is {__version__}"
    if _number(theirs) < _number(__version__):
        return warning(subject, found, "update the control plane: it comes first")
    return note(subject, found, "update this program when you like")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
