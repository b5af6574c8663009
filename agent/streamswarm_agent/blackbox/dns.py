from typing import Any
from urllib.parse import urlsplit

import dns.message

from streamswarm_agent.blackbox.config import ModuleConfig, Records
from streamswarm_agent.blackbox.running import Job, choose
from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.matching import first_found, search
from streamswarm_agent.probes.dns import measure_dns, records, zone_serial
from streamswarm_core.probespecs import DnsParams


class DnsModule:
    """The prober dns: one query; the target is the server, with or without a port."""

    def __init__(self, config: ModuleConfig) -> None:
        assert config.dns is not None  # noqa: S101 - the model has it for this prober
        self.timeout = config.timeout
        self._prober = prober = config.dns
        tls = prober.tls_config
        given: dict[str, Any] = {
            "server": "127.0.0.1",
            "record_type": prober.query_type,
            "transport": "tls" if prober.dns_over_tls else prober.transport_protocol,
            "recursive": prober.recursion_desired,
            "edns_size": 0,
            "expect_rcodes": prober.valid_rcodes,
            "verify_tls": not tls.insecure_skip_verify,
        }
        if prober.dns_over_tls:
            given |= {"ca_file": str(tls.ca_file) if tls.ca_file else None, "server_name": tls.server_name or None}
        self._params = DnsParams.model_validate(given)

    async def run(self, job: Job) -> bool:
        """See Module."""
        fields: dict[str, Any] = {}
        reply: dns.message.Message | None = None
        resolve = None
        try:
            host, port = _server(job.target)
            address, family = await choose(job, host, port or self._params.port_to_ask, self._prober)
            resolve = address.resolve
            asking = {"server": host, "port": port, "wait": min(job.wait, 30.0), "family": family}
            run = await measure_dns(self._prober.query_name, self._params.model_copy(update=asking), job.context)
            fields, job.detail = run.fields, str(run.fields.get("error_detail", ""))
            reply = run.reply.message if run.reply else None
            success = bool(fields["up"]) and reply is not None and await self._as_expected(job, reply)
        finally:
            self._export(job, fields, reply, resolve)
        return success

    async def _as_expected(self, job: Job, reply: dns.message.Message) -> bool:
        for name, section, rules in (
            ("answer", reply.answer, self._prober.validate_answer_rrs),
            ("authority", reply.authority, self._prober.validate_authority_rrs),
            ("additional", reply.additional, self._prober.validate_additional_rrs),
        ):
            broken = await _broken(list(records(section)), rules)
            if broken:
                job.detail = f"validate_{name}_rrs: {broken}"
                return False
        return True

    @staticmethod
    def _export(job: Job, fields: dict[str, Any], reply: dns.message.Message | None, resolve: float | None) -> None:
        connecting = sum(fields.get(phase) or 0.0 for phase in ("connect", "tls"))
        job.page.phases(
            "probe_dns_duration_seconds",
            "Duration of DNS request by phase",
            {"resolve": resolve, "connect": connecting, "request": fields.get("lookup")},
        )
        for section, field in (("answer", "answers"), ("authority", "authorities"), ("additional", "additionals")):
            job.page.gauge(
                f"probe_dns_{section}_rrs",
                f"Returns number of entries in the {section} resource record list",
                fields.get(field, 0),
            )
        job.page.gauge(
            "probe_dns_query_succeeded",
            "Displays whether or not the query was executed successfully",
            int(reply is not None),
        )
        serial = zone_serial(reply) if reply is not None else None
        job.page.gauge("probe_dns_serial", "Returns the serial number of the zone", serial)


def _server(target: str) -> tuple[str, int | None]:
    if target.count(":") > 1 and not target.startswith("["):
        return target, None
    try:
        split = urlsplit(f"//{target}")
        port = split.port
    except ValueError:
        raise ProbeFault(Fault.BAD_TARGET, f"{target!r} is no server, with or without :port") from None
    return split.hostname or target, port


async def _broken(lines: list[str], rules: Records) -> str:
    """Which rule the records of a section break; empty if none.

    fail_if_all_match_regexp does what blackbox_exporter makes of it, which is the opposite of its name.
    """
    if not lines and rules.fail_if_not_matches_regexp:
        return "there is no record"
    unwanted = await first_found(rules.fail_if_matches_regexp, *lines)
    if unwanted is not None:
        return f"a record matches {unwanted!r}"
    for pattern in (*rules.fail_if_all_match_regexp, *rules.fail_if_not_matches_regexp):
        if not all(await search(pattern, lines)):
            return f"a record doesn't match {pattern!r}"
    for pattern in rules.fail_if_none_matches_regexp:
        if not any(await search(pattern, lines)):
            return f"no record matches {pattern!r}"
    return ""
