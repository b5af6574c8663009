from typing import Any, Final

from streamswarm_agent.blackbox.config import ModuleConfig
from streamswarm_agent.blackbox.running import Job, choose
from streamswarm_agent.probes import PROBES
from streamswarm_core.probespecs import IcmpParams

_LONGEST_WAIT: Final = 30.0
_SMALLEST: Final = 16


class IcmpModule:
    """The prober icmp: one echo request."""

    def __init__(self, config: ModuleConfig) -> None:
        self.timeout = config.timeout
        self._prober = config.icmp
        wanted: dict[str, Any] = {}
        if config.icmp.payload_size is not None:
            # Our requests carry a nonce, by which replies are told apart.
            wanted["size"] = max(config.icmp.payload_size, _SMALLEST)
        if config.icmp.ttl:
            wanted["ttl"] = config.icmp.ttl
        if config.icmp.dont_fragment:
            wanted["df"] = True
        if config.icmp.source_ip_address:
            wanted["source"] = config.icmp.source_ip_address
        self._params = IcmpParams.model_validate({"count": 1, **wanted})

    async def run(self, job: Job) -> bool:
        """See Module."""
        resolve = rtt = hops = None
        success = False
        try:
            address, family = await choose(job, job.target, 0, self._prober)
            resolve = address.resolve
            params = self._params.model_copy(update={"wait": min(job.wait, _LONGEST_WAIT), "family": family})
            point, *_ = await PROBES["icmp"].run(address.host, params, job.context)
            rtt, hops = point.fields.get("rtt_mean"), point.fields.get("ttl")
            success, job.detail = bool(point.fields["up"]), str(point.fields.get("error_detail", ""))
        finally:
            job.page.phases(
                "probe_icmp_duration_seconds",
                "Duration of icmp request by phase",
                # One socket serves all requests, so there is nothing to set up.
                {"resolve": resolve, "setup": 0.0, "rtt": float(rtt) if rtt is not None else None},
            )
            if hops is not None:
                job.page.gauge("probe_icmp_reply_hop_limit", "Replied packet hop limit (TTL for ipv4)", float(hops))
        return success
