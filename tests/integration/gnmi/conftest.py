from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from streamswarm_agent.gnmi.connections import GnmiConnections
from streamswarm_agent.net.keys import Keys
from streamswarm_agent.probes import Context, Engines
from tests.integration.gnmi.runs import PASSWORD, Clock
from tests.lab.servers.certificates import Authority


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def context(clock: Clock) -> AsyncIterator[Context]:
    keys = Keys({"switches": SecretStr(PASSWORD), "wrong": SecretStr("tr0ub4dor&3")})
    engines = Engines(keys, GnmiConnections(clock))
    yield Context(engines)
    engines.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)
