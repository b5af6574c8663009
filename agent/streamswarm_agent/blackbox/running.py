"""Runs a module once."""

import asyncio
import ipaddress
import time
from dataclasses import dataclass, field
from typing import Final, Protocol

from streamswarm_agent.blackbox.config import Prober
from streamswarm_agent.blackbox.page import Page
from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.targets import Address, resolve
from streamswarm_agent.probes import Context
from streamswarm_core.probespecs import Family

_FAMILIES: Final = {"ip4": Family.IPV4, "ip6": Family.IPV6}
_OTHER: Final = {"ip4": "ip6", "ip6": "ip4"}
# As blackbox_exporter: so long before Prometheus gives up, an answer is still of use.
_TIMEOUT_OFFSET: Final = 0.5
_LONGEST: Final = 120.0
_FNV_OFFSET, _FNV_PRIME = 0x811C9DC5, 0x01000193


@dataclass(slots=True)
class Job:
    """One request to /probe.

    Attributes:
        target: as it was given.
        hostname: name for Host and TLS, for a target that is an address.
        wait: seconds that are left for it.
        context: sockets and clocks.
        page: takes the metrics.
        detail: why it failed, for whoever debugs it.
    """

    target: str
    hostname: str
    wait: float
    context: Context
    page: Page = field(default_factory=Page)
    detail: str = ""


class Module(Protocol):
    """One module, ready to run."""

    timeout: float
    """Seconds, as its configuration says."""

    async def run(self, job: Job) -> bool:
        """Measure, and put the module's own metrics on the page; says whether it was a success.

        Raises:
            ProbeFault: it was none.
        """


@dataclass(frozen=True, slots=True)
class Outcome:
    """What /probe answers.

    Attributes:
        page: the metrics.
        success: whether the target is up.
        seconds: how long it took.
        detail: why it isn't.
    """

    page: Page
    success: bool
    seconds: float
    detail: str


async def measure(module: Module, target: str, context: Context, *, hostname: str = "", wait: float) -> Outcome:
    """Run a module once; a fault of the network is an outcome.

    Args:
        module: what to do.
        target: as blackbox_exporter takes it.
        context: the agent's sockets.
        hostname: see Job.
        wait: seconds at most; the module's own timeout can be shorter.
    """
    seconds = min(wait, module.timeout, _LONGEST)
    job = Job(target, hostname, seconds, context)
    started = time.monotonic()
    success = False
    try:
        async with asyncio.timeout(seconds):
            success = await module.run(job)
    except TimeoutError:
        job.detail = f"not done within {seconds:g} s"
    except ProbeFault as fault:
        job.detail = str(fault)
    took = time.monotonic() - started
    job.page.gauge("probe_success", "Displays whether or not the probe was a success", int(success))
    job.page.gauge("probe_duration_seconds", "Returns how long the probe took to complete in seconds", took)
    return Outcome(job.page, success, took, "" if success else job.detail)


def scrape_timeout(header: str) -> float:
    """How long a probe may take, from what Prometheus sends as X-Prometheus-Scrape-Timeout-Seconds.

    Raises:
        ValueError: it is no number of seconds.

    >>> scrape_timeout("10")
    9.5
    """
    if not header:
        return _LONGEST
    try:
        seconds = float(header)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"X-Prometheus-Scrape-Timeout-Seconds takes seconds, not {header!r}")
    return seconds - _TIMEOUT_OFFSET if seconds > _TIMEOUT_OFFSET else seconds


async def choose(job: Job, host: str, port: int, prober: Prober) -> tuple[Address, Family]:
    """Resolve a host, preferring an IP version, and put on the page what that told.

    Raises:
        ProbeFault: the host has no address that will do.
    """
    started = time.monotonic()
    address: Address | None = None
    family = _FAMILIES[prober.preferred_ip_protocol]
    try:
        address = await resolve(host, port, family)
    except ProbeFault as fault:
        if not prober.ip_protocol_fallback or fault.fault is Fault.RESOLVER_FAILURE:
            raise
        family = _FAMILIES[_OTHER[prober.preferred_ip_protocol]]
        try:
            address = await resolve(host, port, family)
        except ProbeFault as other:
            # That an address is none of the other family says nothing.
            raise fault if other.fault is Fault.BAD_TARGET else other from None
    finally:
        job.page.gauge(
            "probe_dns_lookup_time_seconds",
            "Returns the time taken for probe dns lookup in seconds",
            time.monotonic() - started,
        )
        protocol, digest = (6 if family is Family.IPV6 else 4, _hash(address)) if address else (0, 0)
        job.page.gauge("probe_ip_protocol", "Specifies whether probe ip protocol is IP4 or IP6", protocol)
        job.page.gauge(
            "probe_ip_addr_hash",
            "Specifies the hash of IP address. It's useful to detect if the IP address changes.",
            digest,
        )
    return address, family


def _hash(address: Address) -> int:
    """FNV-1a, 32 bits, over the bytes of the address, as blackbox_exporter hashes it."""
    digest = _FNV_OFFSET
    for byte in ipaddress.ip_address(address.host.partition("%")[0]).packed:
        digest = (digest ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return digest
