"""Options of probes: what can't work is refused where it is written, with what is accepted."""

import dns.rcode
import dns.rdatatype
import jsonschema
import pytest
from pydantic import ValidationError

from streamswarm_core.dnsnames import RECORD_TYPES, USUAL_RECORD_TYPES
from streamswarm_core.probespecs import SPECS, DnsParams, SystemParams, TlsParams


@pytest.mark.parametrize(
    ("probe", "wrong", "words"),
    [
        ("dns", {"expect_rcodes": ["NOERR"]}, "'NOERROR', 'FORMERR'"),
        ("dns", {"expect_rcodes": []}, "at least 1"),
        ("dns", {"record_type": "ADDRESS"}, "'ADDRESS' is no record type; takes a name .* such as A, AAAA"),
        ("dns", {"record_type": "TYPE65536"}, "is no record type"),
        ("dns", {"record_type": "AXFR"}, "is a transfer of a zone .* can't be asked for"),
        ("dns", {"record_type": "TYPE41"}, "can't be asked for"),
        ("dns", {"server": "192.0.2.1:53"}, "no host name and no IP address; .* without scheme, port"),
        ("dns", {"server": "192.0.2.300"}, "no host name and no IP address"),
        ("dns", {"server": "ns1..example.com"}, "no host name and no IP address"),
        ("tls", {"server_name": ".x"}, "no host name and no IP address"),
        ("http", {"server_name": "x" * 70}, "no host name and no IP address"),
        ("dns", {"server": "192.0.2.1", "family": "ipv6"}, "server 192.0.2.1 is no ipv6 address"),
        ("http", {"expect_status": [20]}, "greater than or equal to 200"),
        ("http", {"expect_status": [1000]}, "less than or equal to 999"),
        ("http", {"expect_status": [301, 302]}, "set follow_redirects to 0"),
        ("http", {"expect_protocols": ["HTTP/2"], "http2": False}, "needs http2"),
        ("http", {"method": "HEAD", "body_matches": ["ok"]}, "the answer to HEAD has no body"),
        ("http", {"max_body": 0, "body_matches": ["ok"]}, "max_body 0 reads none"),
        ("http", {"headers": {"X-A": "1", "x-a": "2"}}, "headers has x-a twice"),
        ("icmp", {"source": "monitoring.example.com"}, "no address and no interface's name"),
        ("icmp", {"source": "192.0.2.1", "family": "ipv6"}, "source 192.0.2.1 is no ipv6 address"),
        ("tcp", {"send": "PING", "response": "banner"}, "not both"),
        (
            "tcp_window",
            {"sample_interval": 1, "max_seconds": 0.5},
            "sample_interval 1 s is not below max_seconds 0.5 s",
        ),
        ("traceroute", {"port": 443}, "port is for method udp and tcp"),
        ("mtu", {"family": "ipv6", "floor": 576}, "floor 576 is below 1280"),
        ("voip", {"dial": "600"}, "dial is for a SIP call: set mode to call"),
        ("voip", {"register_first": True}, "register_first is for a SIP call"),
        ("bandwidth", {"method": "speedtest", "port": 80}, "in its URL"),
        ("system", {"skip_interfaces": [""]}, "at least 1 character"),
    ],
)
def test_what_can_never_work_is_refused_in_words(probe: str, wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SPECS[probe].params.model_validate(wrong)


@pytest.mark.parametrize(
    ("probe", "fine"),
    [
        ("dns", {"server": "[2001:db8::53]", "family": "ipv6"}),
        ("dns", {"server": "fe80::1%eth0"}),
        ("dns", {"server": "_dns.resolver.arpa."}),
        ("http", {"expect_status": [301], "follow_redirects": 0}),
        ("http", {"expect_status": [200, 301]}),
        ("http", {"method": "HEAD", "body_lacks": ["error"]}),
        ("icmp", {"source": "eth0", "family": "ipv6"}),
        ("icmp", {"source": "fe80::1%eth0", "family": "ipv6"}),
        ("mtu", {"floor": 576}),
        ("bandwidth", {"method": "iperf3", "key": "lab"}),
        ("voip", {"transport": "udp", "answer_wait": 10}),
        ("voip", {"mode": "call", "dial": "600", "answer_wait": 3}),
    ],
)
def test_what_can_work_is_taken(probe: str, fine: dict[str, object]) -> None:
    SPECS[probe].params.model_validate(fine)


def test_words_may_be_written_in_either_case_by_number_and_with_commas() -> None:
    params = DnsParams.model_validate(
        {"record_type": "type65", "expect_rcodes": "noerror, nxdomain", "server": "[2001:db8::53]"}
    )
    assert (params.record_type, params.expect_rcodes) == ("HTTPS", ("NOERROR", "NXDOMAIN"))
    assert params.server == "2001:db8::53"
    assert DnsParams.model_validate({"record_type": "TYPE65280"}).record_type == "TYPE65280"
    assert TlsParams.model_validate({"alpn": "h2,http/1.1"}).alpn == ("h2", "http/1.1")
    assert SystemParams.model_validate({"skip_interfaces": "veth*,tap*"}).skip_interfaces == ("veth*", "tap*")


def test_record_types_and_response_codes_are_those_that_the_agent_can_send_and_read() -> None:
    assert {dns.rdatatype.to_text(dns.rdatatype.from_text(name)): name for name in RECORD_TYPES} == {
        name: name for name in RECORD_TYPES
    }
    assert all(dns.rdatatype.from_text(name) == number for name, number in RECORD_TYPES.items())
    schema = DnsParams.model_json_schema()["properties"]
    assert schema["expect_rcodes"]["items"]["enum"] == [code.name for code in dns.rcode.Rcode]
    assert schema["record_type"]["examples"] == list(USUAL_RECORD_TYPES)


@pytest.mark.parametrize("probe", SPECS)
def test_examples_and_defaults_in_the_schema_of_a_probe_are_valid(probe: str) -> None:
    params = SPECS[probe].params
    schema = params.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, described in schema["properties"].items():
        if "default" in described:
            jsonschema.validate(described["default"], {**described, "$defs": schema.get("$defs", {})})
        for example in described.get("examples", ()):
            jsonschema.validate(example, {**described, "$defs": schema.get("$defs", {})})
            params.model_validate({name: example})
