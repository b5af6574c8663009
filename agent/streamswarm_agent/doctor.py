"""What keeps an agent from working, as `streamswarm doctor` tells it; looks only, before it is enrolled, too."""

import socket
import time
from collections.abc import Iterator
from typing import Final

from pydantic import ValidationError

from streamswarm_agent.descriptors import wanted_descriptors
from streamswarm_agent.enrol import Credential, credential_path, load_credential
from streamswarm_agent.probeneeds import Host, probes
from streamswarm_agent.settings import AgentSettings
from streamswarm_core.assignment import AssignmentSet
from streamswarm_core.doctor.asking import UnansweredError, ask
from streamswarm_core.doctor.files import data_folder, files_in, secrets, size_of, size_text
from streamswarm_core.doctor.finding import Finding, broken, note, ok, warning
from streamswarm_core.doctor.host import open_files
from streamswarm_core.doctor.ownport import OwnPort
from streamswarm_core.doctor.peers import answers, certificate, control_plane, takes_points, unreached
from streamswarm_core.doctor.reflecting import reflector
from streamswarm_core.errors import ConfigError
from streamswarm_core.settings import variable_name

_WANTED_BUFFER: Final = 4 * 1024 * 1024
_HALF: Final = 0.5
_ENROL: Final = "make a token in the console under Agents, then: streamswarm agent enrol --url URL"
_CONTROLPLANE: Final = variable_name(AgentSettings, "controlplane_url")
_COLLECTOR: Final = variable_name(AgentSettings, "collector_url")


def examine(settings: AgentSettings, host: Host | None = None) -> Iterator[Finding]:
    """Look at everything, one after the other."""
    host = host or Host()
    own = OwnPort(settings, settings.host, settings.port, settings.folder)
    waiting = size_of(files_in(settings.folder / "spool", "*.lines"))
    yield from data_folder(settings.folder, needs=max(0, settings.spool_max_bytes - waiting))
    yield from own.findings()
    if own.runs:
        yield from reflector(settings, own.url, settings.table, settings.metrics_token)
    yield from secrets([credential_path(settings)])
    credential, enrolment = _enrolment(settings)
    if enrolment is not None:
        yield enrolment
    reached = list(control_plane(settings.controlplane_url, _CONTROLPLANE))
    yield from reached
    token = ""
    if credential is not None and answers(reached):
        token, finding = _token(settings, credential)
        yield finding
    yield from _collector(settings, token)
    yield _spool(settings, waiting)
    if own.runs:
        yield from _delivery(settings, own)
    yield _families(host)
    yield open_files(
        wanted_descriptors(settings.concurrency),
        f", or lower {variable_name(AgentSettings, 'concurrency')}",
        own.process if own.runs else None,
        claims=True,
    )
    yield from _buffers(host)
    yield from probes(settings, host, _used_probes(settings))


def _enrolment(settings: AgentSettings) -> tuple[Credential | None, Finding | None]:
    """The credential, and what is to be said of it; that it can't be read, the secrets' check says already."""
    try:
        credential = load_credential(settings)
    except ConfigError as error:
        if "not a credential" not in str(error):
            return None, None
        found = f"{credential_path(settings)} holds no credential"
        return None, broken("enrolment", found, "enrol again: streamswarm agent enrol --force")
    if credential is not None:
        site = f", site {credential.site}" if credential.site else ""
        return credential, ok("enrolment", f"enrolled as {credential.name}{site}")
    if settings.enrol_token.get_secret_value():
        return None, note("enrolment", "not enrolled yet", "it enrols at its start, with the token in its settings")
    return None, warning("enrolment", "not enrolled yet", _ENROL)


def _token(settings: AgentSettings, credential: Credential) -> tuple[str, Finding]:
    """An access token for the secret; a new secret isn't tried, as its first use would make it the only one."""
    body = {"agent_id": credential.agent_id, "secret": credential.secret.get_secret_value()}
    try:
        answer = ask(f"{settings.controlplane_url}/api/v1/agent/token", "POST", json=body)
    except UnansweredError as error:
        return "", unreached("credential", settings.controlplane_url, str(error), _CONTROLPLANE)
    if answer.good:
        return str(answer.body.get("access_token", "")), ok("credential", "the control plane takes the agent's secret")
    found = f"the control plane doesn't take the agent's secret: {answer.complaint}"
    if credential.next_secret is not None:
        return "", note("credential", f"{found}; it has a newer one, which the agent tries itself")
    if credential.controlplane_url.rstrip("/") != settings.controlplane_url:
        found += f"; it was enrolled at {credential.controlplane_url}"
    remedy = f"see `streamswarm admin agents show {credential.name}`, then: streamswarm agent enrol --force"
    return "", broken("credential", found, remedy)


def _collector(settings: AgentSettings, token: str) -> Iterator[Finding]:
    """Whether the collector answers and, where there is a token to show, takes points with it."""
    url = settings.collector_url
    try:
        answer = ask(f"{url}/health")
    except UnansweredError as error:
        yield unreached("collector", url, str(error), _COLLECTOR)
        return
    # An InfluxDB in the collector's place may want to know who asks.
    if not answer.good and answer.status not in {401, 403, 503}:
        found = f"{url}/health answers HTTP {answer.status}: that is no collector"
        yield broken("collector", found, f"correct {_COLLECTOR}")
        return
    if token:
        remedy = "let the collector ask this agent's control plane (STREAMSWARM_COLLECTOR_CONTROLPLANE_URL there)"
        yield takes_points("collector", url, settings.bucket, token, _COLLECTOR, remedy)
    elif answer.status == 503:
        yield broken("collector", f"{url} isn't well: {answer.text[:200]}", "streamswarm doctor collector, on its host")
    else:
        yield ok("collector", f"{url} answers")
    yield from certificate(url, answer)


def _spool(settings: AgentSettings, waiting: int) -> Finding:
    found = f"{size_text(waiting)} waits to be sent, of at most {size_text(settings.spool_max_bytes)}"
    if waiting > settings.spool_max_bytes * _HALF:
        remedy = f"see why the collector isn't reached, or raise {variable_name(AgentSettings, 'spool_max_bytes')}"
        return warning("spool", f"{found}; beyond that the oldest are dropped", remedy)
    return ok("spool", found)


def _delivery(settings: AgentSettings, own: OwnPort) -> Iterator[Finding]:
    """Whether what is measured arrives: what the running agent says, and when it last was done with points."""
    # The numbers of runs are written down whenever points that were taken are deleted.
    try:
        ago = max(0.0, time.time() - (settings.folder / "spool" / "runs.json").stat().st_mtime)
    except OSError:
        return
    since = f"{ago:.0f} s" if ago < 120 else f"{ago / 60:.0f} min"
    sending = str(own.health.get("sending", "ok"))
    if sending != "ok":
        yield broken("sending", f"the collector took nothing for {since}: {sending}", "see the collector above")
    elif own.health.get("assignments") == 0:
        yield note("sending", "this agent has no tests to run", "assign some in the console")
    else:
        yield ok("sending", f"the collector took points {since} ago")


def _families(host: Host) -> Finding:
    """Which kinds of addresses the agent can measure."""
    if not host.opens(socket.AF_INET, socket.SOCK_DGRAM, 0):
        return warning("addresses", "this process may open no IPv4 sockets", "RestrictAddressFamilies= of the unit")
    if not host.opens(socket.AF_INET6, socket.SOCK_DGRAM, 0):
        return note("addresses", "IPv4 only: this kernel or unit gives no IPv6 sockets, targets with IPv6 are down")
    if not _has_global_ipv6(host):
        return ok("addresses", "IPv4; IPv6 sockets too, but this host has no IPv6 address beyond its link")
    return ok("addresses", "IPv4 and IPv6")


def _has_global_ipv6(host: Host) -> bool:
    try:
        lines = (host.proc / "net/if_inet6").read_text().splitlines()
    except OSError:
        return False
    # The fourth column is the scope: 00 is global, 10 loopback, 20 the link.
    return any(line.split()[3] == "00" for line in lines)


def _buffers(host: Host) -> Iterator[Finding]:
    try:
        size = int((host.proc / "sys/net/core/rmem_max").read_text())
    except (OSError, ValueError):
        return
    found = f"receive buffers of sockets may have {size_text(size)}"
    if size < _WANTED_BUFFER:
        yield note("buffers", found, f"for thousands of targets: sysctl -w net.core.rmem_max={_WANTED_BUFFER}")
    else:
        yield ok("buffers", found)


def _used_probes(settings: AgentSettings) -> set[str] | None:
    """The probes of the tests that the agent has; None if it never had any."""
    try:
        kept = AssignmentSet.model_validate_json((settings.folder / "assignments.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return {one.probe for one in kept.assignments}
