"""TLS, certificates, users and passwords."""

from typing import Any

import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes import Context
from tests.gnmidevice import Device, Tls, running
from tests.integration.gnmi.runs import PASSWORD, PLAIN, Clock, look, told
from tests.lab.servers.certificates import Authority


async def test_the_password_is_the_agents_key_and_a_wrong_one_is_told_without_being_shown(
    authority: Authority, context: Context
) -> None:
    device = Device(user=("monitor", PASSWORD))
    login = {"username": "monitor", "ca_file": str(authority.path)}
    async with running(device, Tls(authority.certificate("127.0.0.1"))) as port:
        right = await look(port, context, key="switches", **login)
        wrong = await look(port, context, key="wrong", **login)
        nobody = await look(port, context, ca_file=str(authority.path))
        unknown = await look(port, context, key="missing", **login)
    assert told(right) == (1, None)
    assert told(wrong) == told(nobody) == (0, Fault.UNAUTHENTICATED)
    assert "no user monitor" in str(wrong[0].fields["error_detail"])
    assert "tr0ub4dor" not in repr(wrong)
    assert told(unknown) == (0, Fault.PERMISSION)
    assert "no key 'missing'" in str(unknown[0].fields["error_detail"])


async def test_a_refused_user_is_not_tried_with_every_run(clock: Clock, context: Context) -> None:
    device = Device(user=("monitor", PASSWORD))
    login = {"username": "monitor", "key": "wrong", **PLAIN}
    async with running(device) as port:
        await look(port, context, **login)
        clock.now += 59
        again = await look(port, context, **login)
        assert (told(again), len(device.calls)) == ((0, Fault.UNAUTHENTICATED), 1)
        assert "not tried again yet; in 1 s" in str(again[0].fields["error_detail"])
        clock.now += 2
        await look(port, context, **login)
        assert len(device.calls) == 2
        clock.now += 61
        await look(port, context, **login)
    assert len(device.calls) == 2


@pytest.mark.parametrize("kind", ["self-signed", "wrong-name", "expired"])
async def test_a_certificate_that_can_not_be_verified_is_told(
    kind: Any, authority: Authority, context: Context
) -> None:
    async with running(Device(), Tls(authority.certificate("127.0.0.1", kind=kind))) as port:
        points = await look(port, context, ca_file=str(authority.path))
    assert told(points) == (0, Fault.CERTIFICATE)
    assert "handshake" not in points[0].fields


@pytest.mark.parametrize(("kind", "expected"), [("self-signed", 1), ("wrong-name", 1), ("expired", 0)])
async def test_without_verification_any_certificate_does_that_grpc_can_take(
    kind: Any, expected: int, authority: Authority, context: Context
) -> None:
    async with running(Device(), Tls(authority.certificate("127.0.0.1", kind=kind))) as port:
        points = await look(port, context, verify_tls=False)
    assert points[0].fields["up"] == expected
    if not expected:
        assert "gRPC takes no such certificate" in str(points[0].fields["error_detail"])


async def test_a_device_may_be_asked_by_another_name_than_its_certificates(
    authority: Authority, context: Context
) -> None:
    async with running(Device(), Tls(authority.certificate("switch1.example"))) as port:
        options = {"ca_file": str(authority.path)}
        assert told(await look(port, context, server_name="switch1.example", **options)) == (1, None)
        assert told(await look(port, context, server_name="switch2.example", **options)) == (0, Fault.CERTIFICATE)


async def test_a_device_that_wants_a_certificate_of_its_clients_gets_one(
    authority: Authority, context: Context
) -> None:
    tls = Tls(authority.certificate("127.0.0.1"), clients=authority.path)
    mine = str(authority.certificate("agent.example"))
    files = {"certificate_file": mine, "certificate_key_file": mine}
    async with running(Device(), tls) as port:
        assert told(await look(port, context, ca_file=str(authority.path), **files)) == (1, None)
        without = await look(port, context, ca_file=str(authority.path))
    assert without[0].fields["up"] == 0
    assert without[0].fields["error"] in {Fault.RESET, Fault.TLS, Fault.CERTIFICATE}


@pytest.mark.parametrize(("option", "path"), [("ca_file", "/nowhere/ca.pem"), ("certificate_file", "/nowhere/own.pem")])
async def test_a_file_that_is_not_there_is_named(
    option: str, path: str, authority: Authority, context: Context
) -> None:
    options = {option: path}
    if option == "certificate_file":
        options["certificate_key_file"] = path
    async with running(Device(), Tls(authority.certificate("127.0.0.1"))) as port:
        points = await look(port, context, **options)
    assert told(points) == (0, Fault.BAD_TARGET)
    assert f"the option {option}: {path}" in str(points[0].fields["error_detail"])


async def test_a_device_without_tls_asked_with_it_and_the_other_way_round_are_down(
    authority: Authority, context: Context
) -> None:
    async with running(Device()) as port:
        assert (await look(port, context))[0].fields["up"] == 0
    async with running(Device(), Tls(authority.certificate("127.0.0.1"))) as port:
        points = await look(port, context, wait=2.0, **PLAIN)
    assert points[0].fields["up"] == 0
    assert points[0].fields["error"] in {Fault.RESET, Fault.UNREACHABLE, Fault.TIMEOUT}
