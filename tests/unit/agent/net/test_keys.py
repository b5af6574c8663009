import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.keys import Keys
from streamswarm_agent.probes import Context, Engines
from streamswarm_agent.settings import AgentSettings
from tests.support import find_free_port
from tests.unit.agent.running import run

KEYS = Keys(
    {"switches": SecretStr("correct horse"), "free": SecretStr("for all")},
    {"switches": ("192.0.2.0/24", "2001:db8::/32", "*.net.example")},
)


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", "[2001:db8::7]", "sw1.net.example", "SW1.NET.EXAMPLE."])
def test_a_key_goes_to_the_hosts_that_it_is_for(host: str) -> None:
    assert KEYS.find("switches", host) == b"correct horse"


@pytest.mark.parametrize(
    "host", ["192.0.3.7", "2001:db9::7", "net.example", "sw1.net.example.evil.test", "", "sw1.net.example%evil"]
)
def test_a_key_goes_to_no_other_host(host: str) -> None:
    with pytest.raises(ProbeFault, match="is not for") as refusal:
        KEYS.find("switches", host)
    assert refusal.value.fault is Fault.PERMISSION
    assert "correct horse" not in refusal.value.detail
    assert KEYS.find("free", host) == b"for all"


def test_what_is_said_of_a_key_that_is_not_there_names_no_other() -> None:
    with pytest.raises(ProbeFault, match="has no key 'guess'") as refusal:
        KEYS.find("guess", "192.0.2.7")
    assert "switches" not in refusal.value.detail


@pytest.mark.parametrize(
    ("probe", "options"),
    [
        ("gnmi", {"username": "monitor", "insecure": True}),
        ("voip", {"mode": "call", "user": "kim", "dial": "100"}),
        ("voip", {"mode": "stream"}),
        ("stamp", {}),
        ("bandwidth", {}),
    ],
)
async def test_every_probe_with_a_key_asks_whom_it_is_for(probe: str, options: dict[str, object]) -> None:
    target = f"127.0.0.1:{find_free_port()}" if probe == "gnmi" else "127.0.0.1"
    point = await run(probe, target, Context(Engines(KEYS)), key="switches", **options)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.PERMISSION)
    assert "is not for 127.0.0.1" in str(point.fields["error_detail"])


def test_whom_a_key_is_for_is_a_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STREAMSWARM_AGENT_KEY_HOSTS", json.dumps({"switches": ["10.0.0.0/8"]}))
    assert AgentSettings.load(data=tmp_path).key_hosts == {"switches": ("10.0.0.0/8",)}
