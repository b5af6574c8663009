import re
from typing import Final

from streamswarm_agent.blackbox.config import ModuleConfig, QueryResponse
from streamswarm_agent.blackbox.running import Job, choose
from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.matching import Groups, search
from streamswarm_agent.net.targets import read_target
from streamswarm_agent.net.tcp import connect
from streamswarm_agent.net.tls.connection import Peer, Terms, client_context, peer_of
from streamswarm_agent.net.wire import Wire
from streamswarm_core.probespecs.targets import read_host_port

_MOST_BYTES: Final = 1_000_000
_LONGEST_LINE: Final = 16_384
_TLS_VERSIONS: Final = {"TLS12": "TLS 1.2", "TLS13": "TLS 1.3"}


class TcpModule:
    """The prober tcp: a connection, with TLS and a conversation if that is wanted."""

    def __init__(self, config: ModuleConfig) -> None:
        self.timeout = config.timeout
        self._prober = config.tcp

    async def run(self, job: Job) -> bool:
        """See Module."""
        job.page.failed_due_to_regex(failed=False)
        host, port = read_target(read_host_port, job.target)
        address, _ = await choose(job, host, port, self._prober)
        opened, _ = await connect(address, job.wait)
        try:
            with Wire(opened) as wire:
                if self._prober.tls:
                    job.page.tls(await self._secure(wire, host))
                await self._converse(job, wire, host)
        except OSError as error:
            raise from_os_error(error) from None
        return True

    async def _secure(self, wire: Wire, host: str) -> Peer:
        tls = self._prober.tls_config
        terms = Terms(
            tls.server_name or host,
            verify=not tls.insecure_skip_verify,
            ca_file=str(tls.ca_file) if tls.ca_file else "",
            oldest=_TLS_VERSIONS[tls.min_version],
            certificate_file=str(tls.cert_file) if tls.cert_file else "",
            key_file=str(tls.key_file) if tls.key_file else "",
        )
        return peer_of(await wire.start_tls(client_context(terms), terms.server_name))

    async def _converse(self, job: Job, wire: Wire, host: str) -> None:
        lines = _Lines(wire)
        for step in self._prober.query_response:
            matched = await _expect(job, lines, step.expect) if step.expect is not None else None
            if step.send is not None:
                await wire.send(_fill(step, matched))
            if step.starttls:
                job.page.tls(await self._secure(wire, host))


async def _expect(job: Job, lines: "_Lines", pattern: str) -> Groups:
    while (line := await lines.next()) is not None:
        (matched,) = await search(pattern, [line])
        if matched is not None:
            return matched
    job.page.failed_due_to_regex(failed=True)
    raise ProbeFault(Fault.UNEXPECTED_ANSWER, f"the server closed the connection before a line matched {pattern!r}")


def _fill(step: QueryResponse, matched: Groups | None) -> bytes:
    """What to send, with `${1}` replaced by what was matched."""

    def group(reference: re.Match[str]) -> str:
        number = int(reference[1])
        return (matched[number] or "") if matched is not None and number < len(matched) else ""

    return re.sub(r"\$\{(\d+)\}", group, step.send or "").encode() + b"\n"


class _Lines:
    """What a server says, line by line."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._rest = b""
        self._read = 0

    async def next(self) -> str | None:
        """The next line without its end, or None at the end of the connection."""
        while b"\n" not in self._rest:
            received = await self._wire.receive()
            self._read += len(received)
            if self._read > _MOST_BYTES or len(self._rest) > _LONGEST_LINE:
                raise ProbeFault(Fault.PROTOCOL, "the server says too much")
            if not received:
                last, self._rest = self._rest, b""
                return last.decode(errors="replace") if last else None
            self._rest += received
        line, _, self._rest = self._rest.partition(b"\n")
        return line.rstrip(b"\r").decode(errors="replace")
