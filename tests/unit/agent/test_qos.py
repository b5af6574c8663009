"""The qos probe on loopback, where nothing happens to packets; networks that do something are in tests/lab."""

import pytest
from pydantic import ValidationError

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes import PROBES, Context
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SPECS, QosParams


async def run(target: str, context: Context, **options: object) -> list[Point]:
    chosen = {"count": 6, "spacing": 0.01, "wait": 0.5, "budget": 0, **options}
    return await PROBES["qos"].run(target, SPECS["qos"].params.model_validate(chosen), context)


@pytest.mark.parametrize(("target", "family"), [("127.0.0.1", "ipv4"), ("::1", "ipv6")])
async def test_this_host_keeps_every_marking_and_mirrors_it(target: str, family: str, context: Context) -> None:
    summary, *classes = await run(target, context, classes="EF,5")
    assert summary.tags == {"target": target, "family": family, "method": "icmp"}
    assert (summary.fields["up"], summary.fields["classes"], summary.fields["ecn"]) == (1, 3, "kept")
    assert [point.tags["dscp"] for point in classes] == ["BE", "EF", "5"]
    assert [point.fields["marking_dscp"] for point in classes] == [0, 46, 5]
    assert [point.fields["reply_dscp"] for point in classes] == [0, 46, 5]
    assert "rtt_difference" not in classes[0].fields
    assert "rtt_difference_error" in classes[1].fields


async def test_a_name_that_does_not_exist_is_a_fault(context: Context) -> None:
    (summary,) = await run("nowhere.invalid", context)
    assert summary.fields["up"] == 0
    assert summary.fields["error"] in {Fault.NO_SUCH_NAME, Fault.RESOLVER_FAILURE}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": "EF,GOLD"}, "'GOLD' is no DSCP: a number from 0 to 63 or one of BE, LE, CS1"),
        ({"classes": [64]}, "64 is no DSCP"),
        ({"classes": "EF", "limit_classes": "AF41"}, "limit_classes names AF41, which is not among classes: EF"),
        ({"classes": "EF", "policy": {"CS1": {"max_rtt": 1}}}, "policy names CS1, which is not among classes: EF"),
        ({"min_rate": 2e6, "max_rate": 1e6}, "max_rate 1e[+]06 is below min_rate 2e[+]06"),
        ({"policy": {"EF": {"max_delay": 1}}}, "Extra inputs are not permitted"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        QosParams.model_validate({"classes": "BE,EF", **options})


def test_classes_are_known_by_any_of_their_names() -> None:
    params = QosParams.model_validate({"classes": ["46", "ef", "CS0"], "policy": {"46": {"max_loss": 0.1}}})
    assert params.values == (0, 46)
    assert list(params.policy) == ["EF"]
