import socket

import pytest

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.targets import literal, resolve
from streamswarm_agent.probes import Context
from streamswarm_core.probespecs import Family
from tests.unit.agent.running import run

LINK_LOCAL = "fe80::1"


async def _refusal(host: str, family: Family = Family.ANY) -> str:
    with pytest.raises(ProbeFault) as caught:
        await resolve(host, family=family)
    assert caught.value.fault is Fault.BAD_TARGET
    return caught.value.detail


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:80", "10.1", "300.1.1.1", "0x7f.1", "42", "http://127.0.0.1/", "a b", " ", "user@host", "", "[]"],
)
async def test_what_can_be_no_host_is_not_looked_up_and_says_what_is_accepted(host: str) -> None:
    assert "takes one of them, without scheme, port or path" in await _refusal(host)


async def test_an_address_of_an_interface_that_is_not_there_names_the_interface() -> None:
    assert await _refusal("fe80::1%nope0") == "fe80::1%nope0: this host has no interface nope0"


@pytest.mark.parametrize("host", ["::1%lo", "127.0.0.1%lo"])
async def test_an_address_that_needs_no_interface_is_to_be_written_without(host: str) -> None:
    bare = host.partition("%")[0]
    assert await _refusal(host) == f"{host}: only a link-local address has an interface; write {bare}"


async def test_an_address_of_the_other_family_says_so() -> None:
    assert await _refusal("127.0.0.1", Family.IPV6) == "127.0.0.1 is no ipv6 address"
    assert await _refusal("::1", Family.IPV4) == "::1 is no ipv4 address"
    assert await _refusal("fe80::1%lo", Family.IPV4) == "fe80::1%lo is no ipv4 address"


async def test_a_link_local_address_needs_an_interface() -> None:
    assert "name the interface too, such as fe80::1%eth0" in await _refusal(LINK_LOCAL)
    assert (await resolve(f"{LINK_LOCAL}%lo")).sockaddr[-1] == socket.if_nametoindex("lo")
    assert (await resolve(LINK_LOCAL, on_interface=True)).host == LINK_LOCAL


def test_an_interfaces_address_is_read_anew_each_time_because_the_interface_may_be_made_again() -> None:
    assert literal(f"{LINK_LOCAL}%lo") is None
    assert literal("::1") is not None
    with pytest.raises(ProbeFault):
        literal(LINK_LOCAL)
    assert literal(LINK_LOCAL, on_interface=True) is not None


async def test_a_ping_of_a_link_local_address_without_an_interface_says_what_is_missing(context: Context) -> None:
    point = await run("icmp", LINK_LOCAL, context)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.BAD_TARGET)


async def test_a_name_that_is_not_there_is_named() -> None:
    with pytest.raises(ProbeFault, match=r"^[a-z_]+: no-such-name\.invalid: "):
        await resolve("no-such-name.invalid")


async def test_a_name_without_an_address_of_the_family_says_that_no_other_was_asked_for() -> None:
    with pytest.raises(ProbeFault, match=r"; only ipv6 addresses were asked for$") as caught:
        await resolve("no-such-name.invalid", family=Family.IPV6)
    assert caught.value.fault is Fault.NO_SUCH_NAME
