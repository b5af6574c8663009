import statistics
from collections.abc import Mapping

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.net.keys import Keys
from streamswarm_agent.net.oneway import round_trips
from streamswarm_agent.net.stampsender import Plan, StampRun, StampSender, why_silent
from streamswarm_agent.net.targets import Address, resolve
from streamswarm_agent.probes.base import Context
from streamswarm_agent.voip.hearing import Heard, hear
from streamswarm_agent.voip.reflected import legs_of, undivided
from streamswarm_core.catalogue.voip import VOIP
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import VoipParams
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
            address = await resolve(target, params.port or DEFAULT_PORT, params.family)
            tags["family"] = address.family_tag
            fields["resolve"] = address.resolve
            fields["codec_efficiency"] = params.coding.efficiency(params.interval, address.family_tag)
            fields |= await _stream(address, params, context)
        except ProbeFault as fault:
            fields |= {"error": fault.fault.value, "error_detail": fault.detail}
        fields["duration"] = context.monotonic() - started
        return [VOIP.point(tags, time_ns=stamp, **fields)]


async def _stream(address: Address, params: VoipParams, context: Context) -> Fields:
    """Speech packets to a reflector."""
    plan = Plan(
        params.count,
        params.interval,
        params.wait,
        params.size,
        params.dscp_value,
        key=context.engines.get(Keys).find(params.key),
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
        return fields | {"status": "no_media", "error": fault.fault.value, "error_detail": fault.detail}
    return fields | {"status": "completed"} | _reflected(run, params)


def _reflected(run: StampRun, params: VoipParams) -> Fields:
    rtts = round_trips(run)
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
        **describe({"there": there, "back": back}, divided=legs is not None),
    }


def describe(heard: Mapping[str, Heard], *, divided: bool) -> Fields:
    """The fields of the directions that were heard.

    Args:
        heard: by `there` and `back`.
        divided: whether it is known which direction lost what; else only the worst case is told.
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
        if divided:
            found |= {"loss": one.loss, "burst_ratio": one.burst_ratio, "r": one.r, "mos": one.mos}
        fields |= {f"{name}_{way}": value for name, value in found.items()}
    return fields
