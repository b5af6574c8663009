"""A whole call: register, invite, speak, hang up; what it came to stays known however far it got."""

import contextlib
import statistics
import time
from dataclasses import dataclass, field

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.targets import Address
from streamswarm_agent.voip.dialog import Identity, SignallingLog
from streamswarm_agent.voip.hearing import Heard, hear, reported
from streamswarm_agent.voip.leg import Leg
from streamswarm_agent.voip.sipchannel import open_channel
from streamswarm_agent.voip.speech import Incoming, Speech
from streamswarm_agent.voip.useragent import UserAgent
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.probespecs import VoipParams
from streamswarm_core.wire.sdp import SdpError, make_offer, read_answer


@dataclass(slots=True)
class CallLog:
    """What a call came to.

    Attributes:
        status: as in the catalogue.
        signalling: times and codes.
        codes: of all responses, in order.
        again: SIP requests sent again.
        speech: sockets and packets; None if it didn't get that far.
        fault: what went wrong; None if nothing did.
    """

    status: str = "failed"
    signalling: SignallingLog = field(default_factory=SignallingLog)
    codes: list[int] = field(default_factory=list)
    again: int = 0
    speech: Speech | None = None
    fault: ProbeFault | None = None


async def call(server: Address, domain: str, params: VoipParams, password: str) -> CallLog:
    """Make a call. A fault is part of what it came to; nothing is left behind, also when this is cancelled.

    Args:
        server: where SIP goes.
        domain: as in URIs.
        params: whom to call, and how.
        password: of `params.user`; empty for none.
    """
    log = CallLog()
    try:
        channel = await open_channel(server, params.transport, params.answer_wait)
    except ProbeFault as fault:
        log.fault = fault
        return log
    with contextlib.closing(channel):
        agent = UserAgent(channel, server, Identity(params.user, domain, password))
        log.signalling = agent.log
        try:
            await _converse(agent, channel.host, server, domain, params, log)
        except ProbeFault as fault:
            log.fault = fault
        finally:
            await agent.close()
            log.codes, log.again = agent.transactions.codes, agent.transactions.again
            if log.speech is not None:
                log.speech.close()
    return log


async def _converse(
    agent: UserAgent, host: str, server: Address, domain: str, params: VoipParams, log: CallLog
) -> None:
    if params.register_first:
        log.status = "not_registered"
        await agent.register(params.answer_wait)
    log.status = "failed"
    speech = log.speech = Speech(server.family, host, params)
    offer = make_offer(host.partition("%")[0], speech.port, params.coding, params.interval, time.time_ns() // 1000)
    try:
        body = await agent.call(f"sip:{params.dial}@{domain}", offer, params.answer_wait)
    except ProbeFault as fault:
        answered = agent.log.invite_code is not None
        log.status = "rejected" if answered else "no_answer" if fault.fault is Fault.TIMEOUT else "failed"
        raise
    log.status = "no_media"
    try:
        answer = read_answer(body, params.coding)
    except SdpError as error:
        raise ProbeFault(Fault.UNEXPECTED_ANSWER, str(error)) from None
    if not answer.receives:
        raise ProbeFault(Fault.UNEXPECTED_ANSWER, "the peer takes no speech: the call is on hold")
    if (":" in answer.host) is not (server.family_tag == "ipv6"):
        raise ProbeFault(Fault.UNEXPECTED_ANSWER, f"the peer wants speech at {answer.host}, over another IP version")
    await speech.speak(answer, agent.ended)
    log.status = "completed" if heard_of(speech) else "no_media"
    with contextlib.suppress(ProbeFault):
        await agent.hang_up()


def heard_of(speech: Speech) -> str:
    """What was heard: `echo`, `peer`, or nothing."""
    echoes = sum(one.echoed_ns is not None for one in speech.spoken.values())
    theirs = max((len(one.arrivals) for one in speech.incoming.values()), default=0)
    if not echoes and not theirs:
        return ""
    return "echo" if echoes >= theirs else "peer"


def no_speech(speech: Speech) -> ProbeFault:
    """Why nothing was heard, as far as it can be known."""
    if speech.error is not None:
        fault = from_os_error(OSError(speech.error, ""))
        return ProbeFault(fault.fault, f"{fault.detail}: nobody takes speech at the address that the peer gave")
    return ProbeFault(Fault.TIMEOUT, f"the call was set up, but no speech came for {len(speech.spoken)} packets sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What was heard in a call.

    Attributes:
        sent: packets sent.
        received: packets that came in.
        loss: share that didn't.
        trips: round trips, seconds.
        there: the way there, as the peer reports it; None if it doesn't.
        back: what was heard here: of an echo both ways together.
        divided: whether `back` is of one direction only.
    """

    sent: int
    received: int
    loss: float
    trips: list[float]
    there: Heard | None
    back: Heard
    divided: bool


def judge(speech: Speech, params: VoipParams) -> Conversation:
    """Rate what was heard in a call; something must have been."""
    echo = heard_of(speech) == "echo"
    leg = (
        _echo_leg(speech)
        if echo
        else _peer_leg(max(speech.incoming.values(), key=lambda one: len(one.arrivals)), params)
    )
    trips = list(leg.delays.values()) if echo else speech.trips
    rtt = statistics.fmean(trips) if trips else 0.0
    _, back = hear(leg, leg, rtt, params)
    report = speech.reports[-1][0] if speech.reports else None
    there = None
    if report is not None:
        loss = min(max(report.lost / len(speech.spoken), 0.0), 1.0)
        there = reported(loss, report.jitter / params.coding.clock_rate, back, params)
    return Conversation(
        sent=len(speech.spoken),
        received=len(leg.entered) - len(leg.lost),
        loss=leg.loss,
        trips=trips,
        there=there,
        back=back,
        divided=not echo,
    )


def _echo_leg(speech: Speech) -> Leg:
    """Both directions as one: what didn't come back, and how the round trip varied."""
    delays = {
        number: (one.echoed_ns - one.sent_ns) / NANOSECONDS
        for number, one in speech.spoken.items()
        if one.echoed_ns is not None
    }
    numbers = list(speech.spoken)
    return Leg(numbers, frozenset(number for number in numbers if number not in delays), delays)


def _peer_leg(stream: Incoming, params: VoipParams) -> Leg:
    """From the first packet that came to the last; what was lost before or after them is not known."""
    numbers = list(range(min(stream.arrivals), stream.highest + 1))
    rate, (came, first) = params.coding.clock_rate, stream.arrivals[numbers[0]]
    delays = {
        number: (stream.arrivals[number][0] - came) / NANOSECONDS - _since(stream.arrivals[number][1], first) / rate
        for number in numbers
        if number in stream.arrivals
    }
    return Leg(numbers, frozenset(number for number in numbers if number not in delays), delays)


def _since(timestamp: int, first: int) -> int:
    """Timestamp units between two, either way round the end of the counter."""
    return (timestamp - first + 0x80000000) % 0x100000000 - 0x80000000
