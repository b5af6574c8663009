"""Paths that aren't answered."""

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes import Context
from tests.gnmidevice import Device, running
from tests.integration.gnmi.runs import PLAIN, look, of, told


async def test_a_refused_path_is_named_the_others_are_answered_and_it_is_left_alone_for_a_while(
    context: Context,
) -> None:
    device = Device(unknown=("/components/component[name=*]/cpu",))
    async with running(device) as port:
        first = await look(port, context, **PLAIN)
        calls = len(device.calls)
        second = await look(port, context, **PLAIN)
    for points in (first, second):
        assert told(points) == (1, None)
        assert (points[0].fields["paths_asked"], points[0].fields["paths_answered"]) == (8, 7)
        detail = str(points[0].fields["error_detail"])
        assert detail.startswith("1 of 8 paths unanswered: /components/component[name=*]/cpu/utilization/state (")
        assert "INVALID_ARGUMENT: no such path" in detail
        assert of(points, "device", component="CPU0").fields["temperature"] == 45.5
    assert len(device.calls) == calls + 1


async def test_a_path_without_a_value_is_unanswered_and_down_only_if_all_are_required(context: Context) -> None:
    device = Device(absent=("/system/memory",))
    async with running(device) as port:
        points = await look(port, context, **PLAIN)
        strict = await look(port, context, require_all=True, **PLAIN)
    assert told(points) == (1, None)
    assert points[0].fields["error_detail"] == "1 of 8 paths unanswered: /system/memory/state"
    assert told(strict) == (0, Fault.UNEXPECTED_ANSWER)
    assert of(strict, "device", component="CPU0").fields["temperature"] == 45.5


async def test_a_device_that_answers_nothing_is_down(context: Context) -> None:
    async with running(Device(absent=("/",))) as port:
        points = await look(port, context, **PLAIN)
    assert told(points) == (0, Fault.UNEXPECTED_ANSWER)
    assert "8 of 8 paths unanswered" in str(points[0].fields["error_detail"])
    assert "and 3 more" in str(points[0].fields["error_detail"])


async def test_a_device_that_refuses_everything_is_down_with_its_words(context: Context) -> None:
    async with running(Device(unknown=("/",))) as port:
        points = await look(port, context, **PLAIN)
        again = await look(port, context, **PLAIN)
    assert points[0].fields["up"] == 0
    assert again[0].fields["reconnected"] == 0
    assert "INVALID_ARGUMENT: no such path: /" in str(points[0].fields["error_detail"])
    assert len(points) == 1


async def test_where_subscribing_once_is_refused_get_is_used_from_then_on(context: Context) -> None:
    device = Device(once=False)
    async with running(device) as port:
        first = await look(port, context, **PLAIN)
        second = await look(port, context, **PLAIN)
    assert [points[0].fields["method"] for points in (first, second)] == ["get", "get"]
    assert told(first) == (1, None)
    assert first[0].fields["paths_answered"] == 8
    assert device.calls == ["Capabilities", "Subscribe", "Get", "Get"]


async def test_a_device_that_ends_without_saying_that_it_was_all_is_believed(context: Context) -> None:
    async with running(Device(syncs=False)) as port:
        assert told(await look(port, context, **PLAIN)) == (1, None)
