import statistics

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.net.keys import Keys
from streamswarm_agent.net.stamp.credible import dwell_ns, first_answers, round_trips, timed_answers
from streamswarm_agent.net.stamp.oneway import attribute_loss, copies, delays_of, overtaken
from streamswarm_agent.net.stamp.sender import Plan, StampRun, StampSender, why_silent
from streamswarm_agent.net.targets import resolve
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.stamp import STAMP
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import StampParams
from streamswarm_core.wire.stamp import TTL

Fields = dict[str, FieldValue | None]


class StampProbe:
    """Round trip, and loss and delay variation of each direction, to a reflector."""

    async def run(self, target: str, params: StampParams, context: Context) -> list[Point]:
        """Up if at least one packet came back; loss is there in any case."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target}
        fields: Fields = {"up": 0, "sent": 0, "received": 0, "loss": 1.0}
        try:
            plan = Plan(
                params.count,
                params.spacing,
                params.wait,
                params.size,
                params.dscp,
                ask_dscp=params.ask_dscp,
                key=context.engines.get(Keys).find(params.key, target),
            )
            address = await resolve(target, params.port, params.family)
            tags["family"] = address.family_tag
            fields["resolve"] = address.resolve
            run = await context.engines.get(StampSender).run(address, plan)
            fields |= _describe(run, plan)
        except ProbeFault as fault:
            fields |= {"error": fault.fault.value, "error_detail": fault.detail}
        fields["duration"] = context.monotonic() - started
        return [STAMP.point(tags, time_ns=stamp, **fields)]


def _describe(run: StampRun, plan: Plan) -> Fields:
    received = sum(bool(packet.answers) for packet in run.packets)
    common: Fields = {
        "up": int(received > 0),
        "sent": len(run.packets),
        "received": received,
        "loss": 1 - received / len(run.packets),
    }
    more: Fields = {
        "clock_here": run.clock.seconds if run.clock.synchronised else None,
        "dscp_sent": plan.dscp,
        "authenticated": int(bool(plan.key)),
    }
    if not received:
        fault = why_silent(run, plan)
        said: Fields = {"error": fault.fault.value, "error_detail": fault.detail}
        return common | said | {"lost_unknown": len(run.packets)} | more
    return common | _delays(run) | _losses(run) | _one_way_delays(run) | more | _marks(run)


def _losses(run: StampRun) -> Fields:
    lost = attribute_loss(run)
    arrived = len(run.packets) - lost.there
    overtaken_there, overtaken_back = overtaken(run)
    copied_there, copied_back = copies(run)
    return {
        "loss_there": None if lost.unknown else lost.there / len(run.packets),
        "loss_back": None if lost.unknown else lost.back / arrived,
        "lost_there": lost.there,
        "lost_back": lost.back,
        "lost_unknown": lost.unknown,
        "stateful": None if lost.stateful is None else int(lost.stateful),
        "reordered_there": overtaken_there,
        "reordered_back": overtaken_back,
        "duplicates_there": copied_there,
        "duplicates_back": copied_back,
    }


def _delays(run: StampRun) -> Fields:
    rtts = round_trips(run.packets)
    timed = timed_answers(run.packets)
    there, back = delays_of(run)
    return {
        "untimed": len(first_answers(run.packets)) - len(timed),
        "rtt_min": min(rtts),
        "rtt_mean": statistics.fmean(rtts),
        "rtt_max": max(rtts),
        "dwell": statistics.fmean(dwell_ns(answer) for _, answer in timed) / NANOSECONDS if timed else None,
        "jitter_there": there.jitter,
        "jitter_back": back.jitter,
        "ipdv_there": there.ipdv,
        "ipdv_back": back.ipdv,
        "pdv_there": there.pdv,
        "pdv_back": back.pdv,
    }


def _one_way_delays(run: StampRun) -> Fields:
    """Only where both clocks are kept by somebody; the reflector's worst word of the run counts."""
    theirs = [answer.reply.error for packet in run.packets for answer in packet.answers]
    kept = all(error.synchronised for error in theirs)
    clock_there = max(error.seconds for error in theirs) if kept else None
    if clock_there is None or not run.clock.synchronised:
        return {"clock_there": clock_there}
    there, back = delays_of(run)
    if not there.delays:
        return {"clock_there": clock_there}
    return {
        "clock_there": clock_there,
        "owd_error": clock_there + run.clock.seconds,
        "owd_min_there": min(there.delays.values()),
        "owd_min_back": min(back.delays.values()),
        "owd_mean_there": statistics.fmean(there.delays.values()),
        "owd_mean_back": statistics.fmean(back.delays.values()),
    }


def _marks(run: StampRun) -> Fields:
    last = next(packet.answers[0] for packet in reversed(run.packets) if packet.answers)
    service = last.reply.service
    return {
        "hops_there": TTL - last.reply.sender_ttl if last.reply.sender_ttl else None,
        "hops_back": TTL - last.ttl if last.ttl else None,
        "dscp_there": service.seen if service else None,
        "dscp_back": last.dscp,
    }
