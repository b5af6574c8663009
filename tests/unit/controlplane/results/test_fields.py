import pytest

from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.results.fields import select_fields, select_measurement, usual_aggregate, without_text
from streamswarm_core.catalogue import CATALOGUE, Kind, Metric
from streamswarm_core.catalogue.distribution import ICMP_RTT
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.probespecs import SPECS, ProbeSpec
from streamswarm_core.reader.select import Function


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.name)
def test_every_probe_has_fields_when_none_are_named_and_its_headline_is_the_first(spec: ProbeSpec) -> None:
    names = [field.name for one in select_fields(spec, []) for field in one.fields]
    assert names[0] == spec.headline


def test_a_name_finds_the_field_in_each_measurement_and_a_path_in_one() -> None:
    qos = SPECS["qos"]
    assert [one.measurement.name for one in select_fields(qos, ["rtt_mean"])] == ["qos", "qos_class"]
    assert [one.measurement.name for one in select_fields(qos, ["qos_class.rtt_mean"])] == ["qos_class"]


def test_an_unknown_field_is_refused_with_the_names_that_are_known() -> None:
    for name in ("rtt", "dns.lookup", ""):
        with pytest.raises(ApiError, match="rtt_p50") as refused:
            select_fields(SPECS["icmp"], ["rtt_mean", name])
        assert refused.value.problem.errors[0].field == "query.field"
    with pytest.raises(ApiError, match="it has icmp, icmp_rtt"):
        select_measurement(SPECS["icmp"], "dns", [])
    with pytest.raises(ApiError, match="it has up, error"):
        select_measurement(SPECS["icmp"], "icmp", ["lookup"])


def test_windows_of_every_field_have_an_aggregate_except_of_text() -> None:
    for measurement in CATALOGUE.values():
        for field in measurement.fields:
            found = usual_aggregate(measurement, field)
            assert (found is None) == (field.kind is Kind.STRING), field
            if field.metric is Metric.COUNTER and not measurement.distribution:
                assert found is Function.MAX
    assert usual_aggregate(ICMP_RTT, ICMP_RTT["count"]) is Function.SUM
    assert usual_aggregate(ICMP, ICMP["up"]) is Function.MEAN


def test_text_is_left_out_of_windows_and_refused_if_it_was_asked_for() -> None:
    whole = select_measurement(SPECS["icmp"], None, [])
    assert "error" not in [field.name for field in without_text(whole, []).fields]
    with pytest.raises(ApiError, match=r"icmp\.error is text"):
        without_text(whole, ["error"])
