"""What a TCP handshake's figures mean: a finding of a closed set, and the sentence that explains it."""

from dataclasses import dataclass
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.tcp import IcmpError
from streamswarm_core.catalogue.tcp import HandshakeFinding

_LOST_IN_A_ROW: Final = 2
"""So many SYNs lost one after the other while every ping is answered are no accident: at 2 % loss that is 0.04 %."""


@dataclass(frozen=True, slots=True)
class Pings:
    """Echo requests to the host, sent because SYNs were lost."""

    sent: int
    received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one run of the probe saw. Times in seconds, None where there is no figure.

    Attributes:
        fault: why the first handshake failed, or that its connection was reset.
        later_fault: why a later handshake of the run failed.
        icmp: the ICMP message that ended the first handshake.
        syn_retransmits: repeated SYNs of each handshake.
        sign: what was waited for: `banner`, `answer`, `close` or `off`.
        reset: the connection was reset when the agent closed it.
        response: until that sign came.
        open_lately: the port accepted a connection in this run or a recent one.
        pings: None if none were sent, or this host may not ping.
    """

    fault: ProbeFault | None = None
    later_fault: ProbeFault | None = None
    icmp: IcmpError | None = None
    syn_retransmits: tuple[int, ...] = ()
    network_delay: float | None = None
    network_delay_error: float | None = None
    sign: str = "off"
    reset: bool = False
    response: float | None = None
    server_processing: float | None = None
    open_lately: bool = False
    pings: Pings | None = None
    wait: float
    response_wait: float
    slow_network: float
    slow_server: float


def explain(seen: Evidence) -> tuple[HandshakeFinding, str]:
    """Find what it came to, and say why."""
    if seen.fault is not None:
        return _explain_fault(seen, seen.fault)
    lost = sum(seen.syn_retransmits)
    if lost or seen.later_fault is not None:
        return _explain_loss(seen, lost)
    network = f"the server's kernel answered in {_time(seen.network_delay)}{_plus_minus(seen)}"
    if seen.reset:
        return HandshakeFinding.RESET, f"{network}, but the connection was reset when the agent closed it"
    if seen.response is None and seen.sign in {"banner", "answer"}:
        return (
            HandshakeFinding.SLOW_SERVER,
            (
                f"{network}, but the program sent no {seen.sign} within {seen.response_wait:g} s: "
                "it is busy, doesn't accept, or waits for the client to speak"
            ),
        )
    processing = seen.server_processing
    if processing is not None and processing - (seen.network_delay_error or 0.0) >= seen.slow_server:
        return (
            HandshakeFinding.SLOW_SERVER,
            f"{network}; of the {_time(seen.response)} until its {seen.sign}, the program took {_time(processing)}",
        )
    if seen.network_delay is not None and seen.network_delay >= seen.slow_network:
        return HandshakeFinding.SLOW_NETWORK, f"{network}; {seen.slow_network:g} s or more counts as slow"
    if processing is not None:
        return HandshakeFinding.HEALTHY, f"{network}; the program took another {_time(processing)} to {_verb(seen)}"
    if seen.sign == "close":
        return (
            HandshakeFinding.HEALTHY,
            (
                f"{network}; whether the program took the connection is not known: it didn't close within "
                f"{seen.response_wait:g} s after the agent did, as some do by design"
            ),
        )
    return HandshakeFinding.HEALTHY, network


def _explain_fault(seen: Evidence, fault: ProbeFault) -> tuple[HandshakeFinding, str]:
    sender = f" from {seen.icmp.offender}" if seen.icmp and seen.icmp.offender else ""
    match fault.fault:
        case Fault.REFUSED if seen.icmp is not None:
            return (
                HandshakeFinding.FILTERED,
                f"an ICMP message{sender} says the port is unreachable: a firewall's refusal",
            )
        case Fault.REFUSED:
            return (
                HandshakeFinding.REFUSED,
                "the host answered that nothing listens on the port, or a firewall in its name",
            )
        case Fault.UNREACHABLE if seen.icmp is not None and seen.icmp.prohibited:
            return HandshakeFinding.FILTERED, f"an ICMP message{sender} says that a filter forbids the connection"
        case Fault.UNREACHABLE if seen.icmp is not None:
            return (
                HandshakeFinding.UNREACHABLE,
                f"an ICMP message{sender} says that the host or its network can't be reached",
            )
        case Fault.UNREACHABLE:
            return HandshakeFinding.UNREACHABLE, f"this host knows no way there: {fault.detail}"
        case Fault.RESET:
            return HandshakeFinding.RESET, "the connection was set up and reset before the program said anything"
        case Fault.NO_SUCH_NAME:
            return HandshakeFinding.NO_SUCH_NAME, f"the name has no address: {fault.detail}"
        case Fault.TIMEOUT:
            return _explain_silence(seen)
        case _:
            return HandshakeFinding.NOT_TRIED, f"no SYN was sent: {fault.detail}"


def _explain_silence(seen: Evidence) -> tuple[HandshakeFinding, str]:
    syns = 1 + sum(seen.syn_retransmits)
    silence = f"{syns} {'SYN' if syns == 1 else 'SYNs'} in {seen.wait:g} s went unanswered"
    if seen.pings is None:
        return (
            HandshakeFinding.NO_ANSWER,
            f"{silence}; whether the host is there is not known, for it could not be pinged",
        )
    if not seen.pings.received:
        return (
            HandshakeFinding.NO_ANSWER,
            f"{silence}, and so did the pings: the host or the way there is down, or all is filtered",
        )
    if seen.open_lately:
        return HandshakeFinding.BACKLOG_OVERFLOW, f"{silence}, though the port was open lately and pings are answered"
    return (
        HandshakeFinding.FILTERED,
        f"{silence}, but pings are answered: a firewall drops them, or the accept queue of the port is full",
    )


def _explain_loss(seen: Evidence, lost: int) -> tuple[HandshakeFinding, str]:
    repeated = f"{lost} {'SYN' if lost == 1 else 'SYNs'} had to be repeated in {len(seen.syn_retransmits)} handshakes"
    in_a_row = max(seen.syn_retransmits) >= _LOST_IN_A_ROW
    if in_a_row and seen.pings is not None and seen.pings.sent == seen.pings.received:
        return (
            HandshakeFinding.BACKLOG_OVERFLOW,
            (
                f"{repeated} though the port is open and all {seen.pings.sent} pings were answered: "
                "the server seems to drop SYNs because its accept queue is full"
            ),
        )
    if not lost and seen.later_fault is not None:
        return HandshakeFinding.PACKET_LOSS, f"a later handshake of the run failed: {seen.later_fault.detail}"
    pings = f"; of {seen.pings.sent} pings {seen.pings.received} were answered" if seen.pings else ""
    return (
        HandshakeFinding.PACKET_LOSS,
        f"{repeated}{pings}: packets are lost on the way, or the server was briefly full",
    )


def _verb(seen: Evidence) -> str:
    return "react" if seen.sign == "close" else f"send its {seen.sign}"


def _plus_minus(seen: Evidence) -> str:
    return "" if seen.network_delay_error is None else f" (± {_time(seen.network_delay_error)})"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "an unknown time"
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"
