"""The shapes of networks that tests ask for: a chain of routers, and equal-cost paths side by side."""

import contextlib
import ipaddress
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self, Unpack

from tests.lab.impairment import Options
from tests.lab.namespace import LabError, Namespace
from tests.lab.wire import End, Record, Truth, Way, Wire, join

# Networks for benchmarks (RFC 2544, RFC 5180): never routed, so nothing real can be meant by them.
NETWORKS: Final = ("198.18.0.0/15", "2001:2::/48")
_NETWORK4: Final = int(ipaddress.IPv4Network(NETWORKS[0]).network_address)
_NETWORK6: Final = int(ipaddress.IPv6Network(NETWORKS[1]).network_address)
_LEAST_MTU: Final = 1_280
_MOST_HOPS: Final = 60
_ROUTER: Final[dict[str, int | str]] = {
    "ipv4/conf/all/forwarding": 1,
    "ipv6/conf/all/forwarding": 1,
    "ipv4/fib_multipath_hash_policy": 1,
    "ipv6/fib_multipath_hash_policy": 1,
    # Every packet that needs an ICMP message gets one.
    "ipv4/icmp_ratemask": 0,
    "ipv6/icmp/ratelimit": 0,
}
_EVERYWHERE: Final[dict[str, int | str]] = {
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
    # Addresses are usable at once, and nobody asks for routers.
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/default/accept_ra": 0,
    "ipv6/conf/default/router_solicitations": 0,
}


class Router(Namespace):
    """Forwards packets, takes one off their TTL, and says so when nothing is left.

    Attributes:
        v4: the address that its ICMP messages to `near` come from.
        v6: the same for IPv6.
        near_side: the interface towards `near`.
        far_side: the interface towards `far`.
    """

    v4: str
    v6: str
    near_side: str
    far_side: str


class Path:
    """Two hosts and the routers between them.

    Attributes:
        near: where probes run.
        far: where servers run.
        target: far's IPv4 address.
        target6: far's IPv6 address.
        near_address: near's IPv4 address.
        near_address6: near's IPv6 address.
        routers: in the order in which packets from near pass them.
    """

    def __init__(self, near: Namespace, far: Namespace, routers: list[Router], ends: list[tuple[End, End]]) -> None:
        self.near, self.far, self.routers = near, far, routers
        self.target, self.target6 = ends[-1][1].v4, ends[-1][1].v6
        self.near_address, self.near_address6 = ends[0][0].v4, ends[0][0].v6
        self._wire: Wire | None = None

    @property
    def wire(self) -> Wire:
        """The impaired link.

        Raises:
            LabError: the path was made with `relay=False`.
        """
        if self._wire is None:
            raise LabError("this path was made with relay=False, so nothing is impaired or counted")
        return self._wire

    @property
    def truth(self) -> Truth:
        """What the wire did to everything that was sent into it before this call."""
        return self.wire.truth

    def records(self, way: Way) -> list[Record]:
        """What became of each packet; needs `record=True`."""
        return self.wire.records(way)

    def set(
        self,
        *,
        mtu: int | None = None,
        there: Options | None = None,
        back: Options | None = None,
        **both: Unpack[Options],
    ) -> None:
        """Change the wire under way: `path.set(loss=0.1)`, `path.set(there={"delay_ms": 80})`.

        In force for packets that arrive at the wire after this returns; those under way keep their time.

        Raises:
            ValueError: a value is out of its range.
        """
        if mtu is not None:
            self.wire.set_mtu(_checked_mtu(mtu))
        self.wire.set(there=there, back=back, both=both)


@dataclass(frozen=True)
class Branch:
    """One of several equal-cost paths.

    Attributes:
        router: the one router on it.
        wire: the link after the router.
    """

    router: Router
    wire: Wire


@dataclass(frozen=True)
class Multipath:
    """near – split – one of the branches – join – far; split and join choose by a hash of addresses and ports.

    Attributes:
        near: where probes run.
        far: where servers run.
        target: far's IPv4 address.
        target6: far's IPv6 address.
        split: the router where the paths part.
        merge: the router where they meet.
        branches: what lies between.
    """

    near: Namespace
    far: Namespace
    target: str
    target6: str
    split: Router
    merge: Router
    branches: list[Branch]


class Lab:
    """Builds networks, and takes all of them down when it is closed."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._links = 0

    def path(
        self,
        *,
        hops: int = 2,
        mtu: int = 1500,
        relay: bool = True,
        at: int | None = None,
        seed: int = 1,
        record: bool = False,
        there: Options | None = None,
        back: Options | None = None,
        **both: Unpack[Options],
    ) -> Path:
        """Build a chain: `path(delay_ms=40, jitter_ms=5, loss=0.02, rate="10mbit", mtu=1400, hops=4)`.

        Impairments apply to each direction, so `delay_ms=40` makes a round trip of at least 80 ms; `there` (from near
        to far) and `back` override them for one direction. What each means is said in `Impairment`.

        Args:
            hops: number of routers, 0 to 60.
            mtu: of the wire, from 1280; its routers answer what is too large with ICMP.
            relay: False makes plain links only.
            at: which link is the wire, counted from near; the middle one if None.
            seed: of the chance in the wire.
            record: keep what became of each packet, for `records`.
            there: from near to far only.
            back: from far to near only.
            both: for either direction.

        Raises:
            ValueError: a value is out of its range.
            LabError: the kernel refuses.
        """
        if not 0 <= hops <= _MOST_HOPS:
            raise ValueError(f"hops is from 0 to {_MOST_HOPS}, not {hops}")
        wire_at = hops // 2 if at is None else at
        if not 0 <= wire_at <= hops:
            raise ValueError(f"with {hops} hops the links are numbered 0 to {hops}; at={at} is none of them")
        near, far = self._host("near"), self._host("far")
        routers = [self._router(f"r{number}") for number in range(1, hops + 1)]
        chain: list[Namespace] = [near, *routers, far]
        ends = [self._ends(left, right) for left, right in itertools.pairwise(chain)]
        for number, router in enumerate(routers):
            _know_ends(router, ends[number][1], ends[number + 1][0])
        path = Path(near, far, routers, ends)
        for number, (left, right) in enumerate(ends):
            if relay and number == wire_at:
                path._wire = self._wire(left, right, mtu=_checked_mtu(mtu), seed=seed, record=record)
            else:
                join(left, right)
        _route_chain(chain, ends)
        if relay:
            path.set(there=there, back=back, **both)
        return path

    def multipath(self, *branches: Options, seed: int = 1) -> Multipath:
        """Build equal-cost paths: `multipath({"delay_ms": 5}, {"delay_ms": 20})`.

        Each direction chooses by its own hash, so a reply may come back over another branch.

        Raises:
            ValueError: fewer than two branches.
            LabError: the kernel refuses.
        """
        if len(branches) < 2:
            raise ValueError(f"equal-cost paths are at least two, not {len(branches)}")
        near, far = self._host("near"), self._host("far")
        split, merge = self._router("split"), self._router("merge")
        entry, leave = self._ends(near, split), self._ends(merge, far)
        join(*entry)
        join(*leave)
        _know_ends(split, entry[1], None)
        made, first_links, last_links = [], [], []
        for number, options in enumerate(branches, 1):
            router = self._router(f"b{number}")
            first, last = self._ends(split, router), self._ends(router, merge)
            join(*first)
            wire = self._wire(*last, mtu=1500, seed=seed + number, record=False)
            wire.set(both=options)
            _know_ends(router, first[1], last[0])
            _route(router, [(entry, [first[0]]), (leave, [last[1]])])
            made.append(Branch(router, wire))
            first_links.append(first)
            last_links.append(last)
        _know_ends(merge, last_links[0][1], leave[0])
        split.far_side = first_links[0][0].interface
        everywhere = [entry, leave, *first_links, *last_links]
        _route(split, [(leave, [first[1] for first in first_links])])
        _route(split, [(last, [first[1]]) for first, last in zip(first_links, last_links, strict=True)])
        _route(merge, [(entry, [last[0] for last in last_links])])
        _route(merge, [(first, [last[0]]) for first, last in zip(first_links, last_links, strict=True)])
        _route(near, [(link, [entry[1]]) for link in everywhere if link is not entry])
        _route(far, [(link, [leave[0]]) for link in everywhere if link is not leave])
        return Multipath(near, far, leave[1].v4, leave[1].v6, split, merge, made)

    def close(self) -> None:
        """Take everything down."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _host(self, name: str) -> Namespace:
        host = Namespace(name)
        self._open.callback(host.close)
        host.sysctl(_EVERYWHERE)
        return host

    def _router(self, name: str) -> Router:
        router = Router(name)
        self._open.callback(router.close)
        router.sysctl({**_EVERYWHERE, **_ROUTER})
        return router

    def _ends(self, left: Namespace, right: Namespace) -> tuple[End, End]:
        """Name the two ends of a new link after the neighbours they lead to, and number them."""
        v4 = ipaddress.IPv4Address(_NETWORK4 + 4 * self._links)
        v6 = ipaddress.IPv6Address(_NETWORK6 + (self._links << 64))
        self._links += 1
        return (
            End(left, f"to-{right.name}", str(v4 + 1), str(v6 + 1)),
            End(right, f"to-{left.name}", str(v4 + 2), str(v6 + 2)),
        )

    def _wire(self, left: End, right: End, *, mtu: int, seed: int, record: bool) -> Wire:
        return self._open.enter_context(Wire(left, right, mtu=mtu, seed=seed, record=record))


def _checked_mtu(mtu: int) -> int:
    if not _LEAST_MTU <= mtu <= 9_000:
        raise ValueError(f"mtu is from {_LEAST_MTU} (below it there is no IPv6) to 9000, not {mtu}")
    return mtu


def _know_ends(router: Router, near_end: End, far_end: End | None) -> None:
    router.v4, router.v6, router.near_side = near_end.v4, near_end.v6, near_end.interface
    if far_end is not None:
        router.far_side = far_end.interface


def _route_chain(chain: list[Namespace], ends: list[tuple[End, End]]) -> None:
    for place, node in enumerate(chain):
        before = [(link, [ends[place - 1][0]]) for link in ends[: max(0, place - 1)]]
        after = [(link, [ends[place][1]]) for link in ends[place + 1 :]]
        _route(node, before + after)


def _route(node: Namespace, routes: list[tuple[tuple[End, End], list[End]]]) -> None:
    """Lead to each link's networks over the given next hops."""
    commands = []
    for (end, _), gateways in routes:
        network4 = ipaddress.ip_network((end.v4, 30), strict=False)
        network6 = ipaddress.ip_network((end.v6, 64), strict=False)
        commands.append(f"route add {network4} " + " ".join(f"nexthop via {gateway.v4}" for gateway in gateways))
        commands.append(f"route add {network6} " + " ".join(f"nexthop via {gateway.v6}" for gateway in gateways))
    if commands:
        node.configure(commands)


PathBuilder = Callable[..., Path]
MultipathBuilder = Callable[..., Multipath]
