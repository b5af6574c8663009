import ipaddress
from collections.abc import Sequence

import pytest

from streamswarm_controlplane.notifications.guard import BlockedError, Guard
from streamswarm_core.errors import ConfigError


def resolving(*addresses: str) -> Guard:
    def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return Guard(resolver=resolve)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104 - nothing listens
        "0.1.2.3",
        "169.254.169.254",
        "100.100.100.200",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo of 127.0.0.1
    ],
)
def test_this_host_its_link_and_metadata_services_are_blocked_in_every_spelling(address: str) -> None:
    with pytest.raises(BlockedError, match="STREAMSWARM_CONTROLPLANE_WEBHOOK_ALLOW"):
        resolving(address).pin("hooks.test", 443)


@pytest.mark.parametrize(
    "address", ["192.0.2.10", "10.1.2.3", "192.168.1.1", "2001:db8::1", "fd12::1", "64:ff9b::c000:20a"]
)
def test_other_addresses_are_let_through_private_ones_too(address: str) -> None:
    assert resolving(address).pin("hooks.test", 443) == [address]


def test_the_first_permitted_address_is_the_one_that_is_used() -> None:
    assert resolving("127.0.0.1", "192.0.2.10").pin("hooks.test", 443) == ["192.0.2.10"]


def test_a_name_is_looked_up_once_so_that_it_cannot_change_in_between() -> None:
    answers = [["192.0.2.10"], ["127.0.0.1"]]
    guard = Guard(resolver=lambda _host, _port: answers.pop(0))
    assert guard.pin("rebind.test", 80) == ["192.0.2.10"]
    assert len(answers) == 1


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "localhost", "[::1]"])
def test_unusual_spellings_of_loopback_are_seen_through(host: str) -> None:
    with pytest.raises(BlockedError):
        Guard().pin(host, 80)


def test_networks_can_be_allowed_and_nonsense_is_refused() -> None:
    guard = Guard.parse("127.0.0.0/8, ::1")
    assert guard.permits(ipaddress.ip_address("127.0.0.1"))
    assert guard.permits(ipaddress.ip_address("::1"))
    assert guard.permits(ipaddress.ip_address("::ffff:127.0.0.1"))
    assert not guard.permits(ipaddress.ip_address("169.254.169.254"))
    with pytest.raises(ConfigError, match=r"such as 127\.0\.0\.0/8"):
        Guard.parse("localhost")
