import statistics
from collections.abc import Collection, Mapping
from dataclasses import asdict

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.net.keys import Keys
from streamswarm_agent.net.stamp.credible import round_trips
from streamswarm_agent.net.stamp.sender import Plan, StampRun, StampSender, why_silent
from streamswarm_agent.net.targets import Address, resolve
from streamswarm_agent.probes.base import Context
from streamswarm_agent.voip.call import Conversation, call, heard_of, judge, no_speech
from streamswarm_agent.voip.hearing import Heard, hear
from streamswarm_agent.voip.reflected import legs_of, undivided
from streamswarm_core.catalogue.voip import VOIP
from streamswarm_core.hostport import bracketed
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import VoipParams
from streamswarm_core.probespecs.voip import SIP_PORT
from streamswarm_core.voice.emodel import quality
from streamswarm_core.wire.stamp import DEFAULT_PORT

Fields = dict[str, FieldValue | None]


class VoipProbe:
    """What a call would sound like, by a stream to a reflector or by a SIP call."""

    async def run(self, target: str, params: VoipParams, context: Context) -> list[Point]:
        """Up if speech packets came back."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target, "mode": params.mode, "codec": params.codec}
        fields: Fields = {"up": 0, "status": "failed"}
        try:
            port = params.port or (DEFAULT_PORT if params.mode == "stream" else SIP_PORT)
            address = await resolve(target, port, params.family)
            tags["family"] = address.family_tag
            fields["resolve"] = address.resolve
            fields["codec_efficiency"] = params.coding.efficiency(params.interval, address.family_tag)
            if params.mode == "stream":
                fields |= await _stream(address, target, params, context)
            else:
                fields |= await _call(address, target, params, context)
        except ProbeFault as fault:
            fields |= _said(fault)
        fields["duration"] = context.monotonic() - started
        return [VOIP.point(tags, time_ns=stamp, **fields)]


async def _call(address: Address, target: str, params: VoipParams, context: Context) -> Fields:
    """A SIP call."""
    password = context.engines.get(Keys).find(params.key, target).decode()
    domain = params.domain or domain_of(target, address.sockaddr[1])
    log = await call(address, domain, params, password)
    fields: Fields = {
        "status": log.status,
        **asdict(log.signalling),
        "responses": " ".join(map(str, log.codes)) or None,
        "retransmissions": log.again,
    }
    speech = log.speech
    if speech is not None and speech.spoken:
        media = heard_of(speech)
        fields |= {
            "sent": len(speech.spoken),
            "received": 0,
            "loss": 1.0,
            "stream": len(speech.spoken) * params.interval,
            "dscp_sent": params.dscp_value,
            "media": media or "none",
            "rtcp": int(bool(speech.reports)),
        }
        if media:
            return fields | {"up": 1} | _heard(judge(speech, params)) | {"dscp_back": speech.dscp}
    fault = log.fault or (no_speech(speech) if speech is not None else None)
    return fields | (_said(fault) if fault is not None else {})


def _heard(conversation: Conversation) -> Fields:
    trips, there = conversation.trips, conversation.there
    heard = {"back": conversation.back} | ({"there": there} if there is not None else {})
    fields: Fields = {"sent": conversation.sent, "received": conversation.received, "loss": conversation.loss}
    if trips:
        fields |= {"rtt_min": min(trips), "rtt_mean": statistics.fmean(trips), "rtt_max": max(trips)}
    divided = {"there"} | ({"back"} if conversation.divided else set())
    return fields | describe(heard, divided)


def domain_of(target: str, port: int) -> str:
    """The target as the domain of SIP URIs.

    >>> domain_of("pbx.example", 5060), domain_of("2001:db8::1", 5070)
    ('pbx.example', '[2001:db8::1]:5070')
    """
    host = target.strip("[]")
    named = bracketed(host.partition("%")[0])
    return named if port == SIP_PORT else f"{named}:{port}"


def _said(fault: ProbeFault) -> Fields:
    return {"error": fault.fault.value, "error_detail": fault.detail}


async def _stream(address: Address, target: str, params: VoipParams, context: Context) -> Fields:
    """Speech packets to a reflector."""
    plan = Plan(
        params.count,
        params.interval,
        params.wait,
        params.size,
        params.dscp_value,
        key=context.engines.get(Keys).find(params.key, target),
    )
    run = await context.engines.get(StampSender).run(address, plan)
    received = sum(bool(packet.answers) for packet in run.packets)
    fields: Fields = {
        "up": int(received > 0),
        "sent": len(run.packets),
        "received": received,
        "loss": 1 - received / len(run.packets),
        "stream": len(run.packets) * params.interval,
        "dscp_sent": plan.dscp,
    }
    if not received:
        fault = why_silent(run, plan)
        return fields | {"status": "no_media"} | _said(fault)
    return fields | {"status": "completed"} | _reflected(run, params)


def _reflected(run: StampRun, params: VoipParams) -> Fields:
    rtts = round_trips(run.packets)
    rtt = statistics.fmean(rtts)
    legs = legs_of(run)
    there, back = hear(*(legs or undivided(run)), rtt, params)
    last = next(packet.answers[0] for packet in reversed(run.packets) if packet.answers)
    return {
        "rtt_min": min(rtts),
        "rtt_mean": rtt,
        "rtt_max": max(rtts),
        "dscp_there": last.reply.service.seen if last.reply.service else None,
        "dscp_back": last.dscp,
        **describe({"there": there, "back": back}, ("there", "back") if legs else ()),
    }


def describe(heard: Mapping[str, Heard], divided: Collection[str]) -> Fields:
    """The fields of the directions that were heard.

    Args:
        heard: by `there` and `back`.
        divided: those of which it is known what they lost; of the others only the worst case is told.
    """
    worst = min(heard.values(), key=lambda one: one.r)
    fields: Fields = {"r": worst.r, "mos": worst.mos, "quality": quality(worst.mos)}
    for way, one in heard.items():
        found: Fields = {
            "late": one.late,
            "jitter": one.jitter,
            "jitter_max": one.jitter_max,
            "buffer": one.buffer,
            "mouth_to_ear": one.mouth_to_ear,
        }
        if way in divided:
            found |= {"loss": one.loss, "burst_ratio": one.burst_ratio, "r": one.r, "mos": one.mos}
        fields |= {f"{name}_{way}": value for name, value in found.items()}
    return fields
