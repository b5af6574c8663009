"""What real routers and firewalls do to traffic, with the kernel's own means: nftables, tbf, htb.

Each part returns a Rule that counts the packets it has acted on.
"""

import itertools
import json
from dataclasses import dataclass
from typing import Final, Literal

from tests.lab.impairment import bits_per_second
from tests.lab.namespace import Namespace
from tests.lab.topology import Router

End = Literal["near", "far"]
Refusal = Literal["drop", "reset", "port-unreachable", "prohibited"]

_TABLE: Final = "inet lab"
_MANGLE: Final = -150
_FILTER: Final = 0
_REFUSALS: Final[dict[Refusal, str]] = {
    "drop": "drop",
    "reset": "reject with tcp reset",
    "port-unreachable": "reject with icmpx port-unreachable",
    "prohibited": "reject with icmpx admin-prohibited",
}
_IPS: Final = ("ip", "ip6")
_numbers: Final = itertools.count()


@dataclass(frozen=True)
class Rule:
    """Something that a namespace does to packets from now on."""

    namespace: Namespace
    counter: str

    @property
    def packets(self) -> int:
        """How many packets it has acted on."""
        said = self.namespace.run(["nft", "-j", "list", "counter", *_TABLE.split(), self.counter]).stdout
        return int(json.loads(said)["nftables"][-1]["counter"]["packets"])


def rewrite_dscp(router: Router, to: int, *, only: int | None = None) -> Rule:
    """Set the DSCP of what passes; 0 bleaches. `only` names the DSCP to be changed."""
    which = f"!= {to}" if only is None else str(only)
    return _rule(router, "forward", _MANGLE, *(f"{ip} dscp {which} {{}} {ip} dscp set {to}" for ip in _IPS))


def mark_congestion(router: Router, ratio: float = 1.0) -> Rule:
    """Set Congestion Experienced on a share of what is ECN-capable."""
    chance = _chance(ratio)
    return _rule(
        router, "forward", _MANGLE, *(f"{ip} ecn {{ ect0, ect1 }} {chance} {{}} {ip} ecn set ce" for ip in _IPS)
    )


def clear_ecn(router: Router) -> Rule:
    """Take away the sender's word that it is ECN-capable."""
    return _rule(router, "forward", _MANGLE, *(f"{ip} ecn != not-ect {{}} {ip} ecn set not-ect" for ip in _IPS))


def hide_mtu(router: Router) -> Rule:
    """Make a black hole: nobody hears that a packet was too large for the next link."""
    too_large = (
        "icmp type destination-unreachable icmp code frag-needed {} drop",
        "icmpv6 type packet-too-big {} drop",
    )
    _rule(router, "forward", _FILTER, *too_large)
    return _rule(router, "output", _FILTER, *too_large)


def silence(router: Router) -> Rule:
    """Let a router say nothing when a TTL is used up, as a hop that traceroute shows as a star."""
    return _rule(router, "output", _FILTER, "icmp type time-exceeded {} drop", "icmpv6 type time-exceeded {} drop")


def lose(router: Router, ratio: float, match: str = "") -> Rule:
    """Lose a share of what passes, at this hop; `match` is nftables' language: "udp dport 5004"."""
    return _rule(router, "forward", _FILTER, f"{match} {_chance(ratio)} {{}} drop")


def refuse(namespace: Namespace, match: str, how: Refusal = "drop") -> Rule:
    """Be a firewall for what passes a router, or arrives at a host: `refuse(router, "tcp dport 443", "reset")`."""
    hook = "forward" if isinstance(namespace, Router) else "input"
    return _rule(namespace, hook, _FILTER, f"{match} {{}} {_REFUSALS[how]}")


def police(
    router: Router,
    rate: str | float,
    *,
    burst_bytes: int = 15_000,
    match: str = "",
    towards: End = "far",
    packet_bytes: int | None = None,
) -> Rule:
    """Drop what exceeds the rate (of IP packets) in one direction and never queue: a policer.

    nftables' bucket of bytes holds what the rate brings in a second besides `burst_bytes`. Its bucket of packets holds
    the burst alone: give `packet_bytes` where all packets that matter have one size.
    """
    bytes_per_second = bits_per_second(rate) / 8
    if packet_bytes is None:
        limit = f"limit rate over {round(bytes_per_second)} bytes/second burst {burst_bytes} bytes"
    else:
        packets = round(bytes_per_second / packet_bytes)
        limit = f"limit rate over {packets}/second burst {burst_bytes // packet_bytes} packets"
    return _rule(router, "forward", _FILTER, f"oifname {_side(router, towards)} {match} {limit} {{}} drop")


def shape(
    router: Router, rate: str | float, *, queue_ms: int = 100, burst_bytes: int = 3_000, towards: End = "far"
) -> None:
    """Queue what exceeds the rate (of Ethernet frames): a shaper. Its queue holds `queue_ms`."""
    bucket = f"rate {round(bits_per_second(rate))}bit burst {burst_bytes}b latency {queue_ms}ms"
    router.run(["tc", "qdisc", "replace", "dev", _side(router, towards), "root", "tbf", *bucket.split()])


def prioritise(router: Router, dscp: int, rate: str | float, *, queue_packets: int = 100, towards: End = "far") -> Rule:
    """Send packets with this DSCP before all others over a link of this rate (htb)."""
    bits = round(bits_per_second(rate))
    interface = _side(router, towards)
    for arguments in (
        f"qdisc replace dev {interface} root handle 1: htb default 20",
        f"class add dev {interface} parent 1: classid 1:1 htb rate {bits}bit burst 3000b cburst 3000b",
        f"class add dev {interface} parent 1:1 classid 1:10 htb rate {bits // 2}bit ceil {bits}bit prio 0",
        f"class add dev {interface} parent 1:1 classid 1:20 htb rate {bits // 10}bit ceil {bits}bit prio 1",
        f"qdisc add dev {interface} parent 1:10 pfifo limit {queue_packets}",
        f"qdisc add dev {interface} parent 1:20 pfifo limit {queue_packets}",
    ):
        router.run(["tc", *arguments.split()])
    return _rule(router, "forward", _MANGLE, *(f"{ip} dscp {dscp} {{}} meta priority set 1:10" for ip in _IPS))


def _side(router: Router, towards: End) -> str:
    return router.far_side if towards == "far" else router.near_side


def _chance(ratio: float) -> str:
    if not 0 <= ratio <= 1:
        raise ValueError(f"a share is from 0 to 1, not {ratio}")
    return f"numgen random mod 10000 < {round(ratio * 10_000)}" if ratio < 1 else ""


def _rule(namespace: Namespace, hook: str, priority: int, *statements: str) -> Rule:
    """Add statements to a chain; `{}` in them is where the counter goes."""
    counter = f"rule{next(_numbers)}"
    chain = f"{hook}_{'mangle' if priority < 0 else 'filter'}"
    commands = [
        f"add table {_TABLE}",
        f"add counter {_TABLE} {counter}",
        f"add chain {_TABLE} {chain} {{ type filter hook {hook} priority {priority}; }}",
        *(
            f"add rule {_TABLE} {chain} {statement.replace('{}', f'counter name {counter}')}"
            for statement in statements
        ),
    ]
    namespace.run(["nft", "-f", "-"], feed="\n".join(commands) + "\n")
    return Rule(namespace, counter)
